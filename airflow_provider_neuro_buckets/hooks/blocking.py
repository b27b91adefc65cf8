"""A blocking face for an asynchronous class, generated from it: same names, same parameters, same docstrings.

Coroutines run on an event loop of their own in a thread of their own, so that the face works anywhere: in a plain task,
in a ``@task`` function, in a thread whose own loop is running.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow_provider_neuro_buckets.hooks.ahead import ReadAhead
from airflow_provider_neuro_buckets.hooks.failing import failing_at_once
from airflow_provider_neuro_buckets.hooks.loop import Cancelled, LoopThread

__all__ = ["BlockingFace", "Cancelled", "blocking_face"]

T = TypeVar("T")

READ_AT_ONCE = 1024 * 1024


class OpenClient:
    """A client that is open in a loop of its own, until :meth:`close`."""

    def __init__(self, opening: AbstractAsyncContextManager[Any], loop: LoopThread) -> None:
        self._opening = opening
        self.loop = loop
        self.client = loop.run(_await(opening.__aenter__()))
        self._reading: set[ReadAhead[Any]] = set()

    def read(self, stream: Any) -> Iterator[Any]:
        """Yield the values of a stream of the client, and close it."""
        ahead = ReadAhead[Any](self.loop, stream)
        self._reading.add(ahead)
        try:
            yield from ahead
        finally:
            self._reading.discard(ahead)
            ahead.close()

    def close(self) -> None:
        """Close the client with what still reads from it."""
        for ahead in tuple(self._reading):
            ahead.close()
        self.loop.run(_await(self._opening.__aexit__(None, None, None)), closing=True)


_LEFT_TO_PARENT: list[_Clients] = []
"""Clients that a forked process has inherited. Closing them here would take them out of the parent's event loop."""


