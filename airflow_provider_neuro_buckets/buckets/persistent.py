"""Persistent credentials in the configuration: blobs with neither a token nor the platform. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_neuro_buckets.buckets.answers import read_credentials, read_time, text_field
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.eras import path_nouns
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ConfigurationError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, PersistentBucketCredentials
from airflow_provider_neuro_buckets.buckets.target import Target, check_identifier
from airflow_provider_neuro_buckets.buckets.uri import BlobPath, bucket_uri, is_blob_uri

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_SERVICE_ACCOUNT = 3
"""Segments in the name of a service account: owner, ``service-accounts``, name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an address without them means; `None` is any."""

    cluster: str | None = None
    org: str | None = None
    project: str | None = None

    @classmethod
    def of(
        cls,
        config: BucketsConfig,
        *,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Scope:
        """Return what is given, and else what the configuration says."""
        return cls(
            cluster=cluster_name or config.cluster_name,
            org=org_name or config.org_name,
            project=project_name or config.project_name,
        )


class PersistentBuckets:
    """The buckets that the configuration has credentials for.

    :param name: how errors call the origin of the credentials.
    """

    def __init__(self, items: Iterable[tuple[Bucket, BucketCredentials]], *, name: str) -> None:
        self._items = {bucket.id: (bucket, credentials) for bucket, credentials in items}
        self._name = name

    @classmethod
    def read(cls, secret: Mapping[str, Any] | None, *, name: str) -> PersistentBuckets:
        """Read `BucketsConfig.persistent_credentials`; `None` has no buckets.

        :raises ConfigurationError: names what is missing where, never a value.
        """
        if secret is None:
            return cls((), name=name)
        items = secret.get("credentials")
        if not isinstance(items, list) or not items:
            raise ConfigurationError(
                f"the persistent credentials of {name} have no list 'credentials'",
                remedy="Paste the platform's answer for them, and add the 'uri' of each bucket",
            )
        return cls((_read_item(item, f"number {at} of {name}") for at, item in enumerate(items, 1)), name=name)

    def __bool__(self) -> bool:
        return bool(self._items)

    def __iter__(self) -> Iterator[Bucket]:
        return (bucket for bucket, _ in self._items.values())

    def credentials(self, bucket_id: str) -> BucketCredentials | None:
        """Return the credentials of a bucket, if there are any."""
        return self._items[bucket_id][1] if bucket_id in self._items else None

    def all_credentials(self) -> Iterator[BucketCredentials]:
        """Yield the credentials of every bucket."""
        return (credentials for _, credentials in self._items.values())

    def within(self, scope: Scope) -> list[Bucket]:
        """Return the buckets of a cluster, an org and a project."""
        return [
            bucket
            for bucket in self
            if scope.cluster in {None, bucket.cluster_name}
            and scope.org in {None, bucket.org_name}
            and scope.project in {None, bucket.project_name}
        ]

    def may_mean(self, target: Target) -> bool:
        """Whether one of the buckets has the target's name or id, wherever it is."""
        return any(target.bucket in {bucket.id, bucket.name} for bucket in self)

    def named(self, target: Target, scope: Scope) -> Bucket | None:
        """Return the bucket of a name or an id.

        :raises InvalidAddress: several have the name.
        """
        given = target.selector
        if target.bucket in self._items or given.owner:
            # An id means one bucket wherever it is; an owner has buckets in any org, unless one is given.
            scope = Scope(cluster=scope.cluster if given.owner else None)
        meant = Scope(
            cluster=target.cluster or scope.cluster,
            org=given.org or scope.org,
            project=given.owner or given.project or scope.project,
        )
        found = [bucket for bucket in self.within(meant) if target.bucket in {bucket.id, bucket.name}]
        if len(found) > 1:
            raise InvalidAddress(
                f"{self._name} has credentials for several buckets {target.bucket!r}: "
                + ", ".join(str(bucket.uri) for bucket in found),
                remedy="Name one by its address, or set cluster_name, org_name and project_name",
            )
        return found[0] if found else None

    def at(self, path: BlobPath, scope: Scope) -> tuple[Bucket, str] | None:
        """Return the bucket that an absolute address leads into, and the key in it.

        :param scope: for an address that names no cluster.
        """
        inside = Scope(cluster=path.cluster) if path.cluster else Scope(cluster=scope.cluster, org=scope.org)
        found = [
            (bucket, key)
            for bucket in self.within(inside)
            if (key := path.key_in(path_nouns(bucket), has_org=bucket.org_name is not None)) is not None
        ]
        # Of owner/bucket and owner/bucket/bucket the longer one is meant.
        return min(found, key=lambda item: len(item[1]), default=None)


