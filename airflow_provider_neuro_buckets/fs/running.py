"""Coroutines of the filesystem, run by blocking code on fsspec's event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem, get_loop, iothread, reset_lock

from airflow_provider_neuro_buckets.hooks.loop import CLEAN_UP_SECONDS, wait_for

T = TypeVar("T")
P = ParamSpec("P")
Kind = TypeVar("Kind", bound=type[AsyncFileSystem])


def shared_loop() -> AbstractEventLoop:
    """Return the loop of fsspec's thread.

    In a forked process that thread is gone, which older releases of fsspec do not notice: a call would wait for ever.
    """
    if iothread[0] is not None and not iothread[0].is_alive():
        reset_lock()
    loop: AbstractEventLoop = get_loop()
    return loop


def run(loop: AbstractEventLoop | None, function: Callable[P, Awaitable[T]], *args: P.args, **keywords: P.kwargs) -> T:
    """Run a coroutine function on a loop that runs in another thread, and wait for it.

    Other than fsspec's own way, whatever interrupts the waiting (Ctrl-C, a task's time-out) cancels the coroutine and
    waits for its clean-up.

    :raises RuntimeError: called from that loop itself, or there is none: the filesystem is for coroutines.
    """
    if loop is None or loop is _running_loop():
        raise RuntimeError(
            "a blocking call would block the event loop that has to answer it: await the _method instead"
        )
    call = _Call()
    future = None
    try:
        # An interruption may come at once: between the submission and its return, when there is no future yet.
        future = asyncio.run_coroutine_threadsafe(call.whole(function, *args, **keywords), loop)
        wait_for(future)
        return future.result()
    except BaseException:
        if not call.ended.is_set():
            loop.call_soon_threadsafe(call.interrupt)
            call.ended.wait(CLEAN_UP_SECONDS)
        raise
    finally:
        del future  # an error in it refers to this frame, which would refer back and keep both alive


class _Call:
    """A coroutine that another thread may interrupt, whether it has begun or not."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._is_interrupted = False
        self._task: asyncio.Task[Any] | None = None

    async def whole(self, function: Callable[P, Awaitable[T]], *args: P.args, **keywords: P.kwargs) -> T:
        if self._is_interrupted:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        try:
            return await function(*args, **keywords)
        finally:
            self._task = None  # it holds the error, the error this frame's caller, and that one this object
            self.ended.set()

    def interrupt(self) -> None:
        """Cancel it, or keep it from beginning. Runs on the loop, after the submission."""
        self._is_interrupted = True
        if self._task is None:
            self.ended.set()
        else:
            self._task.cancel()


def _running_loop() -> AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def blocking_twins(kind: Kind) -> Kind:
    """Give a filesystem the blocking twin of each of its coroutines that fsspec knows, run by :func:`run`."""
    for name in dir(AsyncFileSystem):
        twin = name.removeprefix("_")
        default = getattr(AbstractFileSystem, twin, None)
        if name.startswith("__") or twin == name or default is None or getattr(kind, twin) is not default:
            continue
        function = getattr(kind, name)
        if inspect.iscoroutinefunction(function):
            setattr(kind, twin, _twin(name, default))
        elif inspect.isasyncgenfunction(function):
            setattr(kind, twin, _lazy_twin(name, default))
    kind.mirror_sync_methods = False
    return kind


def _twin(name: str, default: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(default)
    def call(self: AsyncFileSystem, *args: Any, **keywords: Any) -> Any:
        return run(self.loop, getattr(self, name), *args, **keywords)

    return call


def _lazy_twin(name: str, default: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(default)
    def call(self: AsyncFileSystem, *args: Any, **keywords: Any) -> Iterator[Any]:
        source: AsyncGenerator[Any] = getattr(self, name)(*args, **keywords)
        try:
            while (value := run(self.loop, _next, source)) is not _END:
                yield value
        finally:
            run(self.loop, source.aclose)

    return call


_END = object()


async def _next(source: AsyncGenerator[Any]) -> Any:
    return await anext(source, _END)
