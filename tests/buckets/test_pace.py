"""How fast a client may ask: what is decided, on a made clock, and what waits, on a clock that jumps."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.pace import Pace, requests_at_once
from airflow_provider_neuro_buckets.buckets.slowdown import Slowdown
from airflow_provider_neuro_buckets.buckets.steps import LATE_SECONDS, Steps
from jumping import now, run

API = "https://api.example.org/api/v1"
MIB = 1024 * 1024


def most_within(times: Sequence[float], seconds: float) -> int:
    """Return how many of some times, in order, lie within the busiest so many seconds."""
    return max(sum(begun <= time <= begun + seconds for time in times) for begun in times)


# Steps


@given(
    rate=st.floats(0.5, 200),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    seconds=st.floats(0.01, 20),
)
def test_no_span_of_time_sees_more_steps_than_the_rate_allows(rate: float, gaps: list[float], seconds: float) -> None:
    steps, time = Steps(rate), 0.0
    passed = []
    for gap in gaps:
        time += gap
        time += steps.wait(time)
        steps.take(1, time)
        passed.append(time)
    assert most_within(passed, seconds) <= rate * (seconds + LATE_SECONDS) + 1 + 1e-6


@given(rate=st.floats(0.5, 200), count=st.integers(2, 60), late=st.floats(0, LATE_SECONDS))
def test_whoever_is_always_a_little_late_loses_nothing_of_the_rate(rate: float, count: int, late: float) -> None:
    steps, time = Steps(rate), 0.0
    for _ in range(count):
        if wait := steps.wait(time):
            time += wait + late
        steps.take(1, time)
    assert time <= (count - 1) / rate + late + 1e-6


def test_steps_are_even_after_a_rest_as_well() -> None:
    steps, times, time = Steps(10), [], 0.0
    for begun in (0.0, 100.0):
        time = max(time, begun)
        for _ in range(20):
            time += steps.wait(time)
            steps.take(1, time)
            times.append(time)
    assert most_within(times, 0.05) <= 2
    assert times[19] == pytest.approx(1.8, abs=0.11)
    assert times[39] == pytest.approx(101.8, abs=0.11)


def test_a_large_amount_passes_at_once_and_is_waited_for_afterwards() -> None:
    steps = Steps(100)
    assert steps.wait(0) == 0
    steps.take(1000, 0)
    assert steps.wait(0) == pytest.approx(10, abs=LATE_SECONDS)


def test_what_is_given_back_is_not_waited_for() -> None:
    steps = Steps(1)
    steps.take(1, 0)
    before = steps.wait(0)
    steps.take(5, 0)
    steps.give_back(5)
    assert steps.wait(0) == pytest.approx(before)


def test_another_rate_counts_for_what_is_being_waited_for() -> None:
    steps = Steps(1)
    steps.take(10, 0)
    steps.take(0.1, 0)  # the rate allows to be late
    assert steps.wait(0) == pytest.approx(10)
    steps.change(10, 0)
    assert steps.wait(0) == pytest.approx(1)
    steps.change(None, 0)
    assert steps.wait(0) == 0


@pytest.mark.parametrize("shared_by", [1, 3, 8])
def test_all_who_share_a_limit_together_keep_it_and_use_it(shared_by: int) -> None:
    config = BucketsConfig(api_url=API, max_requests_per_second=40, max_bytes_per_second=40_000, shared_by=shared_by)

    async def ask(pace: Pace, times: list[float], sizes: list[int]) -> None:
        while now() < 30:
            await pace.request()
            times.append(now())
            await pace.bytes(1000)
            sizes.append(1000)

    async def all_of_them() -> tuple[list[float], int]:
        times: list[float] = []
        sizes: list[int] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(shared_by):
                pace = Pace.of(config)
                for _ in range(5):
                    group.create_task(ask(pace, times, sizes))
        return times, sum(sizes)

    times, size = run(all_of_them())
    for seconds in (1, 5, 20):
        assert most_within(times, seconds) <= 40 * (seconds + LATE_SECONDS) + shared_by
    assert len(times) > 40 * 30 * 0.9
    assert size > 40_000 * 30 * 0.9


@pytest.mark.parametrize(
    ("limit", "shared_by", "expected"),
    [(None, 8, 64), (1e12, 1, 64), (1e12, 8, 64), (2 * MIB, 1, 32), (2 * MIB, 8, 4), (1000, 1, 1), (1e-3, 100, 1)],
)
def test_few_bytes_per_second_are_not_divided_among_so_many_requests_that_each_stands_still(
    limit: float | None, shared_by: int, expected: int
) -> None:
    config = BucketsConfig(api_url=API, max_bytes_per_second=limit, shared_by=shared_by)
    assert requests_at_once(config) == expected


# What answers say


class Storage:
    """A storage on a made clock that bears so many requests per second, and half a second's worth at once."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self._left = capacity / 2
        self._time = 0.0

    def bears(self, time: float) -> bool:
        self._left = min(self._left + (time - self._time) * self.capacity, self.capacity / 2)
        self._time = time
        if self._left < 1:
            return False
        self._left -= 1
        return True


