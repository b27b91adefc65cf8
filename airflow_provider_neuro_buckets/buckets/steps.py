"""So much of something per second, in even steps: when the next may come. Pure."""

from __future__ import annotations

import math

LATE_SECONDS = 0.1
"""Who comes late may catch up so much: timers are late, and so is a busy loop."""
_TICK_SECONDS = 1e-6
"""What no clock can wait for."""


class Steps:
    """So much of something per second, in even steps. It is told what time it is, in seconds.

    In any `t` seconds, at most ``rate * (t + LATE_SECONDS)`` of it begins, and one amount more.

    :ivar rate: per second; `None` is no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next amount may pass, whatever its size."""
        left = self._due - now
        return 0.0 if self.rate is None or left < _TICK_SECONDS else left

    def take(self, amount: float, now: float) -> None:
        """Let an amount pass; those after it wait for as long as it takes."""
        if self.rate is not None:
            self._due = max(self._due, now - LATE_SECONDS) + amount / self.rate

    def give_back(self, amount: float) -> None:
        """Take back an amount that passed and then was not used."""
        if self.rate is not None:
            self._due -= amount / self.rate

    def change(self, rate: float | None, now: float) -> None:
        """Go on at another rate; what has passed and is not yet waited for is waited for at that one."""
        if self.rate is not None and rate is not None and self._due > now:
            self._due = now + (self._due - now) * self.rate / rate
        self.rate = rate
