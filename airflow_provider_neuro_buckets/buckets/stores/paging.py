"""Listing page after page; the same for every provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import Page


async def pages_of(
    fetch: Callable[[str | None], Awaitable[tuple[Page, str | None]]], where: str, *, page_size: int | None = None
) -> AsyncGenerator[Page]:
    """Yield pages until one has no next.

    The next page is on its way while one is handed over, unless the caller chose the size of the pages: who asks for so
    many is likely to want no more.

    :param fetch: gets the page of a token, `None` for the first; returns it and the token of the next one.
    :param where: the address that is listed, for errors.
    :raises InvalidAnswer: a token comes twice: the listing would never end.
    """
    seen: set[str] = set()
    upcoming = asyncio.ensure_future(fetch(None))
    try:
        while True:
            page, following = await upcoming
            if following is not None:
                if following in seen:
                    raise InvalidAnswer(f"the listing of {where} repeats itself")
                seen.add(following)
                if page_size is None:
                    upcoming = asyncio.ensure_future(fetch(following))
            yield page
            if following is None:
                return
            if page_size is not None:
                upcoming = asyncio.ensure_future(fetch(following))
    finally:
        upcoming.cancel()
        await asyncio.wait([upcoming])
        if not upcoming.cancelled():
            upcoming.exception()  # seen: asyncio complains of an error that nobody looked at
