"""Where the CPU time of the main thread goes: a sampler that costs next to nothing, so that it distorts nothing."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

EVERY_SECONDS = 0.001
SHOWN = 30


class Samples:
    """CPU seconds by function of Python: own, and with all that it called. What is in C counts to who called it."""

    def __init__(self) -> None:
        self.own: defaultdict[str, float] = defaultdict(float)
        self.below: defaultdict[str, float] = defaultdict(float)
        self._last = time.thread_time()

    def take(self, _number: int, frame: FrameType | None) -> None:
        """Count the CPU time of this thread since the last sample to where it is now."""
        now = time.thread_time()
        spent, self._last = now - self._last, now
        names: list[str] = []
        while frame is not None:
            names.append(_name(frame))
            frame = frame.f_back
        self.own[names[0]] += spent
        for name in set(names):
            self.below[name] += spent

    def table(self) -> str:
        """Return both, the most expensive first."""
        lines = ["own ms  function", *_lines(self.own), "", "with all below  function", *_lines(self.below)]
        return "\n".join(lines)


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_code.co_qualname}"


def _lines(seconds: Mapping[str, float]) -> Iterator[str]:
    most = sorted(seconds.items(), key=lambda item: item[1], reverse=True)[:SHOWN]
    return (f"{spent * 1000:6.0f}  {name}" for name, spent in most)


@contextmanager
def sampling() -> Iterator[Samples]:
    """Sample this thread, which must be the main one, while it uses CPU."""
    samples = Samples()
    before = signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
