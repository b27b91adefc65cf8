"""The values of the Buckets API: frozen, comparable, and silent about their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from yarl import URL

from airflow_provider_neuro_buckets.buckets.uri import blob_uri


class BucketProvider(StrEnum):
    """Storage behind a bucket, as the platform names it on the wire."""

    AWS = "aws"
    MINIO = "minio"
    AZURE = "azure"
    GCP = "gcp"
    SEAWEEDFS = "seaweedfs"
    OPEN_STACK = "open_stack"
    EMC_ECS = "emc_ecs"


def provider_of(value: str) -> BucketProvider | str:
    """Return the member for a wire value; a value not known yet stays the plain string it is."""
    try:
        return BucketProvider(value)
    except ValueError:
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket of the platform.

    `provider` is a plain `str` when the platform names one that this version does not know: such a bucket
    lists and shows, and only opening its blobs fails.
    """

    Provider = BucketProvider

    id: str
    owner: str
    name: str | None
    uri: URL
    cluster_name: str
    org_name: str | None
    created_at: datetime
    provider: BucketProvider | str
    project_name: str | None = None
    imported: bool = False
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCredentials:
    """What a provider wants to see before it opens one bucket. `credentials` never shows in a `repr`.

    :ivar credentials: the provider's own keys, and `bucket_name`, the name of the bucket inside the provider.
    :ivar read_only: `True` when the platform hands out credentials that may only read.
    """

    bucket_id: str
    provider: BucketProvider | str
    credentials: Mapping[str, str] = field(repr=False)
    read_only: bool = False


_OPEN_DATA = frozenset(
    {"bucket_name", "region_name", "endpoint_url", "storage_endpoint", "project", "expiration", "expiry", "expire_time"}
)
"""Keys of credentials that are no secret; all others, known or not, are treated as one."""
_SHORTEST_SECRET = 8


def secrets_among(keys: Mapping[str, str]) -> list[str]:
    """Return every secret among a provider's keys."""
    return [value for name, value in keys.items() if name not in _OPEN_DATA and len(value) >= _SHORTEST_SECRET]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentBucketCredentials:
    """Credentials for some buckets that live until they are deleted."""

    id: str
    owner: str
    name: str | None
    read_only: bool
    cluster_name: str
    credentials: Sequence[BucketCredentials]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketEntry:
    """What a listing shows: a :class:`BlobObject` or a :class:`BlobCommonPrefix`.

    :ivar key: full key inside the bucket; that of a common prefix ends with ``/``.
    :ivar size: bytes; 0 for a common prefix.
    :ivar created_at: `None` where the provider does not keep it.
    :ivar modified_at: `None` for a common prefix.
    """

    key: str
    bucket: Bucket
    size: int = 0
    created_at: datetime | None = None
    modified_at: datetime | None = None

    @property
    def uri(self) -> URL:
        """Address of the entry; it always leads back to `key`, whatever characters the key has."""
        return blob_uri(self.bucket.uri, self.key)

    @property
    def name(self) -> str:
        """Last component of the key, without the ``/`` that marks a folder."""
        return self.key.rstrip("/").rpartition("/")[2]

    def is_dir(self, uri: URL | None = None) -> bool:  # noqa: ARG002 - the reference documents the parameter; it has no use
        """Whether the entry stands for a folder."""
        return self.key.endswith("/") and self.size == 0

    def is_file(self, uri: URL | None = None) -> bool:  # noqa: ARG002 - as is_dir
        """Whether the entry is a blob with content."""
        return not self.is_dir()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobObject(BucketEntry):
    """A key that is present in the storage.

    :ivar etag: identity of this version without quotes, or `None` where the provider has none.
    """

    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobCommonPrefix(BucketEntry):
    """All keys that share a prefix up to the next ``/``: a kind of folder."""

    def is_dir(self, uri: URL | None = None) -> bool:  # noqa: ARG002 - as BucketEntry.is_dir
        """Whether the entry stands for a folder: always."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketUsage:
    """Disk space of a bucket, counted so far."""

    total_bytes: int
    object_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What a transfer did.

    :ivar files: files moved.
    :ivar bytes: bytes that had to be moved for them: of a file that was gone on with, only the rest.
    :ivar verified: those of the files whose content was compared with a checksum of the provider; of the others the
        size was, and that the blob stayed one version. All files where the provider has a checksum to compare.
    :ivar unchanged: files that were up to date already.
    :ivar kept: files that an earlier try of the same transfer has moved.
    :ivar skipped: paths or addresses left alone, with the reason.
    :ivar failed: paths or addresses that failed, with the reason.
    :ivar seconds: wall time.
    """

    files: int
    bytes: int
    seconds: float
    verified: int = 0
    unchanged: int = 0
    kept: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes_per_second(self) -> float:
        """Bytes moved a second of wall time; 0 for an empty transfer."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0
