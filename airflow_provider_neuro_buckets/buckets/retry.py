"""The one retry policy: what is tried again, how long it waits, when it ends. Everything that retries comes here.

Only our own :class:`TransientError` is ever tried again, by an allow-list: a cancellation, a wrong name or a full disk
passes at once.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from airflow_provider_neuro_buckets.buckets.errors import Throttled, TransientError

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_ASKED_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long.

    :ivar attempts: tries in all, the first included.
    :ivar throttled_attempts: the same while the service asks to slow down.
    :ivar first_wait: upper bound of the first wait in seconds; it doubles with each attempt, with full jitter.
    :ivar longest_wait: upper bound of any wait, in seconds, but for what a server asks for (at most 60).
    :ivar deadline: no attempt begins later than this many seconds after the first.
    """

    attempts: int = 5
    throttled_attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 20.0
    deadline: float = 900.0

    def stop(self, state: tenacity.RetryCallState) -> bool:
        """Whether the attempt just made was the last."""
        most = self.throttled_attempts if isinstance(_error(state), Throttled) else self.attempts
        elapsed = state.seconds_since_start or 0.0
        return state.attempt_number >= most or elapsed + state.upcoming_sleep > self.deadline

    def wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next attempt; never less than the server asked for."""
        error = _error(state)
        first = self.first_wait * (2 if isinstance(error, Throttled) else 1)
        bound = min(self.longest_wait, first * 2 ** (state.attempt_number - 1))
        asked = min(getattr(error, "retry_after", None) or 0.0, LONGEST_ASKED_WAIT)
        return max(asked, random.uniform(0, bound))  # noqa: S311 - spreads requests, guards nothing


DATA = RetryPolicy()
CONTROL_PLANE = RetryPolicy(attempts=4, longest_wait=4.0, deadline=60.0)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


async def attempt(call: Callable[[], Awaitable[T]], *, what: str, policy: RetryPolicy = DATA) -> T:
    """Await `call()`, and again while it raises :class:`TransientError` and the policy allows; then that error.

    :param what: the attempt and its address, for the one log line that each retry writes.
    """
    begun = time.monotonic()
    try:
        return await call()
    except TransientError as error:
        first = error
    # Only now: to set tenacity up takes a tenth of the CPU time of a small request.
    return await _again(call, first, begun=begun, what=what, policy=policy)


async def _again(
    call: Callable[[], Awaitable[T]], first: TransientError, *, begun: float, what: str, policy: RetryPolicy
) -> T:
    """Go on after a first attempt, begun at a monotonic time, that ended with `first`."""
    ended: list[TransientError] = [first]

    async def once() -> T:
        if ended:
            raise ended.pop()
        return await call()

    def stop(state: tenacity.RetryCallState) -> bool:
        state.start_time = begun
        return policy.stop(state)

    def report(state: tenacity.RetryCallState) -> None:
        log.warning(
            "%s; attempt %d in %.1f s (%s)",
            _error(state),
            state.attempt_number + 1,
            state.upcoming_sleep,
            what,
        )

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=stop,
        wait=policy.wait,
        before_sleep=report,
        reraise=True,
    )
    return await retrying(once)
