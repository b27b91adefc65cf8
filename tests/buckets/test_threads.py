from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread


async def test_a_thread_is_waited_for_however_often_its_caller_is_cancelled() -> None:
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        may_end.wait(60)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(started.wait, 60)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_a_cancelled_caller_had_made_is_closed() -> None:
    started, may_end = threading.Event(), threading.Event()
    closed: list[str] = []

    def make() -> str:
        started.set()
        may_end.wait(60)
        return "thing"

    async def use() -> None:
        async with made_in_thread(make, closed.append):
            raise AssertionError("never reached")

    task = asyncio.create_task(use())
    await asyncio.to_thread(started.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["thing"]


async def test_what_was_made_is_closed_when_the_block_fails_and_a_failure_to_make_is_raised() -> None:
    closed: list[str] = []
    with pytest.raises(KeyError):
        async with made_in_thread(lambda: "thing", closed.append):
            raise KeyError
    assert closed == ["thing"]

    def fail() -> str:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        async with made_in_thread(fail, closed.append):
            pass
    assert closed == ["thing"]
