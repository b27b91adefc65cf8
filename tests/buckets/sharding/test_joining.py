from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.joining import OutOfOrder, Pages, in_order, join, sorted_pages

KEYS = some.text(some.characters(codec=None, exclude_categories=()), max_size=5)
SIDES = some.dictionaries(KEYS, some.integers(0, 9))


async def pages_of(*pages: list[str]) -> Pages:
    for page in pages:
        yield [Entry(key, 0) for key in page]


async def one_page(side: dict[str, int]) -> Pages:
    yield [Entry(key, side[key]) for key in sorted(side)]


@given(left=SIDES, right=SIDES)
def test_a_join_is_the_union_of_the_keys_with_what_each_side_has(left: dict[str, int], right: dict[str, int]) -> None:
    async def joined() -> list[tuple[Entry | None, Entry | None]]:
        sides = [in_order(one_page(side), of="a side") for side in (left, right)]
        return [pair async for pair in join(*sides)]

    assert asyncio.run(joined()) == [
        (Entry(key, left[key]) if key in left else None, Entry(key, right[key]) if key in right else None)
        for key in sorted(left.keys() | right.keys())
    ]


@given(left=some.text(), right=some.text())
def test_the_order_of_keys_is_that_of_their_bytes(left: str, right: str) -> None:
    """In which S3, Azure and Google list them."""
    assert (left < right) == (left.encode() < right.encode())


@pytest.mark.parametrize("pages", [(["b", "a"],), (["a", "b"], ["a"]), (["a", "a"],), (["a/b", "a-b"],)])
async def test_a_listing_out_of_order_is_an_error_before_anything_is_concluded(pages: tuple[list[str], ...]) -> None:
    with pytest.raises(OutOfOrder, match="some place"):
        _ = [entry async for entry in in_order(pages_of(*pages), of="some place")]


ENTRIES = some.tuples(KEYS, some.integers(0, 9)).map(lambda pair: Entry(*pair))


@given(pages=some.lists(some.lists(ENTRIES, max_size=6)), at_once=some.integers(1, 9))
def test_sorting_on_the_disk_is_sorting(pages: list[list[Entry]], at_once: int) -> None:
    async def source() -> Pages:
        for page in pages:
            yield page

    async def run() -> list[Entry]:
        with tempfile.TemporaryDirectory() as folder:
            found = sorted_pages(source(), Path(folder), at_once=at_once)
            return [entry async for page in found for entry in page]

    last = {entry.key: entry for page in pages for entry in page}
    assert asyncio.run(run()) == [last[key] for key in sorted(last)]
