"""A blocking face for an asynchronous class, generated from it: same names, same parameters, same docstrings.

Coroutines run on an event loop of their own in a thread of their own, so that the face works anywhere: in a plain task,
in a ``@task`` function, in a thread whose own loop is running.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

CLEAN_UP_SECONDS = 4.0
"""How long an interrupted call may take to abort its uploads and remove its temporary files."""


class Cancelled(Exception):
    """The call was cancelled from outside, and has cleaned up."""


class LoopThread:
    """An event loop in a thread, from :meth:`start` to :meth:`stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._task: asyncio.Task[Any] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="neuro-buckets", daemon=True)

    def start(self) -> Self:
        """Start the thread and wait until its loop runs."""
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """Cancel what still runs, close the loop and end the thread."""
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stopping.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it.

        Whatever interrupts the waiting (Ctrl-C, a task's time-out) cancels the coroutine, waits for its clean-up, and
        goes on.

        :raises Cancelled: :meth:`cancel` was called.
        """
        assert self._loop is not None
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

        def begin() -> None:
            self._task = asyncio.ensure_future(coroutine)
            self._task.add_done_callback(lambda task: _hand_over(task, outcome))

        self._loop.call_soon_threadsafe(begin)
        try:
            concurrent.futures.wait([outcome])
        except BaseException:
            self.cancel()
            concurrent.futures.wait([outcome], CLEAN_UP_SECONDS)
            raise
        return outcome.result()

    def cancel(self) -> None:
        """Cancel what runs, if anything does. Safe from any thread and from a signal handler; does not wait."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _hand_over(task: asyncio.Task[T], outcome: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        outcome.set_exception(Cancelled("the call was cancelled"))
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


class OpenClient:
    """A client that is open in a loop of its own, until :meth:`close`."""

    def __init__(self, opening: AbstractAsyncContextManager[Any]) -> None:
        self._opening = opening
        self.loop = LoopThread().start()
        try:
            self.client = self.loop.run(_await(opening.__aenter__()))
        except BaseException:
            self.loop.stop()
            raise

    def close(self) -> None:
        """Close the client, and end its loop."""
        try:
            self.loop.run(_await(self._opening.__aexit__(None, None, None)))
        finally:
            self.loop.stop()


class BlockingFace:
    """Base of a class with generated blocking methods: opens the client, keeps it or closes it, runs, cancels.

    ``with face:`` keeps one client open for several calls; without it each call opens and closes its own. One call at a
    time; a second thread takes a face of its own.
    """

    _held: OpenClient | None = None
    _active: OpenClient | None = None

    def open_client(self) -> AbstractAsyncContextManager[Any]:
        """Return the context manager that opens a client. Runs in the thread of the caller, and may block it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._held is None:
            self._held = OpenClient(self.open_client())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def cancel(self) -> None:
        """Cancel the call that runs, if any, for ``on_kill``. Safe in a signal handler; does not wait."""
        active = self._active
        if active is not None:
            active.loop.cancel()

    def call(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """Open a client if none is held, await `question(client)`, and return its answer.

        :raises Cancelled: :meth:`cancel` was called meanwhile.
        """
        with self._open() as opened:
            return opened.loop.run(_await(question(opened.client)))

    def iterate(self, stream: Callable[[Any], Any]) -> Iterator[Any]:
        """Yield what `stream(client)` yields, one at a time; closing the iterator closes the stream."""
        with self._open() as opened:
            source = stream(opened.client)
            try:
                while (value := opened.loop.run(_next(source))) is not _END:
                    yield value
            finally:
                opened.loop.run(source.aclose())

    @contextmanager
    def _open(self) -> Iterator[OpenClient]:
        opened = self._held or OpenClient(self.open_client())
        self._active = opened
        try:
            yield opened
        finally:
            self._active = None
            if opened is not self._held:
                opened.close()


_END = object()


async def _next(source: AsyncIterator[Any]) -> Any:
    try:
        return await source.__anext__()
    except StopAsyncIteration:  # cannot cross a future
        return _END


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def blocking_face(client: type) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that adds a blocking twin of every public method of `client`.

    Coroutines become plain methods, streams become lazy plain iterators. A plain function given as `filter`, and a
    plain iterator given as content, are wrapped into what `client` wants.
    """

    def decorate(face: type[T]) -> type[T]:
        for name, method in vars(client).items():
            if not name.startswith("_") and inspect.isfunction(method):
                setattr(face, name, _twin(name, method))
        return face

    return decorate


def _twin(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    streams = inspect.isasyncgenfunction(inspect.unwrap(method))

    @functools.wraps(method)
    def call(self: BlockingFace, *arguments: Any, **keywords: Any) -> Any:
        given = [_asynchronous("", value) for value in arguments]
        named = {key: _asynchronous(key, value) for key, value in keywords.items()}
        run = self.iterate if streams else self.call
        return run(lambda client: getattr(client, name)(*given, **named))

    # Whoever inspects the twin must not take it for the asynchronous method that it wraps.
    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # what inspect reads
    del call.__wrapped__
    return call


def _asynchronous(name: str, value: Any) -> Any:
    """Wrap a plain filter function or a plain iterator of bytes; leave everything else."""
    if name == "filter" and callable(value) and not inspect.iscoroutinefunction(value):
        return functools.partial(_ask, value)
    if isinstance(value, Iterator) or (name == "body" and _is_plain(value)):
        return _feed(iter(value))
    return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview | str)


async def _ask(function: Callable[[str], Any], path: str) -> bool:
    answer = function(path)
    return bool(await answer if inspect.isawaitable(answer) else answer)


async def _feed(values: Iterator[Any]) -> AsyncIterator[Any]:
    """Yield plain values; each is asked for in a thread, since getting it may block."""
    while (value := await asyncio.to_thread(next, values, _END)) is not _END:
        yield value