def ask(storage: Storage, slowdown: Slowdown, *, until: float, time: float = 0.0, wanted: float) -> tuple[int, int]:
    """Ask at the rate of a slow-down, or as often as is wanted; return how many answers were good, and how many not."""
    good = refused = 0
    while time < until and not slowdown.is_over:
        time += 1 / min(wanted, slowdown.rate or wanted)
        is_borne = storage.bears(time)
        slowdown.answered(time, is_refusal=not is_borne)
        good += is_borne
        refused += not is_borne
    return good, refused


@pytest.mark.parametrize("capacity", [20, 100, 1000])
@pytest.mark.parametrize("excess", [2, 10])
def test_a_storage_of_any_capacity_is_used_well_and_hardly_asked_in_vain(capacity: float, excess: float) -> None:
    slowdown = Slowdown(0)
    ask(Storage(capacity), slowdown, until=10, wanted=capacity * excess)
    assert slowdown.rate is not None
    good, refused = ask(Storage(capacity), slowdown, time=10, until=100, wanted=capacity * excess)
    assert refused < (good + refused) * 0.1  # without it: half of them, or nine of ten
    assert good > capacity * 90 * 0.7
    assert not slowdown.is_over


def test_a_rate_falls_at_most_once_a_second() -> None:
    slowdown, rates = Slowdown(0), []
    for tick in range(1, 500):
        slowdown.answered(tick / 100, is_refusal=tick % 2 == 0)
        rates.append(slowdown.rate)
    changes = [at for at, (before, after) in enumerate(pairwise(rates)) if before != after]
    assert 1 <= len(changes) <= 5
    assert all(later - earlier >= 99 for earlier, later in pairwise(changes))


@pytest.mark.parametrize("refusals", [1, Slowdown.FEW - 1])
def test_a_few_refusals_are_left_to_the_waits_of_the_requests(refusals: int) -> None:
    slowdown = Slowdown(0)
    for number in range(refusals):
        slowdown.answered(number * 0.1, is_refusal=True)
    slowdown.answered(1.0, is_refusal=False)
    assert slowdown.rate is None
    assert slowdown.is_over


def test_refusals_that_have_nothing_to_do_with_the_rate_do_not_bring_it_down() -> None:
    chance = random.Random(7)
    slowdown = Slowdown(0)
    for tick in range(60_000):
        slowdown.answered(tick / 1000, is_refusal=chance.random() < 0.005)
        assert slowdown.rate is None
        slowdown.is_over = False


