"""A loop in a thread of its own: what it says when it cannot run, and that no coroutine is forgotten then."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.hooks.loop import Cancelled, LoopThread


@pytest.fixture
def loop(nothing_left: None) -> Iterator[LoopThread]:  # noqa: ARG001 - it looks after the loop has stopped
    loop = LoopThread().start()
    yield loop
    loop.stop()


async def answer() -> int:
    return 42


def take_every_file() -> Iterator[int]:
    while True:
        yield os.open(os.devnull, os.O_RDONLY)


def test_whoever_starts_it_is_told_why_it_did_not_start() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64 + len(list(Path("/proc/self/fd").iterdir())), hard))
        with pytest.raises(OSError, match="Too many open files"):
            taken.extend(take_every_file())
        with pytest.raises(OSError, match="Too many open files"):
            LoopThread().start()
    finally:
        for file in taken:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_after_its_end_nothing_begins(loop: LoopThread) -> None:
    loop.stop()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run(answer())
    with pytest.raises(RuntimeError, match="closed"):
        loop.begin(answer())
    with pytest.raises(RuntimeError, match="closed"):
        loop.check()
    loop.tell(print)
    loop.stop()


def test_what_runs_in_it_cannot_wait_for_it(loop: LoopThread) -> None:
    async def waits_for_itself() -> str:
        with pytest.raises(RuntimeError, match="would wait for ever") as told:
            loop.run(answer())
        with pytest.raises(RuntimeError, match="would wait for ever"):
            loop.begin(answer())
        return str(told.value)

    assert "event loop" in loop.run(waits_for_itself())


def test_after_a_cancellation_only_what_gives_something_back_runs(loop: LoopThread) -> None:
    loop.cancel()
    with pytest.raises(Cancelled):
        loop.run(answer())
    with pytest.raises(Cancelled):
        loop.check()
    assert loop.run(answer(), closing=True) == 42


def test_a_call_that_is_ended_has_cleaned_up(loop: LoopThread) -> None:
    told: list[str] = []

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("cleaned up")

    call = loop.begin(lasts())
    loop.run(answer())
    loop.end(call)
    assert told == ["cleaned up"]
    with pytest.raises(Cancelled):
        call.outcome.result(0)
    loop.end(call)
