from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from airflow_provider_neuro_buckets.buckets.collecting import THRESHOLDS, seldom
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.progress import AbstractDeleteProgress, StorageProgressDelete
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.transfer.crew import work_off
from conformance.asking import fill
from conformance.rigs.base import Rig

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Begin with the thresholds that Python begins with, and leave what was there before."""
    before, was_enabled = gc.get_threshold(), gc.isenabled()
    gc.enable()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)
    (gc.enable if was_enabled else gc.disable)()


def raised() -> tuple[int, int, int]:
    """Return the thresholds of a transfer, as this Python tells them."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    told = gc.get_threshold()
    gc.set_threshold(*before)
    return told


def test_thresholds_are_raised_until_the_last_one_leaves() -> None:
    before = gc.get_threshold()
    with seldom:
        with seldom:
            assert gc.get_threshold() == raised()
        assert gc.get_threshold() == raised()
    assert gc.get_threshold() == before
    with seldom:
        assert gc.get_threshold() == raised()
    assert gc.get_threshold() == before


def test_threads_that_overlap_share_them() -> None:
    before = gc.get_threshold()
    is_inside, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with seldom:
            is_inside.set()
            may_leave.wait(60)

    other = threading.Thread(target=stay)
    with seldom:
        other.start()
        assert is_inside.wait(60)
    assert gc.get_threshold() == raised()
    may_leave.set()
    other.join()
    assert gc.get_threshold() == before


def test_many_threads_leave_them_as_they_were() -> None:
    before = gc.get_threshold()

    def come_and_go() -> None:
        for _ in range(500):
            with seldom:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.get_threshold() == before


def test_what_is_higher_already_stays() -> None:
    gc.set_threshold(50_000, 5, 10)
    before = gc.get_threshold()
    with seldom:
        assert gc.get_threshold()[:2] == (50_000, THRESHOLDS[1])
    assert gc.get_threshold() == before


def test_a_collector_that_is_switched_off_is_left_alone() -> None:
    before = gc.get_threshold()
    gc.disable()
    with seldom:
        assert not gc.isenabled()
        assert gc.get_threshold() == before
    assert not gc.isenabled()
    assert gc.get_threshold() == before


def test_so_is_one_without_a_threshold() -> None:
    gc.set_threshold(0, 10, 10)
    before = gc.get_threshold()
    with seldom:
        assert gc.get_threshold() == before
    assert gc.get_threshold() == before


def test_what_somebody_else_has_set_meanwhile_stays() -> None:
    with seldom:
        gc.set_threshold(2_000, 30, 40)
        theirs = gc.get_threshold()
        with seldom:
            assert gc.get_threshold() == theirs
    assert gc.get_threshold() == theirs


async def test_a_transfer_raises_them_and_a_failed_or_cancelled_one_gives_them_back() -> None:
    before = gc.get_threshold()
    seen: list[tuple[int, int, int]] = []
    is_under_way = asyncio.Event()

    async def numbers() -> AsyncGenerator[int, None]:
        yield 1

    async def fail(_: int) -> None:
        seen.append(gc.get_threshold())
        raise FileNotFoundError("gone")

    async def stay(_: int) -> None:
        is_under_way.set()
        await asyncio.Event().wait()

    with pytest.raises(FileNotFoundError):
        await work_off(numbers(), fail, workers=2)
    assert seen == [raised()]
    assert gc.get_threshold() == before

    staying = asyncio.create_task(work_off(numbers(), stay, workers=2))
    await is_under_way.wait()
    assert gc.get_threshold() == raised()
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    assert gc.get_threshold() == before


async def test_a_removal_raises_them_too(aws: Rig) -> None:
    class Watching(AbstractDeleteProgress):
        def delete(self, data: StorageProgressDelete) -> None:
            seen[str(data.uri).rpartition("/")[2]] = gc.get_threshold()

    seen: dict[str, tuple[int, int, int]] = {}
    before = gc.get_threshold()
    await fill(aws.store, ["d/a", "d/b"])
    await remove_path(Listing(aws.bucket, aws.store), "d", recursive=True, progress=Watching())
    assert (seen["a"], seen["b"]) == (raised(), raised())
    assert gc.get_threshold() == before