class _Clients:
    """What a face has open in one process. A copy and a pickle of it have nothing open.

    :ivar held: the client of ``with`` blocks, of which so many as `depth` says are not left yet.
    :ivar door: held while that one is opened, or handed back.
    :ivar loops: of all clients, from before they are open until they are closed.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.door = threading.RLock()  # a signal handler may use the face in whose middle it comes
        self.held: OpenClient | None = None
        self.depth = 0
        self.loops: set[LoopThread] = set()

    def open(self, open_client: Callable[[], AbstractAsyncContextManager[Any]]) -> OpenClient:
        """Open a client in a loop of its own; give it to :meth:`close`."""
        loop = LoopThread().start()
        self.loops.add(loop)
        try:
            return OpenClient(open_client(), loop)
        except BaseException:
            self._end(loop)
            raise

    def close(self, opened: OpenClient) -> None:
        """Close a client, and end its loop."""
        try:
            opened.close()
        finally:
            self._end(opened.loop)

    def _end(self, loop: LoopThread) -> None:
        self.loops.discard(loop)
        loop.stop()

    def __reduce__(self) -> tuple[type[_Clients], tuple[()]]:
        return _Clients, ()


class BlockingFace:
    """Base of a class with generated blocking methods: opens the client, keeps it or closes it, runs, cancels.

    ``with face:`` keeps one client open for several calls; without it each call opens and closes its own. Several
    threads may call at once, and share the client of their ``with`` blocks; a process that is forked, or given a
    pickle, opens its own. An error that no retry can mend, such as that of a wrong token, fails a task at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_some_process = _Clients()

    @property
    def _clients(self) -> _Clients:
        """What this process has open."""
        if self._in_some_process.pid != os.getpid():
            _LEFT_TO_PARENT.append(self._in_some_process)
            self._in_some_process = _Clients()
        return self._in_some_process

    def open_client(self) -> AbstractAsyncContextManager[Any]:
        """Return the context manager that opens a client. Runs in the thread of the caller, and may block it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        clients = self._clients
        with clients.door, failing_at_once():
            if clients.held is None:
                clients.held = clients.open(self.open_client)
            clients.depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clients = self._clients
        with clients.door:
            if clients.held is None:
                return  # another process has entered the block, and was forked in it
            clients.depth -= 1
            if clients.depth:
                return
            held, clients.held = clients.held, None
        clients.close(held)

    def cancel(self) -> None:
        """Cancel the calls that run, and all that an open ``with`` block would still begin. The next block works again.

        What is being opened for a call or a block is cancelled with it.

        For ``on_kill``: safe in a signal handler and in any thread; does not wait.
        """
        for loop in tuple(self._clients.loops):
            loop.cancel()

    def call(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """Open a client if none is held, await `question(client)` in its loop, and return the answer.

        :raises Cancelled: :meth:`cancel` was called meanwhile.
        """
        with failing_at_once(), self._client() as opened:
            return opened.loop.run(_ask(question, opened.client))

    def iterate(self, stream: Callable[[Any], Any]) -> Iterator[Any]:
        """Yield what `stream(client)` yields; closing the iterator closes the stream.

        Nothing is asked for before the first value is; from then on the stream is read while the caller works, at most
        1,000 values or 1 MiB ahead.

        :raises Cancelled: :meth:`cancel` was called meanwhile.
        """
        with failing_at_once(), self._client() as opened:
            yield from opened.read(stream(opened.client))

    @contextmanager
    def _client(self) -> Iterator[OpenClient]:
        clients = self._clients
        if (held := clients.held) is not None:
            yield held
            return
        opened = clients.open(self.open_client)
        try:
            yield opened
        finally:
            clients.close(opened)


_END = object()


async def _ask(question: Callable[[Any], Awaitable[T]], client: Any) -> T:
    return await question(client)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def blocking_face(client: type) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that adds a blocking twin of every public method of `client`.

    Coroutines become plain methods, streams become lazy plain iterators. A plain function given as `filter`, and a file
    or a plain iterable given as `body`, are wrapped into what `client` wants; they run in threads, and may block.
    """

    def decorate(face: type[T]) -> type[T]:
        for name, method in inspect.getmembers(client, inspect.isfunction):
            if not name.startswith("_"):
                setattr(face, name, _twin(name, method))
        return face

    return decorate


def _twin(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    streams = inspect.isasyncgenfunction(inspect.unwrap(method))
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: BlockingFace, *arguments: Any, **keywords: Any) -> Any:
        given = signature.bind(self, *arguments, **keywords)
        given.arguments |= {key: _WRAPPERS[key](given.arguments[key]) for key in _WRAPPERS.keys() & given.arguments}
        run = self.iterate if streams else self.call
        return run(lambda client: getattr(client, name)(*given.args[1:], **given.kwargs))

    # Whoever inspects the twin must not take it for the asynchronous method that it wraps.
    call.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
    del call.__wrapped__
    return call


def _filter(given: Any) -> Any:
    """Wrap a plain function; leave a coroutine function, `None` and what is no function."""
    if not callable(given) or inspect.iscoroutinefunction(given):
        return given

    async def ask(path: str) -> bool:
        answer = await asyncio.to_thread(given, path)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    return ask


def _body(given: Any) -> Any:
    """Wrap a file or a plain iterable of bytes; leave bytes, an asynchronous iterable, and what is neither."""
    if isinstance(given, bytes | bytearray | memoryview | str | AsyncIterable):
        return given
    if hasattr(given, "read"):
        return _feed(iter(functools.partial(given.read, READ_AT_ONCE), b""))
    return _feed(iter(given)) if isinstance(given, Iterable) else given


async def _feed(values: Iterator[Any]) -> AsyncIterator[Any]:
    """Yield plain values; each is asked for in a thread, since getting it may block."""
    while (value := await asyncio.to_thread(next, values, _END)) is not _END:
        yield value


_WRAPPERS: dict[str, Callable[[Any], Any]] = {"filter": _filter, "body": _body}
