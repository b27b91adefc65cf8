"""What a method that yields returns: an async context manager over an async iterator, and an async iterator itself."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Stream(Generic[T]):
    """Values that arrive while they are read; nothing is requested before the first one is.

    ``async with stream as values: async for value in values`` closes its connection on every way out of the block;
    plain ``async for value in stream`` closes it at the end, or when a stream that was left early is collected.
    """

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._source

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._source

    def __anext__(self) -> Awaitable[T]:
        return self._source.__anext__()

    async def aclose(self) -> None:
        """Stop early: release what the stream holds."""
        await self._source.aclose()


def streaming(method: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Stream[T]]:
    """Make an async generator function return a :class:`Stream`."""

    @functools.wraps(method)
    def stream(*args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        return Stream(method(*args, **kwargs))

    return stream
