from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from airflow_provider_neuro_buckets.buckets.transfer.hands import BACKLOG, MOST_THREADS, Hands


async def test_every_piece_of_work_is_done_once_and_answers_its_own_caller() -> None:
    hands = Hands()
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return number * 2

    for count in (1, 3, 500):
        done.clear()
        answers = await asyncio.gather(*(hands.do(partial(work, number)) for number in range(count)))
        assert answers == [number * 2 for number in range(count)]
        assert sorted(done) == list(range(count))


async def test_a_failure_reaches_the_one_who_asked_and_nobody_else() -> None:
    hands = Hands()

    def fail() -> int:
        raise FileNotFoundError("gone")

    outcomes = await asyncio.gather(hands.do(lambda: 1), hands.do(fail), hands.do(lambda: 2), return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (1, 2)
    assert isinstance(outcomes[1], FileNotFoundError)


@pytest.mark.parametrize("waits", [False, True], ids=["under way", "not begun"])
async def test_work_is_waited_for_however_often_its_caller_is_cancelled(*, waits: bool) -> None:
    hands = Hands()
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        may_end.wait(60)

    first = asyncio.create_task(hands.do(hold))
    await asyncio.to_thread(started.wait, 60)
    task = asyncio.create_task(hands.do(ended.set)) if waits else first
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set() == waits
    assert await hands.do(lambda: "still at work") == "still at work"
    await asyncio.gather(first, return_exceptions=True)


async def test_one_thread_does_what_little_there_is_and_others_join_where_work_piles_up() -> None:
    hands = Hands()
    may_end = threading.Event()
    threads: set[int] = set()
    lock = threading.Lock()
    joined = threading.Event()

    def work() -> None:
        with lock:
            threads.add(threading.get_ident())
            if len(threads) > 1:
                joined.set()
        may_end.wait(60)

    few = [asyncio.create_task(hands.do(work)) for _ in range(BACKLOG)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(threads) <= 1
    many = [asyncio.create_task(hands.do(work)) for _ in range(BACKLOG * MOST_THREADS * 2)]
    await asyncio.to_thread(joined.wait, 60)
    may_end.set()
    await asyncio.gather(*few, *many)
    assert 1 < len(threads) <= MOST_THREADS
