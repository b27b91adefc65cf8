"""What sensors and triggers ask, each one coroutine; an answer is what goes to XCom, and `None` means: not yet.

"Not yet" is only what the storage says does not exist in a bucket that does, or what a condition says is not enough: a
missing bucket, a refusal or a fault is an error, never an absence.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.triggers.conditions import ANY, Conditions
from airflow_provider_neuro_buckets.triggers.quiet import Look

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.buckets.models import BucketEntry

MOST_URIS = 100
AT_ONCE = 16
T = TypeVar("T")


async def find_blobs(
    buckets: Buckets, uris: Sequence[str], *, enough: int, conditions: Conditions = ANY
) -> list[dict[str, Any]] | None:
    """Whether enough of the blobs exist and are as the conditions want: a description of each, in the given order.

    :raises ResourceNotFound: a bucket does not exist.
    """
    found = await _each(uris, lambda uri: _find_blob(buckets, uri, conditions))
    await _check_buckets(buckets, [uri for uri, entry in zip(uris, found, strict=True) if entry is _MISSING])
    good = [describe(entry) for entry in found if isinstance(entry, BlobObject)]
    return good if len(good) >= enough else None


_MISSING = object()


async def _find_blob(buckets: Buckets, uri: str, conditions: Conditions) -> object:
    """Return the blob, `_MISSING`, or `None` for one that is not yet as the conditions want."""
    try:
        entry = await buckets.stat_blob(uri)
    except ResourceNotFound:
        return _MISSING
    now = await buckets.storage_time(uri)
    return entry if conditions.accept(size=entry.size, modified_at=entry.modified_at, now=now) else None


async def _check_buckets(buckets: Buckets, missing: Iterable[str]) -> None:
    """Raise if there is not even the bucket of a missing blob; asks once for each bucket."""
    first_in = {(await buckets.locate(uri))[0].id: uri for uri in missing}
    await _each(list(first_in.values()), buckets.blob_is_dir)


async def _each(uris: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> list[T]:
    """Return the answer for each address; a few are asked for at once, and the first error is raised."""
    answers: list[T] = []
    for start in range(0, len(uris), AT_ONCE):
        for answer in await asyncio.gather(*map(ask, uris[start : start + AT_ONCE]), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
    return answers


async def find_matches(
    buckets: Buckets, pattern: str, min_count: int, *, conditions: Conditions = ANY
) -> dict[str, Any] | None:
    """Whether at least `min_count` blobs or folders match: ``{"count", "uris"}``. With a condition, only blobs do.

    Looking stops at `min_count` or 100 matches, whichever is more; `uris` are the first 100.

    :raises ResourceNotFound: the bucket does not exist.
    """
    uris: list[str] = []
    count = 0
    most = max(min_count, MOST_URIS)
    now: datetime | None = None
    async with aclosing(buckets.glob_blobs(pattern)) as entries:
        async for entry in entries:
            now = now or await buckets.storage_time(entry.bucket.uri)
            if not _counts(entry, conditions, now):
                continue
            count += 1
            if len(uris) < MOST_URIS:
                uris.append(str(entry.uri))
            if count == most:
                break
    return {"count": count, "uris": uris} if count >= min_count else None


def _counts(entry: BucketEntry, conditions: Conditions, now: datetime) -> bool:
    if conditions == ANY:
        return True
    return isinstance(entry, BlobObject) and conditions.accept(size=entry.size, modified_at=entry.modified_at, now=now)


async def look_under(buckets: Buckets, uri: str) -> Look:
    """Look at all that starts with an address, in memory for one page of its listing.

    :raises ResourceNotFound: the bucket does not exist.
    """
    digest = hashlib.blake2b(digest_size=16)
    count = size = 0
    newest = None
    async with aclosing(buckets.list_blobs(uri, recursive=True, limit=None)) as entries:
        async for entry in entries:
            count += 1
            size += entry.size
            digest.update(identity(entry))
            if entry.modified_at and (newest is None or entry.modified_at > newest):
                newest = entry.modified_at
    now = await buckets.storage_time(uri)
    return Look(count=count, size=size, digest=digest.hexdigest(), newest=newest, at=now)


def identity(entry: BucketEntry) -> bytes:
    """Return what is different for every other blob, and for every other version of it."""
    modified_at = entry.modified_at.timestamp() if entry.modified_at else None
    return repr((entry.key, entry.size, getattr(entry, "etag", None), modified_at)).encode()


def describe(entry: BucketEntry) -> dict[str, Any]:
    """Return a blob in JSON: ``{"uri", "key", "size", "etag", "modified_at"}``."""
    return {
        "uri": str(entry.uri),
        "key": entry.key,
        "size": entry.size,
        "etag": getattr(entry, "etag", None),
        "modified_at": entry.modified_at.isoformat() if entry.modified_at else None,
    }
