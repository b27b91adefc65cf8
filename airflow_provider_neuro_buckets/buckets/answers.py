"""What the platform's answers mean: JSON to values, and whose bucket an answer is (wire protocol 2 and 3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, ConfigurationError, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import (
    Bucket,
    BucketCredentials,
    PersistentBucketCredentials,
    provider_of,
)
from airflow_provider_neuro_buckets.buckets.target import Selector
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cluster, its buckets service, and the org and project that an address without them means there."""

    cluster: str
    buckets_url: URL
    org: str | None
    project: str | None


def choose_place(answer: Any, config: BucketsConfig, cluster_name: str | None) -> Place:
    """Choose a cluster, org and project from the answer of ``GET /config`` (protocol 2.3 to 2.5).

    The current cluster is the configured one or the first; its org the configured one or the first; its project the
    configured one or the alphabetically first of that cluster and org.
    """
    fields = expect(dict, answer, "the platform's configuration")
    clusters = [item for item in fields.get("clusters") or [] if isinstance(item, dict)]
    if fields.get("authorized") is False or "clusters" not in fields:
        raise AuthenticationError(
            f"{config.name}: the platform at {config.api_url} does not accept the token",
            remedy="Put a valid token into the password of the connection",
        )
    wanted = cluster_name or config.cluster_name
    names = [item.get("name") for item in clusters]
    chosen = next((item for item in clusters if wanted in {None, item.get("name")}), None)
    if chosen is None:
        raise ConfigurationError(
            f"{config.name}: there is no cluster {wanted or 'at all'} for this user at {config.api_url}",
            remedy=f"Set cluster_name to one of {names}" if names else "Ask the platform's operators for access",
        )
    name = text_field(chosen, "name", "a cluster")
    orgs = [org for org in chosen.get("orgs") or [] if org]
    org = config.org_name or (orgs[0] if orgs else None)
    projects = sorted(
        project["name"]
        for project in fields.get("projects") or []
        if project.get("cluster_name") == name and project.get("org_name") == org
    )
    return Place(
        cluster=name,
        buckets_url=URL(text_field(chosen, "buckets_url", f"cluster {name}")),
        org=org,
        project=config.project_name or (projects[0] if projects else None),
    )


def scope_of(place: Place, selector: Selector) -> dict[str, str]:
    """Return the selectors of a request: the given ones, else those of the place."""
    org = selector.org or place.org
    if selector.owner is not None:
        return {key: value for key, value in (("owner", selector.owner), ("org_name", org)) if value}
    project = selector.project or place.project
    return {key: value for key, value in (("org_name", org), ("project_name", project)) if value}


def id_scope(bucket: Bucket) -> dict[str, str]:
    """Return the selectors of a request by id: strict servers call a missing id 400 without them."""
    return {"org_name": bucket.org_name} if bucket.org_name and bucket.project_name else {}


def show_scope(place: Place, selector: Selector) -> str:
    """Return whose buckets are meant, for people."""
    scope = scope_of(place, selector)
    return "/".join([place.cluster, *scope.values()])


def is_asked_for(bucket: Bucket, id_or_name: str, place: Place, selector: Selector) -> bool:
    """Whether the bucket is the one meant: an older server ignores selectors that it does not know."""
    if bucket.id == id_or_name:
        return True
    scope = scope_of(place, selector)
    if "owner" in scope:
        return bucket.name == id_or_name and scope["owner"] in {bucket.owner, bucket.project_name}
    home = bucket.project_name if bucket.project_name is not None else bucket.owner
    return (
        bucket.name == id_or_name
        and scope.get("project_name", home) == home
        and scope.get("org_name", bucket.org_name) == bucket.org_name
    )


def read_bucket(answer: Any, cluster: str) -> Bucket:
    """Read the platform's JSON for a bucket; unknown fields and providers are no error.

    :raises InvalidAnswer: a field is missing or of another type.
    """
    what = "a bucket"
    fields = expect(dict, answer, what)
    owner = text_field(fields, "owner", what)
    name, project = fields.get("name"), fields.get("project_name")
    org = fields.get("org_name")
    bucket_id = text_field(fields, "id", what)
    return Bucket(
        id=bucket_id,
        owner=owner,
        name=name,
        uri=bucket_uri(cluster=cluster, org=org, project=project or owner, bucket=name or bucket_id),
        cluster_name=cluster,
        org_name=org,
        project_name=project,
        created_at=_time(text_field(fields, "created_at", what), what),
        provider=provider_of(text_field(fields, "provider", what)),
        imported=bool(fields.get("imported")),
        public=bool(fields.get("public")),
    )


def read_credentials(answer: Any) -> BucketCredentials:
    """Read the platform's JSON for the credentials of one bucket."""
    what = "bucket credentials"
    fields = expect(dict, answer, what)
    return BucketCredentials(
        bucket_id=text_field(fields, "bucket_id", what),
        provider=provider_of(text_field(fields, "provider", what)),
        credentials={
            str(name): str(value)
            for name, value in expect(dict, fields.get("credentials"), what).items()
            if value is not None
        },
        read_only=bool(fields.get("read_only")),
    )


def read_persistent(answer: Any, cluster: str) -> PersistentBucketCredentials:
    """Read the platform's JSON for persistent credentials."""
    what = "persistent credentials"
    fields = expect(dict, answer, what)
    return PersistentBucketCredentials(
        id=text_field(fields, "id", what),
        owner=text_field(fields, "owner", what),
        name=fields.get("name"),
        read_only=bool(fields.get("read_only")),
        cluster_name=cluster,
        credentials=[read_credentials(item) for item in expect(list, fields.get("credentials"), what)],
    )


def expect(kind: type, answer: Any, what: str) -> Any:
    """Return `answer` if it is of `kind`.

    :raises InvalidAnswer: it is not.
    """
    if not isinstance(answer, kind):
        raise InvalidAnswer(f"the platform's answer is not {what}", remedy="Check that the host is the platform's API")
    return answer


def text_field(fields: Mapping[str, Any], name: str, what: str) -> str:
    """Return a field that must be a text.

    :raises InvalidAnswer: it is missing, empty or something else.
    """
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidAnswer(
            f"{what} in the platform's answer has no {name}", remedy="Check the version of the platform"
        )
    return value


def _time(text: str, what: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidAnswer(f"{what} in the platform's answer has the time {text!r}", remedy="") from None
