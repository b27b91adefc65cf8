"""An event loop in a thread of its own, on which blocking code runs coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

CLEAN_UP_SECONDS = 4.0
"""How long an interrupted call may take to abort its uploads and remove its temporary files."""

WAKES_EVERY = 0.5
"""How often, in seconds, a thread that waits for a loop looks up from it."""

_CLOSED = "the hook is closed: use what it returns inside its `with` block"
_CANCELLED = "the call was cancelled"


class Cancelled(Exception):
    """The call was cancelled from outside, and has cleaned up."""


def wait_for(outcome: concurrent.futures.Future[Any]) -> None:
    """Wait until a future is done.

    The kernel may give a signal to any thread, but Python handles it in the main thread, once that is awake: if it
    slept until the end of a transfer, `on_kill` would come when there is nothing left to stop.
    """
    while concurrent.futures.wait([outcome], WAKES_EVERY).not_done:
        pass


class _Loop(asyncio.SelectorEventLoop):
    """Knows its connections, so that none outlives it."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def create_connection(self, *arguments: Any, **keywords: Any) -> Any:
        """Connect, as every loop does, and remember it."""
        transport, protocol = await super().create_connection(*arguments, **keywords)
        self._connections.add(transport)
        return transport, protocol

    async def drop_connections(self) -> None:
        """Drop what is still closing: a connection of a cancelled upload waits to send what it has buffered."""
        for transport in tuple(self._connections):
            if isinstance(transport, asyncio.WriteTransport):
                with suppress(AttributeError):  # asyncio's own, for one that is gone already
                    transport.abort()
        await asyncio.sleep(0)  # they are told in the next turn of the loop


class LoopThread:
    """An event loop in a thread, from :meth:`start` to :meth:`stop`. Any number of threads may :meth:`run` on it."""

    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._stopping = asyncio.Event()
        self._stopped = False
        self._cancelled = False
        self._calls: set[Call[Any]] = set()
        self._door = threading.Lock()
        self._thread = threading.Thread(target=self._main, name="neuro-buckets", daemon=True)

    def start(self) -> Self:
        """Start the thread and wait until its loop runs."""
        self._thread.start()
        self._started.result()
        return self

    def stop(self) -> None:
        """Cancel what still runs, close the loop and end the thread.

        A thread that hangs in a read which nothing can interrupt, such as of a dead network drive, is left behind.
        """
        with self._door:
            if not self._stopped:
                self._stopped = True
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(CLEAN_UP_SECONDS)

    def check(self) -> None:
        """Make sure that calls still run here.

        :raises RuntimeError: the loop was stopped.
        :raises Cancelled: :meth:`cancel` was called.
        """
        if self._stopped:
            raise RuntimeError(_CLOSED)
        if self._cancelled:
            raise Cancelled(_CANCELLED)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)  # raised by start, which waits for it

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._started.set_result(None)
        await self._stopping.wait()
        assert isinstance(loop, _Loop)
        await loop.drop_connections()

    def run(self, coroutine: Coroutine[Any, Any, T], *, closing: bool = False) -> T:
        """Run a coroutine and wait for it.

        Whatever interrupts the waiting (Ctrl-C, a task's time-out) cancels the coroutine, waits for its clean-up, and
        goes on.

        :param closing: it gives something back: it also runs after :meth:`cancel`, which does not reach it.
        :raises Cancelled: :meth:`cancel` was called.
        """
        call = Call(coroutine)
        try:
            refusal = self._post(call, closing=closing)
            if refusal is None:
                wait_for(call.outcome)
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed: nothing runs
                self._loop.call_soon_threadsafe(call.cancel)
                concurrent.futures.wait([call.outcome], CLEAN_UP_SECONDS)
            raise
        if refusal is not None:
            coroutine.close()
            raise RuntimeError(refusal)
        try:
            return call.outcome.result()
        finally:
            del call  # an error in it refers to this frame, which would refer back and keep both alive

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Call[T]:
        """Let the loop begin a coroutine, and do not wait for it: give the call to :meth:`end`."""
        call = Call(coroutine)
        try:
            refusal = self._post(call, closing=False)
        except BaseException:
            self.tell(call.cancel)
            raise
        if refusal is not None:
            coroutine.close()
            raise RuntimeError(refusal)
        return call

    def end(self, call: Call[Any]) -> None:
        """Cancel a call unless it has ended, and wait for its clean-up."""
        self.tell(call.cancel)
        # A loop that stops ends its calls by itself; and one that cleans up here cannot wait for itself.
        if not self._stopped and threading.current_thread() is not self._thread:
            wait_for(call.outcome)

    def tell(self, callback: Callable[..., object], *arguments: object) -> None:
        """Let the loop call something soon, unless it is closed."""
        with suppress(RuntimeError):  # it is
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _post(self, call: Call[Any], *, closing: bool) -> str | None:
        """Let the loop begin a call; once this returns, it will, and will end it. Or say why it will not."""
        if threading.current_thread() is self._thread:
            return "a blocking call from the event loop that has to answer it would wait for ever"
        with self._door:
            if self._stopped:
                return _CLOSED
            self._loop.call_soon_threadsafe(self._begin, call, closing)
        return None

    def _begin(self, call: Call[Any], closing: bool) -> None:  # noqa: FBT001 - a callback gets no keywords
        task = call.begin()
        if closing:
            return
        self._calls.add(call)
        task.add_done_callback(lambda _: self._calls.discard(call))
        if self._cancelled:
            call.cancel()

    def cancel(self) -> None:
        """Cancel what runs and whatever would still begin. Safe in any thread and signal handler; does not wait."""
        self._cancelled = True
        self.tell(self._cancel_all)

    def _cancel_all(self) -> None:
        for call in self._calls:
            call.cancel()


class Call(Generic[T]):
    """A coroutine on its way through the loop, and what comes of it for the thread that waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False

    def begin(self) -> asyncio.Task[T]:
        """Begin it; in the loop."""
        self._task = asyncio.create_task(self.coroutine)
        self._task.add_done_callback(self._hand_over)
        return self._task

    def cancel(self) -> None:
        """Cancel it, once: its clean-up is not cancelled in turn.

        One that has not begun never will, since whoever posted it was interrupted before.
        """
        if self._is_cancelled:
            return
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
        elif not self.outcome.done():
            self.coroutine.close()
            self.outcome.set_exception(Cancelled(_CANCELLED))

    def _hand_over(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.set_exception(Cancelled(_CANCELLED))
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())
