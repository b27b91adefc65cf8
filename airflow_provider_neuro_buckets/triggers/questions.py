"""What sensors and triggers ask, each one coroutine; an answer is what goes to XCom, and `None` means: not yet.

"Not yet" is only what the storage says does not exist in a bucket that does: a missing bucket, a refusal or a fault is
an error, never an absence.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.buckets.models import BucketEntry

MOST_URIS = 100


async def find_blobs(buckets: Buckets, uris: Sequence[str]) -> list[dict[str, Any]] | None:
    """Whether all blobs exist: a description of each, in the given order.

    :raises ResourceNotFound: a bucket does not exist.
    """
    found = []
    for uri in uris:
        try:
            found.append(describe(await buckets.stat_blob(uri)))
        except ResourceNotFound:
            await buckets.blob_is_dir(uri)  # raises if there is not even the bucket
            return None
    return found


async def find_matches(buckets: Buckets, pattern: str, min_count: int) -> dict[str, Any] | None:
    """Whether at least `min_count` blobs or folders match: ``{"count", "uris"}``.

    Looking stops at `min_count` or 100 matches, whichever is more; `uris` are the first 100.

    :raises ResourceNotFound: the bucket does not exist.
    """
    uris: list[str] = []
    count = 0
    most = max(min_count, MOST_URIS)
    async with aclosing(buckets.glob_blobs(pattern)) as entries:
        async for entry in entries:
            count += 1
            if len(uris) < MOST_URIS:
                uris.append(str(entry.uri))
            if count == most:
                break
    return {"count": count, "uris": uris} if count >= min_count else None


def describe(entry: BucketEntry) -> dict[str, Any]:
    """Return a blob in JSON: ``{"uri", "key", "size", "etag", "modified_at"}``."""
    return {
        "uri": str(entry.uri),
        "key": entry.key,
        "size": entry.size,
        "etag": getattr(entry, "etag", None),
        "modified_at": entry.modified_at.isoformat() if entry.modified_at else None,
    }
