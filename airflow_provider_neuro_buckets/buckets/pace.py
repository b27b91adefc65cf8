"""How fast a client asks a storage: its limits of requests and bytes per second, and less where that asks for it.

What waits is here; what is decided is pure and told the time: `steps` and `slowdown`. The package aiolimiter lets a
whole period's worth pass at once and small amounts overtake large ones, refuses an amount above its rate, and cannot
change its rate.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.slowdown import Slowdown
from airflow_provider_neuro_buckets.buckets.steps import Steps

log = logging.getLogger(__name__)

_SLICES_PER_SECOND = 16
_LARGEST_SLICE = 256 * 1024
_SMALLEST_SLICE = 1024
_LEAST_SHARE = 64 * 1024
"""Bytes per second below which a request of many would take so long that a server may call it dead."""


def requests_at_once(config: BucketsConfig) -> int:
    """Return how many requests may be in flight: fewer where each would have too small a share of the bytes."""
    if config.max_bytes_per_second is None:
        return config.max_concurrency
    own = config.max_bytes_per_second / config.shared_by
    return int(min(config.max_concurrency, max(1.0, own // _LEAST_SHARE)))


class _Line:
    """Those who wait for their turn, of one event loop. First come, first served."""

    def __init__(self, rate: float | None) -> None:
        self._steps = Steps(rate)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, amount: int) -> None:
        """Wait until an amount may pass. Who is cancelled takes nothing, and whoever waits behind is not held up."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._waiting and not self._steps.wait(now):
            self._steps.take(amount, now)
            return
        turn = loop.create_future()
        self._waiting.append((amount, turn))
        if self._timer is None:
            self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._steps.give_back(amount)
            self._admit()
            raise

    def change(self, rate: float | None) -> None:
        """Go on at another rate, for those who wait as well."""
        self._steps.change(rate, asyncio.get_running_loop().time())
        self._admit()

    def _admit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            amount, turn = self._waiting[0]
            if not turn.done():
                now = loop.time()
                if wait := self._steps.wait(now):
                    self._timer = loop.call_at(now + wait, self._admit)
                    return
                self._steps.take(amount, now)
                turn.set_result(None)
            self._waiting.popleft()


class Pace:
    """How fast one client may ask. With no limit, while no storage asks to slow down, only its flags are looked at.

    :ivar limits_requests: whether each request waits for its turn, :meth:`request`.
    :ivar limits_bytes: whether bytes do, :meth:`bytes`, in slices of `slice_bytes`.
    :ivar is_watching: whether :meth:`answered` wants to hear of answers that are no refusal.
    """

    def __init__(self, *, requests_per_second: float | None = None, bytes_per_second: float | None = None) -> None:
        self._most = requests_per_second
        self._requests = _Line(requests_per_second)
        self._bytes = _Line(bytes_per_second)
        self._slowdown: Slowdown | None = None
        self._refused = ""
        self.limits_requests = requests_per_second is not None
        self.limits_bytes = bytes_per_second is not None
        self.is_watching = False
        even = (bytes_per_second or math.inf) / _SLICES_PER_SECOND
        self.slice_bytes = int(min(max(even, _SMALLEST_SLICE), _LARGEST_SLICE))

    @classmethod
    def of(cls, config: BucketsConfig) -> Pace:
        """Return the pace of one client among those that share the limits of a configuration."""
        limits = (config.max_requests_per_second, config.max_bytes_per_second)
        requests, size = (None if limit is None else limit / config.shared_by for limit in limits)
        return cls(requests_per_second=requests, bytes_per_second=size)

    def request(self) -> Awaitable[None]:
        """Wait until one more request may be sent."""
        return self._requests.turn(1)

    def bytes(self, count: int) -> Awaitable[None]:
        """Wait until so many more bytes may be sent, or more be read after so many have arrived."""
        return self._bytes.turn(count)

    def answered(self) -> None:
        """Hear of an answer that does not ask to slow down."""
        if self._slowdown is not None:
            self._learn(self._slowdown, is_refusal=False)

    def refused(self, what: str) -> None:
        """Hear of an answer that asks to slow down.

        :param what: the attempt and its address, for the log.
        """
        if self._slowdown is None:
            self._slowdown = Slowdown(asyncio.get_running_loop().time())
            self.is_watching = True
        self._refused = what
        self._learn(self._slowdown, is_refusal=True)

    def _learn(self, slowdown: Slowdown, *, is_refusal: bool) -> None:
        before = slowdown.rate
        slowdown.answered(asyncio.get_running_loop().time(), is_refusal=is_refusal)
        if slowdown.rate is None and not slowdown.is_over:
            return
        if slowdown.rate is not None and before is None:
            log.warning(
                "The storage asks to slow down: %.1f requests per second for now, more as it bears them (%s)",
                slowdown.rate,
                self._refused,
            )
        if slowdown.is_over:
            self._slowdown = None
            self.is_watching = False
            if before is not None:
                log.info("The storage bears as many requests as before: they are not slowed down any more")
        if slowdown.rate != before:
            self._go(None if slowdown.is_over else slowdown.rate)

    def _go(self, slow: float | None) -> None:
        """Send requests at the rate of a slow-down, or of the configuration if that is less."""
        rates = [rate for rate in (slow, self._most) if rate is not None]
        self.limits_requests = bool(rates)
        self._requests.change(min(rates, default=None))
