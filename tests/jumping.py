"""An event loop whose clock jumps: it never waits for a timer, so hours pass in a moment and no machine is too slow.

Sockets work as ever. The clock stands still while anything is to be done, also in a thread, or is ready to be read or
written.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_GRACE = 0.01
"""The share of a jump that is really waited: what was just sent may take so long to the other end of a socket."""
_MOST_GRACE = 0.1
_FAR = 0.1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets, and for threads, but not for timers.

    :ivar at_work: threads that will wake the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.at_work:
            return super().select()
        has_sockets = len(self.get_map()) > 1  # besides that by which threads wake the loop
        ready = super().select(min(timeout * _GRACE, _MOST_GRACE) if has_sockets and timeout > _FAR else 0)
        if not ready:
            self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        working = super().run_in_executor(executor, func, *args)
        self._clock.at_work += 1
        working.add_done_callback(self._rests)
        return working

    def _rests(self, _: asyncio.Future[Any]) -> None:
        self._clock.at_work -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a clock that jumps, from 0."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Return the time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
