"""Spans of a blob into memory, on every provider."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from airflow_provider_neuro_buckets.buckets.errors import Conflict, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.listing import blob_entry
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.buckets.reading import read_bytes
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.transfer.content import put_content
from airflow_provider_neuro_buckets.buckets.transfer.plan import SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from conformance.rigs.base import Rig
from conformance.watching import WatchedStore

CONTENT = bytes(range(256)) * 4


async def read(
    store: BlobStore,
    key: str = "blob",
    *,
    start: int | None = None,
    stop: int | None = None,
    version: BlobObject | None = None,
) -> bytes:
    window = Window(max_concurrency=8, max_buffer_bytes=64 * 1024 * 1024)
    return await read_bytes(store, key, start=start, stop=stop, version=version, window=window)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (None, None),
        (0, None),
        (0, 1024),
        (0, 1),
        (1023, 1024),
        (5, 5),
        (7, 3),
        (-3, None),
        (-5, -2),
        (None, -1000),
        (1000, 99_999),
        (1024, None),
        (99_999, None),
        (-99_999, 4),
    ],
)
async def test_bounds_mean_what_they_mean_in_a_slice(rig: Rig, start: int | None, stop: int | None) -> None:
    await rig.put("blob", CONTENT)
    assert await read(rig.store, start=start, stop=stop) == CONTENT[start:stop]
    seen = blob_entry(rig.bucket, await rig.store.head("blob"))
    assert await read(rig.store, start=start, stop=stop, version=seen) == CONTENT[start:stop]


async def test_an_empty_blob_is_read_as_nothing(rig: Rig) -> None:
    await rig.put("blob", b"")
    assert await read(rig.store) == await read(rig.store, start=-5, stop=9) == b""


async def test_a_small_blob_whole_costs_one_request_and_a_span_of_a_version_that_was_seen_as_well(rig: Rig) -> None:
    await rig.put("blob", CONTENT)
    watched = WatchedStore(rig.store)
    seen = blob_entry(rig.bucket, await rig.store.head("blob"))
    assert await read(watched) == CONTENT
    assert await read(watched, start=1, stop=2, version=seen) == CONTENT[1:2]
    assert watched.verbs == []  # reads are not counted: nothing was asked beside them


async def test_a_large_blob_is_read_in_ranges_and_comes_together_in_order(rig: Rig) -> None:
    content = os.urandom(SINGLE_READ + 1_000_003)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 1_000_000):
            yield content[at : at + 1_000_000]

    await put_content(rig.store, "blob", chunks())
    assert await read(rig.store) == content
    assert await read(rig.store, start=17, stop=-5) == content[17:-5]


async def test_a_version_that_was_replaced_is_a_conflict(rig: Rig) -> None:
    await rig.put("blob", CONTENT)
    seen = blob_entry(rig.bucket, await rig.store.head("blob"))
    await rig.put("blob", CONTENT[::-1])
    with pytest.raises(Conflict):
        await read(rig.store, version=seen)


async def test_a_missing_blob_is_not_found(rig: Rig) -> None:
    for start in (None, 3):
        with pytest.raises(ResourceNotFound):
            await read(rig.store, start=start)
