"""What is to be done in shards."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.sharding.ends import BucketEnd, End


@dataclass(frozen=True, slots=True)
class CopyJob:
    """Move everything that lies in `src` to `dst`, whatever that holds.

    Keys that cannot be local files are refused by a local folder and by a filesystem, as a download does; of two keys
    that would meet in one local path, such as ``a`` and ``a/b``, one arrives and the other fails. On a file system that
    takes ``a`` and ``A`` for one name, the later one stays.

    :raises ConfigurationError: neither is in a bucket.
    """

    src: End
    dst: End

    def __post_init__(self) -> None:
        _check(self.src, self.dst)


@dataclass(frozen=True, slots=True)
class SyncJob:
    """Move what `dst` lacks, or holds in another size or content, or older: as ``update=True`` in one process.

    :param delete_extra: delete the files that are at `dst` only; local folders stay. An empty source never empties a
        destination: it is refused.
    :raises ConfigurationError: neither is in a bucket.
    """

    src: End
    dst: End
    delete_extra: bool = False

    def __post_init__(self) -> None:
        _check(self.src, self.dst)


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete what lies below an address of a bucket, as a folder; a blob of exactly that key stays.

    The keys that are listed by the plan are deleted, whatever they hold by then.
    """

    end: BucketEnd


Job = CopyJob | SyncJob | DeleteJob


def _check(src: End, dst: End) -> None:
    if not isinstance(src, BucketEnd) and not isinstance(dst, BucketEnd):
        raise ConfigurationError(
            f"neither {src.address()} nor {dst.address()} is in a bucket", remedy="Make one end a blob: address"
        )
