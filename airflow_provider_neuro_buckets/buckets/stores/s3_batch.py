"""Deleting many blobs of S3 in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Unavailable, error_for
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import deletion, parse_deletion

BATCH = 1000
LARGEST_ANSWER = 16 * 1024 * 1024


async def delete_batch(
    lane: DirectLane, keys: Sequence[str], *, where: str, address: Callable[[str], str]
) -> dict[str, BucketsError]:
    """Delete keys, at most 1,000; return those that could not be deleted, with the reason.

    :param where: the address of the bucket, for errors.
    :param address: that of a key.
    """
    body = deletion(keys)
    request = Request(
        what=f"cannot delete {len(keys)} blobs of {where}",
        method="POST",
        path="",
        query="delete=",
        headers={"Content-MD5": base64_of(md5(body)), "Content-Length": str(len(body))},
        body=body,
    )
    _, answer = await lane.fetch(request, largest=LARGEST_ANSWER)
    failed = await asyncio.to_thread(parse_deletion, answer, where)
    if not {key for key, _, _ in failed} <= set(keys):
        return dict.fromkeys(keys, Unavailable(f"{request.what}: the storage does not say which of them"))
    return {
        key: error_for(
            403 if code == "AccessDenied" else 400,
            what=f"cannot delete {address(key)}",
            code=code,
            detail=message[:200],
        )
        for key, code, message in failed
        if code not in {"NoSuchKey", "NoSuchVersion"}
    }
