"""What a page of a listing says of its blobs, so that the garbage collector has next to nothing to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import overload

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta

Row = tuple[str, int, str | None, datetime | None, datetime | None, str | None]
"""The fields of a `BlobMeta` in their order."""


class Rows(Sequence[BlobMeta]):
    """The blobs of a page as plain tuples; each value is made when it is looked at.

    A collection of all that a worker holds takes 0.1 s, and is due whenever a quarter as many objects have outlived a
    few small ones. The values of a million keys would be so many; tuples of text and numbers are not counted.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> BlobMeta: ...

    @overload
    def __getitem__(self, at: slice) -> Rows: ...

    def __getitem__(self, at: int | slice) -> BlobMeta | Rows:
        return Rows(self.rows[at]) if isinstance(at, slice) else _meta(self.rows[at])

    def __iter__(self) -> Iterator[BlobMeta]:
        return map(_meta, self.rows)


def _meta(row: Row) -> BlobMeta:
    key, size, etag, modified_at, created_at, md5 = row
    return BlobMeta(key=key, size=size, etag=etag, modified_at=modified_at, created_at=created_at, md5=md5)


def rows_of(blobs: Sequence[BlobMeta]) -> Iterable[Row]:
    """Return the fields of each of some blobs."""
    if isinstance(blobs, Rows):
        return blobs.rows
    return ((one.key, one.size, one.etag, one.modified_at, one.created_at, one.md5) for one in blobs)
