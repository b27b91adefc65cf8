"""Where a transfer in shards begins and ends: a bucket, a folder that the workers share, a folder of a filesystem."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from airflow_provider_neuro_buckets.buckets.client import Buckets


@dataclass(frozen=True, slots=True)
class BucketEnd:
    """What lies below an address of a bucket, as in a folder.

    :param buckets: an open client; two ends of one transfer may have different ones. Closed by whoever opened it.
    :param uri: ``blob:`` URI of the folder, or of the bucket itself.
    """

    buckets: Buckets = field(repr=False)
    uri: str

    def address(self) -> str:
        """Return what it is called in messages."""
        return self.uri


@dataclass(frozen=True, slots=True)
class FolderEnd:
    """A local folder. Each worker must see the same one at this path."""

    path: Path

    def address(self) -> str:
        """Return what it is called in messages."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class FilesystemEnd:
    """A folder of an fsspec filesystem, such as the `fs` and `path` of an ``ObjectStoragePath`` of another provider.

    Names that could not be those of local files, such as ``..``, are refused there too. A local filesystem counts as a
    :class:`FolderEnd` of the same path.

    :param fs: of any protocol; its blocking methods run in threads, several at once.
    :param path: the folder, as the filesystem writes it, without a protocol.
    """

    fs: AbstractFileSystem = field(repr=False)
    path: str

    def address(self) -> str:
        """Return what it is called in messages."""
        return str(self.fs.unstrip_protocol(self.path))


End = BucketEnd | FolderEnd | FilesystemEnd
