from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from airflow_provider_neuro_buckets.buckets.errors import Conflict
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange
from airflow_provider_neuro_buckets.buckets.stores.copying import PARTS_AT_ONCE, copy_parts, cut


@given(size=integers(1, 20 * 1024**3), part=integers(5 * 1024**2, 1024**3), most=integers(1, 10_000))
def test_parts_tile_the_blob_and_are_never_too_many(size: int, part: int, most: int) -> None:
    first, *_ = parts = cut(size, part=part, most=most)
    assert (first.start, parts[-1].stop) == (0, size)
    assert all(left.stop == right.start for left, right in pairwise(parts))
    assert len(parts) <= most
    assert {len(one) for one in parts[:-1]} <= {len(first)}


async def test_no_more_parts_are_under_way_than_there_is_room_for_and_all_are_made() -> None:
    open_now = most_open = 0
    made: list[int] = []
    told: list[int] = []

    async def copy(number: int, _: ByteRange) -> None:
        nonlocal open_now, most_open
        open_now += 1
        most_open = max(most_open, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        made.append(number)

    await copy_parts(cut(100, part=1, most=100), copy, slot=nullcontext, copied=told.append)
    assert sorted(made) == list(range(1, 101))
    assert told == list(range(1, 101))
    assert most_open == PARTS_AT_ONCE


async def test_one_part_that_fails_ends_the_others_and_every_slot_comes_back() -> None:
    held = 0
    begun: list[int] = []

    @asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        nonlocal held
        held += 1
        try:
            yield
        finally:
            held -= 1

    async def copy(number: int, _: ByteRange) -> None:
        begun.append(number)
        if number == 3:
            raise Conflict("changed")
        await asyncio.Event().wait()

    with pytest.raises(Conflict, match="changed"):
        await copy_parts(cut(100, part=1, most=100), copy, slot=slot, copied=lambda _: None)
    assert held == 0
    assert len(begun) <= PARTS_AT_ONCE
