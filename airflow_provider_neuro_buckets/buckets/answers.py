"""What the platform's answers mean: JSON to values (wire protocol 2 and 3). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.eras import Place
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, ConfigurationError, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import (
    Bucket,
    BucketCredentials,
    PersistentBucketCredentials,
    provider_of,
)
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def choose_place(answer: Any, config: BucketsConfig, cluster_name: str | None) -> Place:
    """Choose a cluster, org and project from the answer of ``GET /config`` (protocol 2.3 to 2.5).

    The current cluster is the configured one or the first; its org the configured one or the first, which on servers
    that had buckets without an org may be none; its project the configured one or the alphabetically first there.

    :raises AuthenticationError: the platform does not know the token; it says so with a 200.
    :raises ConfigurationError: no such cluster.
    """
    fields = expect(dict, answer, "the platform's configuration")
    if fields.get("authorized") is False or "clusters" not in fields:
        raise AuthenticationError(
            f"{config.name}: the platform at {config.api_url} does not accept the token",
            remedy="Put a valid token into the password of the connection",
        )
    chosen = _choose_cluster(_objects(fields["clusters"]), config, cluster_name)
    cluster = text_field(chosen, "name", "a cluster")
    orgs = expect(list, chosen.get("orgs") or [None], f"a list of the orgs of cluster {cluster}")
    org = config.org_name or optional_text({"org": orgs[0]}, "org", f"cluster {cluster}")
    projects = sorted(
        text_field(project, "name", "a project")
        for project in _objects(fields.get("projects"))
        if project.get("name") and project.get("cluster_name") == cluster and project.get("org_name") == org
    )
    return Place(
        cluster=cluster,
        buckets_url=_service_url(text_field(chosen, "buckets_url", f"cluster {cluster}"), cluster),
        org=org,
        project=config.project_name or (projects[0] if projects else None),
    )


def _choose_cluster(clusters: list[dict[str, Any]], config: BucketsConfig, cluster_name: str | None) -> dict[str, Any]:
    wanted = cluster_name or config.cluster_name
    names = [str(item.get("name")) for item in clusters]
    if wanted is None and clusters:
        return clusters[0]
    for item, name in zip(clusters, names, strict=True):
        # The host of an address is always lower case.
        if wanted is not None and wanted.lower() == name.lower():
            return item
    raise ConfigurationError(
        f"{config.name}: there is no cluster {'at all' if wanted is None else repr(wanted)} for this user"
        f" at {config.api_url}",
        remedy=f"Set cluster_name to one of {', '.join(names)}" if names else "Ask the platform's operators for access",
    )


def _objects(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _service_url(text: str, cluster: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidAnswer(
            f"the platform's buckets service of cluster {cluster} has the address {text!r}",
            remedy="Set buckets_url in the connection",
        )
    return url


def read_bucket(answer: Any, cluster: str) -> Bucket:
    """Read the platform's JSON for a bucket; unknown fields and providers are no error.

    :raises InvalidAnswer: a field is missing or of another type.
    """
    what = "a bucket"
    fields = expect(dict, answer, what)
    owner, bucket_id = text_field(fields, "owner", what), text_field(fields, "id", what)
    name, org = optional_text(fields, "name", what), optional_text(fields, "org_name", what)
    # Only servers that have no projects leave the field out.
    project = (optional_text(fields, "project_name", what) or owner) if "project_name" in fields else None
    return Bucket(
        id=bucket_id,
        owner=owner,
        name=name,
        uri=bucket_uri(cluster=cluster, org=org, project=project or owner, bucket=name or bucket_id),
        cluster_name=cluster,
        org_name=org,
        project_name=project,
        created_at=read_time(text_field(fields, "created_at", what), what),
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
        name=optional_text(fields, "name", what),
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
    value = optional_text(fields, name, what)
    if value is None:
        raise _lacks(what, name)
    return value


def optional_text(fields: Mapping[str, Any], name: str, what: str) -> str | None:
    """Return a field that is a text, or `None` where it is missing, null or empty.

    :raises InvalidAnswer: it is something else, or no text that could be sent back.
    """
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or _LONE_SURROGATE.search(value):
        raise _lacks(what, name)
    return value


def _lacks(what: str, name: str) -> InvalidAnswer:
    return InvalidAnswer(
        f"{what} in the platform's answer has no {name} that can be used", remedy="Check the version of the platform"
    )


def read_time(text: str, what: str) -> datetime:
    """Return a moment; one without an offset is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidAnswer(
            f"{what} in the platform's answer has the time {text!r}", remedy="Check the version of the platform"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
