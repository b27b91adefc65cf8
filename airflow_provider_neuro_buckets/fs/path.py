"""The ``blob`` paths of universal_pathlib, on which `ObjectStoragePath` stands."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlsplit

from fsspec.registry import get_filesystem_class
from upath import UPath

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.fs.paths import SCHEME

# universal_pathlib learns only once how paths of a scheme look, when it sees the first: the filesystem must be known.
get_filesystem_class(SCHEME)


class BlobPath(UPath):
    """A path in a bucket.

    :raises InvalidAddress: its text, which is how Airflow hands paths from task to task, would be read as another path.
    """

    __slots__ = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        written = f"{SCHEME}://{self.path}"
        if (read := urlsplit(written).geturl()) != written and self.path:
            raise InvalidAddress(
                f"{written!r} cannot be a path: as text, Airflow would read {read!r}",
                remedy="Use the hook for this key",
            )

    def glob(self, pattern: str, **options: Any) -> Iterator[Self]:
        """Yield what matches below this path, whose own name is no part of the pattern."""
        if not glob.has_magic(self.path):
            yield from super().glob(pattern, **options)
            return
        for name in self.fs.glob(f"{glob.escape(self.path)}/{pattern}"):
            yield self / name.removeprefix(f"{self.path}/")

    def rglob(self, pattern: str, **options: Any) -> Iterator[Self]:
        """Yield what matches in any folder below this path."""
        if not glob.has_magic(self.path):
            yield from super().rglob(pattern, **options)
            return
        yield from self.glob(f"**/{pattern}")
