from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.temporary import RESUMABLE
from buckets.transfer.asking import download, download_one, upload, upload_one
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, Guard, remote
from conformance.rigs.base import Rig

SMALL = b"new content"
LARGE = random.Random(8).randbytes(SINGLE_READ + 77)

pytestmark = pytest.mark.usefixtures("no_open_files")


async def cancel_at(moment: int, transfer: Callable[[Guard], Awaitable[object]]) -> bool:
    """Cancel a transfer when it asks the store for the time number `moment`; return whether it came to that."""
    count = 0
    reached = False

    async def guard(_: Call) -> None:
        nonlocal count, reached
        count += 1
        if count == moment:
            reached = True
            task.cancel()

    async def run() -> None:
        await transfer(guard)

    task = asyncio.create_task(run())
    try:
        await task
    except asyncio.CancelledError:
        assert reached
    return reached


async def at_every_moment(
    transfer: Callable[[Guard], Awaitable[object]], check: Callable[[], Awaitable[None]], *, step: int = 1
) -> int:
    """Cancel a transfer at every moment until it is through; check after each; return how many there were."""
    moment = 1
    while await cancel_at(moment, transfer):
        assert asyncio.all_tasks() == {asyncio.current_task()} or await settled()
        await check()
        moment += step
    return moment - 1


async def settled() -> bool:
    """Whether every other task ends by itself in a moment: connections that are closing."""
    for _ in range(60 * 100):
        if len(asyncio.all_tasks()) == 1:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_download_cancelled_at_any_moment_keeps_the_old_file_and_leaves_nothing_f87(
    aws: Rig, tmp_path: Path
) -> None:
    await aws.put("k", LARGE)
    old = LARGE[:PART]

    async def transfer(guard: Guard) -> None:
        plant(tmp_path, {"f": old})
        await download_one(remote(aws, "k", guard)[0], tmp_path / "f")

    async def check() -> None:
        assert snapshot(tmp_path) in ({"f": old}, {"f": LARGE})

    assert await at_every_moment(transfer, check, step=7) > 14
    assert snapshot(tmp_path) == {"f": LARGE}


async def test_a_download_that_continues_and_is_cancelled_at_any_moment_leaves_what_the_next_one_goes_on_with_f87(
    aws: Rig, tmp_path: Path
) -> None:
    await aws.put("k", LARGE)
    old = LARGE[:PART]

    def left() -> list[Path]:
        return [path for path in tmp_path.iterdir() if path.name.endswith(RESUMABLE)]

    async def transfer(guard: Guard) -> None:
        plant(tmp_path, {"f": old})
        await download_one(remote(aws, "k", guard)[0], tmp_path / "f", existing=Existing.CONTINUE)

    async def check() -> None:
        assert len(left()) <= 1
        await download_one(remote(aws, "k")[0], tmp_path / "f", existing=Existing.CONTINUE)
        assert snapshot(tmp_path) == {"f": LARGE}

    assert await at_every_moment(transfer, check, step=7) > 14
    assert snapshot(tmp_path) == {"f": LARGE}


async def test_a_folder_download_cancelled_at_any_moment_leaves_whole_files_only_f87(aws: Rig, tmp_path: Path) -> None:
    for number in range(4):
        await aws.put(f"d/{number}", b"new %d" % number)

    async def transfer(guard: Guard) -> None:
        plant(tmp_path, {str(number): b"old" for number in range(4)})
        await download(remote(aws, "d", guard)[0], tmp_path)

    async def check() -> None:
        found = snapshot(tmp_path)
        assert set(found) == {"0", "1", "2", "3"}
        assert all(content in (b"old", b"new " + name.encode()) for name, content in found.items())

    assert await at_every_moment(transfer, check) >= 10


async def test_an_upload_cancelled_at_any_moment_keeps_the_old_blob_and_leaves_no_parts_f87(
    s3: Rig, tmp_path: Path
) -> None:
    plant(tmp_path, {"f": LARGE})
    await s3.put("k", b"old")

    async def transfer(guard: Guard) -> None:
        await upload_one(tmp_path / "f", remote(s3, "k", guard)[0])

    async def check() -> None:
        assert await s3.unfinished() == []
        assert await s3.get("k") in (b"old", LARGE)

    assert await at_every_moment(transfer, check) >= 5
    assert await s3.get("k") == LARGE


async def test_a_folder_upload_cancelled_at_any_moment_leaves_whole_blobs_only_f87(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"a": SMALL, "b": LARGE, "d/c": SMALL, "empty/": None})

    async def transfer(guard: Guard) -> None:
        await aws.store.delete(["x/a", "x/b", "x/d/c", "x/empty/"])
        await upload(tmp_path, remote(aws, "x", guard)[0])

    async def check() -> None:
        assert await aws.unfinished() == []
        for key in await aws.names():
            expected = {"x/a": SMALL, "x/b": LARGE, "x/d/c": SMALL, "x/empty/": b""}
            assert await aws.get(key) == expected[key]

    assert await at_every_moment(transfer, check) >= 8
