"""Of things that go on side by side, which failure is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


@asynccontextmanager
async def first_failure() -> AsyncIterator[None]:
    """Around a task group: raise the first exception of it as it was, with no group around."""
    try:
        yield
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception in a group of groups; before others one that nobody may catch, such as a time-out."""
    flat = list(_flat(errors))
    return next((error for error in flat if not isinstance(error, Exception)), flat[0])


def _flat(errors: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
