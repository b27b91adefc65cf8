"""Shards that are cut off, and taken up again by another worker: what is done is not done again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import Buckets, TransferError
from airflow_provider_neuro_buckets.buckets.progress import StorageProgressComplete
from airflow_provider_neuro_buckets.buckets.sharding import (
    BucketEnd,
    CopyJob,
    DeleteJob,
    FilesystemEnd,
    FolderEnd,
    Job,
    Plan,
    Shard,
    ShardReport,
    checkpoints,
    conclude,
    plan_shards,
    run_shard,
)
from airflow_provider_neuro_buckets.buckets.sharding.ledger import Ledger
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from buckets.sharding.sites import Site, Sites, files_of
from buckets.transfer import clients
from buckets.transfer.clients import client, over_a_meter
from buckets.transfer.front import behind
from buckets.transfer.recording import Recorder
from buckets.transfer.trees import plant, snapshot
from metered import Meter

# Azure's SDK, around the store, hands large bodies to aiohttp in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

SIZE = 20_000
TREE = {f"{number:03}": random.Random(number).randbytes(SIZE) for number in range(250)}
"""More files than are in flight at once."""
WHOLE = SIZE * len(TREE)
MOST_FILES = 50
HEADERS = 4000
"""More than what a request and its answer need besides their content."""


async def noted(site: Site, shard: Shard) -> ShardReport:
    """Return what stands in the books of a shard."""
    _, key = await site.buckets.locate(shard.uri)
    return Ledger(shard, failures=Spool(Path("unused")), kept=await site.rig.get(key + ".done")).report()


async def cut_off(shard: Shard, job: Job, work: Buckets, meter: Meter, *, at: int = WHOLE // 2) -> None:
    """Run a shard, and cancel it once so many bytes have passed."""
    running = asyncio.create_task(run_shard(shard, job, work=work))

    def passed() -> None:
        if meter.total > at:
            meter.passed = None
            running.cancel()

    meter.passed = passed
    with pytest.raises(asyncio.CancelledError):
        await running


@asynccontextmanager
async def metered_end(site: Site, folder: str) -> AsyncIterator[tuple[BucketEnd, Meter]]:
    """Give an end through a client of its own, and count what passes."""
    async with over_a_meter((site.rig.bucket, site.rig.keys)) as (buckets, meter):
        yield BucketEnd(buckets, clients.at(site.rig.bucket, folder)), meter


async def cut_off_and_taken_up(site: Site, shard: Shard, make: Callable[[BucketEnd], Job], folder: str) -> None:
    """Cut a shard off in the middle, and let another client finish it."""
    async with metered_end(site, folder) as (end, meter):
        await cut_off(shard, make(end), site.buckets, meter)
    before = await noted(site, shard)
    assert 0 < before.items < len(TREE)
    async with metered_end(site, folder) as (end, meter):
        report = await run_shard(shard, make(end), work=site.buckets)
        left = len(TREE) - before.items
        assert meter.total < left * (SIZE + HEADERS)
    assert (report.items, report.bytes, report.failed) == (len(TREE), WHOLE, 0)
    # Files that were whole just before they could be noted are found to be.
    assert WHOLE - SIZE * MOST_FILES < report.moved <= WHOLE


async def only_shard(job: Job, site: Site) -> tuple[Plan, Shard]:
    plan = await plan_shards(job, work=site.work, shards=1)
    (shard,) = plan.shards
    return plan, shard


async def test_an_upload(aws: Site, tmp_path: Path) -> None:
    src = FolderEnd(plant(tmp_path, TREE))
    plan, shard = await only_shard(CopyJob(src, aws.end("dst")), aws)
    await cut_off_and_taken_up(aws, shard, lambda end: CopyJob(src, end), "dst")
    assert await aws.holds("dst/") == TREE
    assert (await conclude(plan, work=aws.buckets)).verified == len(TREE)
    assert await aws.left_of_work() == ["report.json"]


async def test_a_download(aws: Site, tmp_path: Path) -> None:
    await aws.fill({f"src/{key}": content for key, content in TREE.items()})
    plan, shard = await only_shard(CopyJob(aws.end("src"), FolderEnd(tmp_path)), aws)
    await cut_off_and_taken_up(aws, shard, lambda end: CopyJob(end, FolderEnd(tmp_path)), "src")
    assert snapshot(tmp_path) == TREE
    assert (await conclude(plan, work=aws.buckets)).verified == len(TREE)


async def test_the_parts_of_a_large_upload(aws: Site, tmp_path: Path) -> None:
    """What finds them is in the books."""
    content = random.Random(1).randbytes(48 * 1024 * 1024)
    src = FolderEnd(plant(tmp_path, {"large": content}))
    plan, shard = await only_shard(CopyJob(src, aws.end("dst")), aws)
    async with metered_end(aws, "dst") as (end, meter):
        end.buckets.window = Window(max_concurrency=1, max_buffer_bytes=len(content))  # one part after another
        await cut_off(shard, CopyJob(src, end), aws.buckets, meter, at=len(content) // 2)
    report = await run_shard(shard, CopyJob(src, aws.end("dst")), work=aws.buckets)
    assert 0 < report.moved < report.bytes == len(content)
    assert await aws.holds("dst/") == {"large": content}
    await conclude(plan, work=aws.buckets)


async def test_a_copy_between_providers(aws: Site, sites: Sites) -> None:
    azure = await sites("azure")
    await azure.fill({f"src/{key}": content for key, content in TREE.items()})
    plan, shard = await only_shard(CopyJob(azure.end("src"), aws.end("dst")), aws)
    await cut_off_and_taken_up(aws, shard, lambda end: CopyJob(azure.end("src"), end), "dst")
    assert await aws.holds("dst/") == TREE
    assert (await conclude(plan, work=aws.buckets)).items == len(TREE)


@pytest.mark.parametrize("is_source", [True, False])
async def test_to_and_from_a_filesystem(aws: Site, memory: FilesystemEnd, is_source: bool) -> None:  # noqa: FBT001 - which end it is
    def job_of(end: BucketEnd) -> CopyJob:
        return CopyJob(memory, end) if is_source else CopyJob(end, memory)

    if is_source:
        for key, content in TREE.items():
            memory.fs.pipe_file(f"{memory.path}/{key}", content)
    else:
        await aws.fill({f"end/{key}": content for key, content in TREE.items()})
    _, shard = await only_shard(job_of(aws.end("end")), aws)
    await cut_off_and_taken_up(aws, shard, job_of, "end")
    assert files_of(memory) == TREE
    assert await aws.holds("end/") == TREE


async def test_a_deletion(aws: Site) -> None:
    """What an earlier try has deleted is not deleted again: it may be something else by now."""

    class Impatient(Recorder):
        def complete(self, data: StorageProgressComplete) -> None:
            super().complete(data)
            if not running.cancelling():
                running.cancel()

    await aws.fill({f"gone/{number:03}": b"" for number in range(600)})
    job = DeleteJob(aws.end("gone"))
    plan, shard = await only_shard(job, aws)
    async with behind(aws.rig) as (front, _):
        deletions, is_over = itertools.count(), asyncio.Event()

        async def hold(request: web.Request) -> None:
            """Let only the first deletion pass."""
            if request.method == "POST" and next(deletions):
                await is_over.wait()
                raise web.HTTPServiceUnavailable

        front.hold = hold
        async with client((aws.rig.bucket, front.keys)) as buckets:
            held = DeleteJob(BucketEnd(buckets, clients.at(aws.rig.bucket, "gone")))
            running = asyncio.create_task(run_shard(shard, held, work=aws.buckets, progress=Impatient()))
            with pytest.raises(asyncio.CancelledError):
                await running
        is_over.set()
    _, key = await aws.buckets.locate(shard.uri)
    books = Ledger(shard, failures=Spool(Path("unused")), kept=await aws.rig.get(key + ".done"))
    lines = [line["key"] for line in await aws.lines(shard)]
    gone = [line for number, line in enumerate(lines) if number in books._done]
    assert len(gone) == books.report().items
    assert 0 < len(gone) < 600
    await aws.fill({f"gone/{key}": b"something else" for key in gone[:3]})
    report = await run_shard(shard, job, work=aws.buckets)
    assert (report.items, report.failed) == (600, 0)
    assert await aws.holds("gone/") == dict.fromkeys(gone[:3], b"something else")
    assert (await conclude(plan, work=aws.buckets)).deleted == 600


async def test_what_is_done_is_noted_while_a_shard_goes_on(
    aws: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed cannot say so."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.01)
    await aws.fill({f"src/{key}": content for key, content in list(TREE.items())[:3]} | {"src/last": b"1"})
    _, shard = await only_shard(CopyJob(aws.end("src"), FolderEnd(tmp_path)), aws)

    async with behind(aws.rig) as (front, _):

        async def hold(request: web.Request) -> None:
            while request.path.endswith("/src/last") and await progress() < 3:  # noqa: ASYNC110 - the storage tells
                await asyncio.sleep(0.01)

        async def progress() -> int:
            is_noted = any(key.endswith(".done") for key in await aws.rig.names())
            return (await noted(aws, shard)).items if is_noted else 0

        front.hold = hold
        async with client((aws.rig.bucket, front.keys)) as buckets:
            job = CopyJob(BucketEnd(buckets, clients.at(aws.rig.bucket, "src")), FolderEnd(tmp_path))
            assert (await run_shard(shard, job, work=aws.buckets)).items == 4


async def test_a_cancellation_while_the_books_are_closed_is_obeyed_and_they_are_written(
    aws: Site, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"1")
    _, shard = await only_shard(CopyJob(FolderEnd(tmp_path), aws.end("dst")), aws)
    books = Ledger(shard, failures=Spool(tmp_path / "failures"))

    async def closing() -> None:
        async with checkpoints.keeping(books, aws.rig.store, "books"):
            asyncio.get_running_loop().call_soon(task.cancel)  # comes when the block has ended

    task = asyncio.create_task(closing())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await aws.rig.get("books") == books.content()


async def test_failures_are_tried_again_and_counts_are_of_all_tries(aws: Site, tmp_path: Path) -> None:
    await aws.fill({f"src/{key}": b"12" for key in ("a", "b", "c", "d")})
    (tmp_path / "b" / "in the way").mkdir(parents=True)
    job = CopyJob(aws.end("src"), FolderEnd(tmp_path))
    plan, shard = await only_shard(job, aws)
    for _ in range(2):
        with pytest.raises(TransferError, match="1 of 4 items") as caught:
            await run_shard(shard, job, work=aws.buckets)
        assert list(caught.value.failures) == ["b"]
        assert caught.value.report == ShardReport(
            number=1, action=shard.action, items=3, bytes=6, moved=6, verified=3, failed=1
        )
    with pytest.raises(TransferError, match="1 of 4 files failed"):
        await conclude(plan, work=aws.buckets)
    (tmp_path / "b" / "in the way").rmdir()
    (tmp_path / "b").rmdir()
    (tmp_path / "a").write_bytes(b"changed since, and not moved again")
    report = await run_shard(shard, job, work=aws.buckets)
    assert (report.items, report.bytes, report.moved, report.failed) == (4, 8, 8, 0)
    assert (tmp_path / "a").read_bytes() == b"changed since, and not moved again"
    assert (await conclude(plan, work=aws.buckets)).items == 4