def test_a_storage_that_bears_everything_again_is_asked_more_and_more_until_no_limit_is_felt() -> None:
    slowdown = Slowdown(0)
    for tick in range(101):
        slowdown.answered(tick / 100, is_refusal=tick % 2 == 0)
    assert slowdown.rate == pytest.approx(45, rel=0.1)  # it was asked 100 times, and bore 50
    rates, time = [slowdown.rate or 0], 1.0
    while not slowdown.is_over:
        time += 1 / rates[-1]
        slowdown.answered(time, is_refusal=False)
        rates.append(slowdown.rate or 0)
    assert rates == sorted(rates)
    assert all(after <= before * Slowdown.GROWTH * 1.001 for before, after in pairwise(rates))
    assert rates[-1] >= 200
    assert 5 < time < 20


def test_a_storage_that_bears_nothing_is_asked_ten_times_a_second_and_no_less() -> None:
    slowdown, time = Slowdown(0), 0.0
    for _ in range(100):
        time += min(1 / (slowdown.rate or 100), 1.5)
        slowdown.answered(time, is_refusal=True)
    assert slowdown.rate == Slowdown.LEAST


def test_what_was_asked_before_a_rest_tells_nothing_of_how_much_may_be_asked() -> None:
    slowdown = Slowdown(0)
    for tick in range(101):
        slowdown.answered(tick / 100, is_refusal=tick % 2 == 0)
    before = slowdown.rate
    assert before is not None
    slowdown.answered(1.5, is_refusal=False)
    for tick in range(10):
        slowdown.answered(1000 + tick / 100, is_refusal=True)
    assert slowdown.rate is not None
    assert slowdown.rate >= before


# Waiting


def test_turns_come_in_the_order_in_which_they_were_asked_for_whatever_their_size() -> None:
    async def main() -> None:
        pace = Pace(bytes_per_second=1000)
        order: list[int] = []

        async def take(size: int) -> None:
            await pace.bytes(size)
            order.append(size)

        sizes = [500, 20_000, 1, 3000, 2]
        async with asyncio.TaskGroup() as group:
            for size in sizes:
                group.create_task(take(size))
        assert order == sizes
        assert now() == pytest.approx(sum(sizes[:-1]) / 1000, abs=LATE_SECONDS + 0.01)

    run(main())


def test_turns_of_many_who_ask_at_once_are_spread_evenly() -> None:
    async def main() -> None:
        pace = Pace(requests_per_second=20)
        times: list[float] = []

        async def ask() -> None:
            await pace.request()
            times.append(now())

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(ask())
        assert times[-1] == pytest.approx(99 / 20, abs=LATE_SECONDS + 0.01)
        for seconds in (0.1, 0.5, 2.0):
            assert most_within(times, seconds) <= 20 * (seconds + LATE_SECONDS) + 1

    run(main())


def test_who_is_cancelled_while_waiting_takes_nothing_and_holds_up_nobody() -> None:
    async def main() -> None:
        pace = Pace(bytes_per_second=1000)
        await pace.bytes(1100)
        waiting = [asyncio.ensure_future(pace.bytes(size)) for size in (1_000_000, 1_000_000, 1000)]
        await asyncio.sleep(0.5)
        for task in waiting[:2]:
            task.cancel()
        await waiting[2]
        assert now() == pytest.approx(1.0)
        await pace.bytes(1)
        assert now() == pytest.approx(2.0)
        assert [task.cancelled() for task in waiting] == [True, True, False]

    run(main())


