from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets.stores.checksums import CRC_FROM
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import IN_MEMORY, MIB, PART, SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from buckets.transfer.asking import download, upload, window
from buckets.transfer.front import behind
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, remote
from conformance.rigs.base import Rig

AT_ONCE = 32
FILES = {f"f{number:03}": b"%d" % number for number in range(3 * AT_ONCE)}


def together(count: int, method: str) -> Callable[[web.Request], Awaitable[None]]:
    """Let the requests of a method pass only once so many of them are open at the same time."""
    waiting = 0
    met = asyncio.Event()

    async def hold(request: web.Request) -> None:
        nonlocal waiting
        if request.method == method and "list-type" not in request.query_string:
            waiting += 1
            if waiting >= count:
                met.set()
            await met.wait()

    return hold


async def test_many_small_files_are_really_under_way_at_once(aws: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", FILES)
    async with behind(aws) as (front, listing), asyncio.timeout(120):
        front.hold = together(AT_ONCE, "PUT")
        await upload(src, Remote(listing, "x"), through=window(max_concurrency=64))
        assert front.most_open >= AT_ONCE
        front.hold, front.most_open = together(AT_ONCE, "GET"), 0
        await download(Remote(listing, "x"), tmp_path / "dst", through=window(max_concurrency=64))
        assert front.most_open >= AT_ONCE
    assert snapshot(tmp_path / "dst") == FILES


async def test_the_parts_of_one_file_are_really_under_way_at_once(aws: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", {"f": random.Random(1).randbytes(5 * PART)})
    async with behind(aws) as (front, listing), asyncio.timeout(120):
        front.hold = together(5, "PUT")
        await upload(src, Remote(listing, "x"))
        front.hold = together(5, "GET")
        await download(Remote(listing, "x"), tmp_path / "dst")
    assert snapshot(tmp_path / "dst") == snapshot(src)


async def test_no_more_requests_are_open_than_the_window_lets_through(aws: Rig, tmp_path: Path) -> None:
    tree = {**FILES, "large": random.Random(1).randbytes(3 * PART), "other": random.Random(2).randbytes(3 * PART)}
    src = plant(tmp_path / "src", tree)
    async with behind(aws) as (front, listing):
        await upload(src, Remote(listing, "x"), through=window(max_concurrency=3))
        assert front.most_open <= 3
        front.most_open = 0
        await download(Remote(listing, "x"), tmp_path / "dst", through=window(max_concurrency=3))
        assert front.most_open <= 3 + 1  # the next page of the listing
    assert snapshot(tmp_path / "dst") == tree


class CountingWindow(Window):
    """The real window, with a look at what is in it."""

    def __init__(self, *, max_concurrency: int, max_buffer_bytes: int) -> None:
        super().__init__(max_concurrency=max_concurrency, max_buffer_bytes=max_buffer_bytes)
        self.bytes = self.most_bytes = self.passed = 0

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        async with super().room(size):
            with self._counting(size):
                yield

    @asynccontextmanager
    async def buffer(self, size: int) -> AsyncIterator[bytearray]:
        async with super().buffer(size) as buffer:
            with self._counting(size):
                yield buffer

    @contextmanager
    def _counting(self, size: int) -> Iterator[None]:
        self.bytes += size
        self.passed += size
        self.most_bytes = max(self.most_bytes, self.bytes)
        try:
            yield
        finally:
            self.bytes -= size


async def test_bytes_in_flight_never_exceed_the_buffer_and_every_byte_passes_the_window(
    aws: Rig, tmp_path: Path
) -> None:
    chance = random.Random(3)
    tree = {f"small{number}": chance.randbytes(chance.randrange(200_000)) for number in range(40)}
    tree |= {f"large{number}": chance.randbytes(SINGLE_READ + number) for number in range(1, 3)}
    src = plant(tmp_path / "src", tree)
    room = 17 * MIB
    through = CountingWindow(max_concurrency=16, max_buffer_bytes=room)
    await upload(src, remote(aws, "x")[0], through=through)
    assert through.most_bytes <= room
    assert through.passed == sum(map(len, tree.values()))
    through = CountingWindow(max_concurrency=16, max_buffer_bytes=room)
    await download(remote(aws, "x")[0], tmp_path / "dst", through=through)
    assert through.most_bytes <= room
    assert through.passed == sum(map(len, tree.values()))
    assert snapshot(tmp_path / "dst") == tree


@pytest.mark.parametrize(
    ("size", "requests"),
    [
        (IN_MEMORY, ["read"]),
        (IN_MEMORY + 1, ["read"]),
        (CRC_FROM, ["checksum", "read"]),
        (SINGLE_READ, ["checksum", "read"]),
    ],
)
async def test_a_blob_that_is_not_large_is_read_in_one_request(
    aws: Rig, tmp_path: Path, size: int, requests: list[str]
) -> None:
    content = random.Random(4).randbytes(size)
    await aws.store.write("x", content)
    there, store = remote(aws, "")
    report = await download(there, tmp_path / "dst")
    assert (tmp_path / "dst" / "x").read_bytes() == content
    assert report.verified == 1
    assert [call.verb for call in store.calls if call.verb not in {"pages", "chunk"}] == requests


async def test_a_buffer_smaller_than_a_part_still_moves_everything(aws: Rig, tmp_path: Path) -> None:
    tree = {"large": random.Random(1).randbytes(SINGLE_READ + 1), "small": b"x", "empty": b""}
    src = plant(tmp_path / "src", tree)
    through = Window(max_concurrency=1, max_buffer_bytes=1)
    await upload(src, remote(aws, "x")[0], through=through)
    await download(remote(aws, "x")[0], tmp_path / "dst", through=through)
    assert snapshot(tmp_path / "dst") == tree


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_large_file_takes_a_task_for_each_request_and_not_one_for_each_part(
    aws: Rig, tmp_path: Path, direction: str
) -> None:
    src = plant(tmp_path / "src", {"f": random.Random(1).randbytes(6 * PART)})
    most = 0

    async def count(_: Call) -> None:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))

    async def run(*, workers: int) -> int:
        nonlocal most
        most = 0
        there, _ = remote(aws, "x", count)
        if direction == "up":
            await upload(src, there, through=window(max_concurrency=workers))
        else:
            await download(there, tmp_path / "dst", through=window(max_concurrency=workers))
        return most

    if direction == "down":
        await upload(src, remote(aws, "x")[0])
    assert await run(workers=2) < await run(workers=6)
    assert await run(workers=2) < 12
