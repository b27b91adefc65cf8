"""How many requests per second a storage bears, by its answers. Pure."""

from __future__ import annotations


class Slowdown:
    """How many requests per second a storage bears, learnt from its answers. It is told what time it is, in seconds.

    It begins with a refusal: an answer that asks to slow down. Once a second it judges: refusals that are more than a
    small share bring the rate below that of the good answers, a second without any lets it grow.

    :ivar rate: requests per second; `None` while the refusals are few. Then the wait of each refused request is enough.
    :ivar is_over: whether nothing is left to be learnt: there was no more than a few refusals, or the storage bears
        twice as many requests as when it asked to slow down.
    """

    EACH_SECONDS = 1.0
    QUIET_SECONDS = 2.0
    FEW = 5
    SMALL_SHARE = 0.02
    BACK = 0.9
    GROWTH = 1.2
    LEAST = 10.0
    """A storage that answers nothing else is down: what is in flight is to be given up soon."""

    def __init__(self, now: float) -> None:
        self.rate: float | None = None
        self.is_over = False
        self._asked = 0.0
        self._last = now
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since = now
        self._good = self._refused = 0

    def answered(self, now: float, *, is_refusal: bool) -> None:
        """Hear of an answer."""
        if now - self._last > self.QUIET_SECONDS:
            # How often it was asked before a rest tells nothing of how often it may be asked.
            self._begin(now)
            self._grow()
        self._last = now
        if is_refusal:
            self._refused += 1
        else:
            self._good += 1
        if now - self._since >= self.EACH_SECONDS:
            self._judge(now - self._since)
            self._begin(now)

    def _judge(self, seconds: float) -> None:
        answers = self._good + self._refused
        is_few = self.rate is None and self._refused < self.FEW
        if self._refused > self.SMALL_SHARE * answers and not is_few:
            self._asked = max(self._asked, answers / seconds)
            self.rate = max(self.BACK * self._good / seconds, self.LEAST)
        elif self.rate is None:
            self.is_over = True
        elif not self._refused:
            self._grow()

    def _grow(self) -> None:
        if self.rate is not None:
            self.rate *= self.GROWTH
            self.is_over = self.rate >= 2 * self._asked