def test_who_is_cancelled_in_the_moment_of_the_turn_gives_it_on() -> None:
    async def main() -> None:
        pace = Pace(bytes_per_second=1000)
        await pace.bytes(1100)
        first = asyncio.ensure_future(pace.bytes(1_000_000))
        second = asyncio.ensure_future(pace.bytes(1000))
        # Its timer was set earlier, so at that time it runs first; then the turn has come, and nobody knows yet.
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(1.0, first.cancel)
        await second
        assert first.cancelled()
        assert now() == pytest.approx(1.0)

    run(main())


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=30),
    cancelled=st.lists(st.tuples(st.integers(0, 29), st.floats(0, 20)), max_size=20),
)
def test_whoever_is_cancelled_whenever_the_others_get_what_the_rate_gives(
    sizes: list[int], cancelled: list[tuple[int, float]]
) -> None:
    async def main() -> None:
        pace = Pace(bytes_per_second=1000)
        got: list[tuple[float, int]] = []

        async def take(size: int) -> None:
            await pace.bytes(size)
            got.append((now(), size))

        tasks = [asyncio.create_task(take(size)) for size in sizes]
        for place, after in cancelled:
            if place < len(tasks):
                asyncio.get_running_loop().call_later(after, tasks[place].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert got == sorted(got, key=lambda one: one[0])
        for (time, _), (later, _), before in zip(got, got[1:], range(1, len(got)), strict=False):
            assert later >= time
            assert sum(size for _, size in got[:before]) <= 1000 * (later + LATE_SECONDS) + 1e-6
        if got:
            await pace.bytes(1)
            assert now() <= max(20.0, sum(size for _, size in got) / 1000 + 1e-6)

    run(main())


def test_a_pace_without_limits_lets_everything_pass_and_says_so() -> None:
    async def main() -> None:
        pace = Pace()
        for _ in range(1000):
            await pace.request()
            await pace.bytes(10**9)
        assert now() == 0
        assert (pace.limits_requests, pace.limits_bytes, pace.is_watching) == (False, False, False)

    run(main())


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 256 * 1024), (1e9, 256 * 1024), (MIB, MIB // 16), (100, 1024), (1e-3, 1024)]
)
def test_a_body_is_cut_into_slices_of_a_fraction_of_a_second(limit: float | None, expected: int) -> None:
    assert Pace(bytes_per_second=limit).slice_bytes == expected


async def answer(pace: Pace, *, seconds: float, refused: int = 0, good: int = 0) -> None:
    """Let so many answers arrive, evenly."""
    for number in range(refused + good):
        await asyncio.sleep(seconds / (refused + good))
        if number % (refused + good) < refused:
            pace.refused("cannot read blob:bkt/key")
        else:
            pace.answered()


def test_a_slow_down_is_told_once_when_it_begins_and_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "airflow_provider_neuro_buckets.buckets.pace")

    async def main() -> None:
        pace = Pace()
        for _ in range(3):
            await answer(pace, seconds=1.1, refused=20, good=30)
        assert (pace.limits_requests, pace.is_watching) == (True, True)
        (begun,) = caplog.messages
        assert "slow down" in begun
        assert "blob:bkt/key" in begun
        while pace.is_watching:
            await answer(pace, seconds=1.1, good=50)
        assert (pace.limits_requests, pace.is_watching) == (False, False)
        assert 5 < now() < 60
        assert len(caplog.messages) == 2
        assert "as many requests as before" in caplog.messages[1]

    run(main())


def test_a_few_refusals_are_not_told() -> None:
    async def main() -> None:
        pace = Pace()
        pace.refused("cannot read blob:bkt/key")
        assert (pace.limits_requests, pace.is_watching) == (False, True)
        await asyncio.sleep(1)
        pace.answered()
        assert (pace.limits_requests, pace.is_watching) == (False, False)

    run(main())


def test_a_slow_down_counts_for_those_who_wait_already_and_never_asks_more_than_the_configured_limit() -> None:
    async def main() -> None:
        pace = Pace(requests_per_second=100)
        waiting = [asyncio.ensure_future(pace.request()) for _ in range(1000)]
        await answer(pace, seconds=1.1, refused=30, good=10)
        done = sum(task.done() for task in waiting)
        await asyncio.sleep(1)
        assert 5 <= sum(task.done() for task in waiting) - done <= 10  # nine tenths of those that were borne
        while pace.is_watching:
            await answer(pace, seconds=1.1, good=100)
        assert pace.limits_requests
        done = sum(task.done() for task in waiting)
        await asyncio.sleep(1)
        assert 98 <= sum(task.done() for task in waiting) - done <= 102
        for task in waiting:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting)

    run(main())
