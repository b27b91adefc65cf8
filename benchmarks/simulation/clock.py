"""Made-up time: an event loop whose clock jumps to whatever is waited for next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: what a wait would take, the clock is put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits for somebody else")
            self.now += max(timeout, 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits. Work for threads is done on the spot, and takes no time by its clock."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the made-up time in seconds, from 0."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # the stubs know of no future that is done already
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Do the work now; `executor` has nothing to do with it."""
        del executor
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever awaits the work is told
            done.set_exception(error)
        return done


def run(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Run a coroutine in made-up time; return what it returns, and how many seconds it took by that."""
    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(work)
        return result, loop.time()


class Line:
    """Something that does one thing after another, such as a processor or a cable."""

    def __init__(self) -> None:
        self._free = 0.0

    async def use(self, seconds: float) -> None:
        """Wait for one's turn, and for as long as it takes then."""
        if seconds <= 0:
            return
        now = asyncio.get_running_loop().time()
        self._free = max(self._free, now) + seconds
        await asyncio.sleep(self._free - now)