def persistent_secret(credentials: PersistentBucketCredentials, buckets: Iterable[Bucket]) -> dict[str, Any]:
    """Return persistent credentials as `BucketsConfig.persistent_credentials` and the connection take them.

    The answer is JSON, and a secret as a whole.

    :param buckets: those that the credentials are for; others are ignored.
    :raises ConfigurationError: one of them is missing.
    """
    known = {bucket.id: bucket for bucket in buckets}
    missing = [item.bucket_id for item in credentials.credentials if item.bucket_id not in known]
    if missing:
        raise ConfigurationError(
            f"persistent credentials {credentials.name or credentials.id} are also for bucket {missing[0]}",
            remedy="Pass all buckets that they are for",
        )
    return {
        "id": credentials.id,
        "name": credentials.name,
        "owner": credentials.owner,
        "read_only": credentials.read_only,
        "credentials": [_item(item, known[item.bucket_id], credentials) for item in credentials.credentials],
    }


def _item(item: BucketCredentials, bucket: Bucket, whole: PersistentBucketCredentials) -> dict[str, Any]:
    return {
        "bucket_id": item.bucket_id,
        "uri": str(bucket.uri),
        "provider": str(item.provider),
        "read_only": item.read_only or whole.read_only,
        "owner": bucket.owner,
        "created_at": bucket.created_at.isoformat(),
        "credentials": dict(item.credentials),
    }


def _read_item(item: Any, what: str) -> tuple[Bucket, BucketCredentials]:
    what = f"the persistent credentials {what}"
    try:
        credentials = read_credentials(item)
        address = text_field(item, "uri", what)
    except BucketsError as error:
        raise ConfigurationError(
            f"{what} cannot be used: {error.problem}",
            remedy="Paste the platform's answer, and add 'uri' to each bucket",
        ) from None
    check_identifier(credentials.bucket_id, what="bucket")
    cluster, org, home, last = _nouns(address, what)
    return (
        Bucket(
            id=credentials.bucket_id,
            owner=str(item.get("owner") or home),
            name=None if last == credentials.bucket_id else last,
            uri=bucket_uri(cluster=cluster, org=org, project=home, bucket=last),
            cluster_name=cluster,
            org_name=org,
            project_name=home,
            created_at=_created_at(item, what),
            provider=credentials.provider,
        ),
        credentials,
    )


def _created_at(item: Mapping[str, Any], what: str) -> datetime:
    text = item.get("created_at")
    try:
        return UNKNOWN_TIME if text is None else read_time(str(text), what)
    except BucketsError:
        raise ConfigurationError(f"{what} cannot be used: 'created_at' is no time", remedy="Leave it out") from None


def _nouns(address: str, what: str) -> tuple[str, str | None, str, str]:
    """Return cluster, org, project or owner, and name or id of the bucket at a complete address."""
    path = BlobPath.of(address) if is_blob_uri(address) else None
    nouns = path.plain.rstrip("/").split("/") if path else []
    if path is None or path.cluster is None or len(nouns) < 2 or not all(nouns):  # noqa: PLR2004 - owner and bucket
        raise ConfigurationError(
            f"{what} cannot be used: 'uri' is not the address of a bucket",
            remedy="Write it like blob://cluster/org/project/name",
        )
    *homes, last = nouns
    has_org = len(homes) in {2, 1 + _WHOLE_SERVICE_ACCOUNT}
    org = homes.pop(0) if has_org else None
    return path.cluster, org, "/".join(homes), last
