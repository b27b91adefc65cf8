from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.transfer.window import Window


class Watch:
    """Sees what a window lets through."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.requests = self.bytes = self.most_requests = self.most_bytes = 0

    async def hold(self, size: int, *, rounds: int) -> None:
        async with self.window.slot(size):
            self.requests += 1
            self.bytes += size
            self.most_requests = max(self.most_requests, self.requests)
            self.most_bytes = max(self.most_bytes, self.bytes)
            try:
                for _ in range(rounds):
                    await asyncio.sleep(0)
            finally:
                self.requests -= 1
                self.bytes -= size


async def let_all_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 100), max_size=40),
    requests=st.integers(1, 5),
    room=st.integers(100, 200),
    seed=st.integers(),
)
def test_no_more_requests_or_bytes_pass_than_allowed_and_every_slot_comes_back(
    sizes: list[int], requests: int, room: int, seed: int
) -> None:
    async def run() -> None:
        chance = random.Random(seed)
        window = Window(max_concurrency=requests, max_buffer_bytes=room)
        watch = Watch(window)
        tasks = [asyncio.create_task(watch.hold(size, rounds=chance.randrange(4))) for size in sizes]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                for task in chance.sample(tasks, chance.randrange(len(tasks) + 1)):
                    task.cancel()
        for task in tasks:
            if not task.cancelled():
                assert task.exception() is None
        assert watch.most_requests <= requests
        assert watch.most_bytes <= room
        async with asyncio.timeout(60), window.slot(room):  # all of it is free again
            assert watch.requests == 0

    asyncio.run(run())


async def test_something_larger_than_the_window_passes_alone() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=10)
    async with window.slot(1000):
        other = asyncio.create_task(Watch(window).hold(1, rounds=0))
        await let_all_run()
        assert not other.done()
    await other


async def test_a_large_one_is_not_starved_by_small_ones() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=10)
    order: list[str] = []

    async def take(name: str, size: int) -> None:
        async with window.slot(size):
            order.append(name)

    async with asyncio.TaskGroup() as group, window.slot(5):
        group.create_task(take("large", 10))
        await let_all_run()
        group.create_task(take("small", 1))
        await let_all_run()
        assert order == []
    assert order == ["large", "small"]


async def test_when_a_large_one_gives_up_waiting_the_small_ones_behind_it_need_not_wait_any_longer() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=10)
    async with window.slot(5):
        large = asyncio.create_task(Watch(window).hold(10, rounds=0))
        await let_all_run()
        small = asyncio.create_task(Watch(window).hold(1, rounds=0))
        await let_all_run()
        assert not small.done()
        large.cancel()
        await asyncio.wait_for(small, 60)


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_gives_it_on() -> None:
    window = Window(max_concurrency=1, max_buffer_bytes=1)
    watch = Watch(window)
    async with window.slot(1):
        first = asyncio.create_task(watch.hold(1, rounds=0))
        second = asyncio.create_task(watch.hold(1, rounds=0))
        await let_all_run()
    first.cancel()  # its turn has come, and it does not know yet
    with suppress(asyncio.CancelledError):
        await first
    assert first.cancelled()
    await asyncio.wait_for(second, 60)


async def test_many_waiters_cancelled_while_slots_come_back_end_as_cancelled() -> None:
    window = Window(max_concurrency=1, max_buffer_bytes=1)
    watch = Watch(window)
    async with window.slot(1):
        waiting = [asyncio.create_task(watch.hold(1, rounds=1)) for _ in range(5)]
        await let_all_run()
        for task in waiting[:4]:
            task.cancel()  # still in the queue when the slot comes back
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in ended[:4]] == [asyncio.CancelledError] * 4
    assert ended[4] is None


@pytest.mark.parametrize("size", [0, 1, 7])
async def test_a_failure_inside_gives_the_slot_back(size: int) -> None:
    window = Window(max_concurrency=1, max_buffer_bytes=7)
    with pytest.raises(ZeroDivisionError):
        async with window.slot(size):
            raise ZeroDivisionError
    async with asyncio.timeout(60), window.slot(7):
        pass


async def test_a_buffer_goes_from_holder_to_holder_while_others_hold_theirs_and_is_let_go_when_nobody_does() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=32)
    async with window.slot(1):
        async with window.buffer(10) as first:
            pass
        async with window.buffer(10) as second, window.buffer(10) as third:
            assert second is first
            assert third is not first
    async with window.buffer(10) as fourth:
        assert fourth is not first
        assert fourth is not third


async def test_a_buffer_that_a_failed_request_was_sent_from_is_not_used_again() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=32)
    async with window.slot(1):
        with suppress(ZeroDivisionError):
            async with window.buffer(10) as failed:
                raise ZeroDivisionError
        async with window.buffer(10) as buffer:
            assert buffer is not failed


async def test_buffers_without_a_holder_make_room_for_whatever_else_is_held() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=32)
    async with window.slot(1):
        async with window.buffer(20) as first:
            pass
        async with window.slot(20):
            pass
        async with window.buffer(20) as second:
            assert second is not first
        async with window.buffer(25):
            pass
        async with window.buffer(20) as third:
            assert third is not second


async def test_a_buffer_larger_than_the_window_passes_alone() -> None:
    window = Window(max_concurrency=4, max_buffer_bytes=32)
    async with window.buffer(100) as buffer:
        assert len(buffer) == 100
        waiting = asyncio.ensure_future(window.slot(1).__aenter__())
        await let_all_run()
        assert not waiting.done()
    await waiting


async def test_what_only_holds_bytes_leaves_the_requests_to_others() -> None:
    window = Window(max_concurrency=1, max_buffer_bytes=10)
    async with window.room(10), asyncio.timeout(60), window.slot(0):
        waiting = asyncio.create_task(Watch(window).hold(1, rounds=0))
        await let_all_run()
        assert not waiting.done()
    await waiting
