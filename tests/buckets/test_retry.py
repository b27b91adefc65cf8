from __future__ import annotations

import asyncio
import logging

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    PermissionDenied,
    ResourceNotFound,
    Throttled,
    TransientError,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.retry import (
    CONTROL_PLANE,
    DATA,
    LONGEST_ASKED_WAIT,
    RetryPolicy,
    attempt,
)

AT_ONCE = RetryPolicy(attempts=4, throttled_attempts=6, first_wait=0, longest_wait=0)


def after(
    error: BaseException, *, attempt_number: int, upcoming: float = 0.0, since_start: float = 0.0
) -> tenacity.RetryCallState:
    """Return the state of a call that has just failed, at a time of our choosing."""
    state = tenacity.RetryCallState(retry_object=tenacity.AsyncRetrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt_number
    state.upcoming_sleep = upcoming
    state.set_exception((type(error), error, None))
    state.outcome_timestamp = state.start_time + since_start
    return state


class Failing:
    """Fails with the errors in turn, then returns `result`."""

    def __init__(self, *errors: BaseException, result: str = "done") -> None:
        self._errors = list(errors)
        self._result = result
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self._result


async def test_a_success_is_returned_as_it_is() -> None:
    call = Failing()
    assert await attempt(call, what="w", policy=AT_ONCE) == "done"
    assert call.calls == 1


async def test_what_may_pass_is_tried_again_until_it_does() -> None:
    call = Failing(Unavailable("down"), Throttled("slow"), Unavailable("down"))
    assert await attempt(call, what="w", policy=AT_ONCE) == "done"
    assert call.calls == 4


async def test_the_last_error_is_raised_as_it_was() -> None:
    errors = [Unavailable(f"down {number}") for number in range(10)]
    call = Failing(*errors)
    with pytest.raises(Unavailable) as caught:
        await attempt(call, what="w", policy=AT_ONCE)
    assert caught.value is errors[3]
    assert call.calls == 4


async def test_a_service_that_asks_to_slow_down_is_given_more_tries() -> None:
    call = Failing(*[Throttled("slow")] * 10)
    with pytest.raises(Throttled):
        await attempt(call, what="w", policy=AT_ONCE)
    assert call.calls == 6


@pytest.mark.parametrize(
    "error",
    [
        PermissionDenied("no"),
        ResourceNotFound("none"),
        ConfigurationError("wrong"),
        BucketsError("any"),
        OSError(28, "No space left on device"),
        ConnectionResetError("not one of ours"),
        TimeoutError("not one of ours"),
        TypeError("a bug"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_only_our_own_transient_errors_are_tried_again(error: BaseException) -> None:
    call = Failing(error)
    with pytest.raises(type(error)):
        await attempt(call, what="w", policy=AT_ONCE)
    assert call.calls == 1


async def test_a_wait_can_be_cancelled() -> None:
    call = Failing(*[Unavailable("down")] * 3)
    long = RetryPolicy(first_wait=1e6, longest_wait=1e6, deadline=1e9)
    task = asyncio.create_task(attempt(call, what="w", policy=long))
    while call.calls == 0:  # noqa: ASYNC110 - the call sets no event; it has begun within a few turns of the loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.calls == 1


async def test_one_attempt_means_one() -> None:
    call = Failing(Unavailable("down"), Unavailable("down"))
    with pytest.raises(Unavailable):
        await attempt(call, what="w", policy=RetryPolicy(attempts=1))
    assert call.calls == 1


async def test_each_retry_is_one_line_that_says_what_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await attempt(Failing(Unavailable("cannot read blob:bkt/key: no answer")), what="cannot read", policy=AT_ONCE)
    (line,) = caplog.messages
    assert "cannot read blob:bkt/key: no answer" in line
    assert "attempt 2" in line


@given(number=st.integers(1, 12), draw=st.integers(0, 50))
def test_a_wait_is_random_below_a_bound_that_doubles_up_to_the_longest(number: int, draw: int) -> None:
    del draw  # each example draws another random wait
    wait = DATA.wait(after(Unavailable("down"), attempt_number=number))
    assert 0 <= wait <= min(20.0, 0.5 * 2 ** (number - 1))


@given(asked=st.floats(0, 1e9), number=st.integers(1, 12))
def test_a_wait_is_never_shorter_than_the_server_asks_within_a_minute_f17(asked: float, number: int) -> None:
    wait = DATA.wait(after(Unavailable("down", retry_after=asked), attempt_number=number))
    assert min(asked, LONGEST_ASKED_WAIT) <= wait <= max(LONGEST_ASKED_WAIT, DATA.longest_wait)


def test_a_service_that_asks_to_slow_down_is_left_alone_for_longer() -> None:
    waits = [DATA.wait(after(Throttled("slow"), attempt_number=1)) for _ in range(200)]
    assert 0.5 < max(waits) <= 1.0


@pytest.mark.parametrize("policy", [DATA, CONTROL_PLANE])
def test_the_attempts_of_a_policy_are_counted(policy: RetryPolicy) -> None:
    for error, most in ((Unavailable("down"), policy.attempts), (Throttled("slow"), policy.throttled_attempts)):
        assert not policy.stop(after(error, attempt_number=most - 1))
        assert policy.stop(after(error, attempt_number=most))


def test_no_attempt_begins_after_the_deadline_f18() -> None:
    policy = RetryPolicy(attempts=100, deadline=60)
    assert not policy.stop(after(Unavailable("down"), attempt_number=1, since_start=50, upcoming=10))
    assert policy.stop(after(Unavailable("down"), attempt_number=1, since_start=50, upcoming=10.1))
    assert policy.stop(after(Unavailable("down"), attempt_number=1, since_start=61))


def test_the_wait_that_a_server_asks_for_counts_towards_the_deadline() -> None:
    policy = RetryPolicy(attempts=100, deadline=30)
    error: TransientError = Unavailable("down", retry_after=31)
    state = after(error, attempt_number=1)
    state.upcoming_sleep = policy.wait(state)
    assert policy.stop(state)
