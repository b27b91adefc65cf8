"""Listing page after page; the same for every provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import Page


def no_guess(_: bytes) -> None:
    """Do not guess where a listing goes on."""


async def pages_of(
    fetch: Callable[[str | None], Awaitable[bytes]],
    read: Callable[[bytes], tuple[Page, str | None]],
    where: str,
    *,
    guess: Callable[[bytes], str | None] = no_guess,
    page_size: int | None = None,
) -> AsyncGenerator[Page]:
    """Yield pages until one has no next.

    The next page is on its way while one is read and handed over, unless the caller chose the size of the pages: who
    asks for so many is likely to want no more.

    :param fetch: gets the answer for a token, `None` for the first page.
    :param read: returns the page in an answer and the token of the next one; runs in a thread.
    :param where: the address that is listed, for errors.
    :param guess: returns what seems to be the token of the next page, at once: it is asked for while the answer is
        read. What comes of a wrong guess is thrown away.
    :raises InvalidAnswer: a token comes twice: the listing would never end.
    """
    seen: set[str] = set()
    upcoming = asyncio.ensure_future(fetch(None))
    try:
        while True:
            answer = await upcoming
            guessed = guess(answer) if page_size is None else None
            if guessed is not None and guessed not in seen:
                upcoming = asyncio.ensure_future(fetch(guessed))
            page, following = await asyncio.to_thread(read, answer)
            del answer  # large
            if following in seen:
                raise InvalidAnswer(f"the listing of {where} repeats itself")
            if following is not None:
                seen.add(following)
            if following != guessed:
                await _drop(upcoming)
                if following is not None and page_size is None:
                    upcoming = asyncio.ensure_future(fetch(following))
            yield page
            if following is None:
                return
            if page_size is not None:
                upcoming = asyncio.ensure_future(fetch(following))
    finally:
        await _drop(upcoming)


async def _drop(upcoming: asyncio.Future[bytes]) -> None:
    upcoming.cancel()
    await asyncio.wait([upcoming])
    if not upcoming.cancelled():
        upcoming.exception()  # seen: asyncio complains of an error that nobody looked at
