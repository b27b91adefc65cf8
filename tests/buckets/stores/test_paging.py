"""Page after page, with a server that is a function: an answer is ``page number:number of the next``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, Unavailable
from airflow_provider_neuro_buckets.buckets.stores.base import Page
from airflow_provider_neuro_buckets.buckets.stores.paging import no_guess, pages_of


class Server:
    """Has `count` pages.

    :ivar asked: the tokens, in their order.
    :ivar open_now: requests that have no answer yet.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.asked: list[str | None] = []
        self.open_now = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(self, token: str | None) -> bytes:
        self.asked.append(token)
        self.open_now += 1
        try:
            await asyncio.sleep(0)
            if token is not None:
                await self.may_answer.wait()
            if token == "broken":
                raise Unavailable("gone")
            number = int(token or "0")
            return f"{number}:{number + 1 if number + 1 < self._count else ''}".encode()
        finally:
            self.open_now -= 1

    def pages(
        self,
        *,
        read: Callable[[bytes], tuple[Page, str | None]] | None = None,
        guess: Callable[[bytes], str | None] = no_guess,
        page_size: int | None = None,
    ) -> AsyncGenerator[Page]:
        return pages_of(self.fetch, read or read_answer, "blob:b", guess=guess, page_size=page_size)


def read_answer(answer: bytes) -> tuple[Page, str | None]:
    number, _, following = answer.decode().partition(":")
    return Page(blobs=(), prefixes=[number]), following or None


def right(answer: bytes) -> str | None:
    return answer.decode().partition(":")[2] or None


GUESSES: dict[str, Callable[[bytes], str | None]] = {
    "none": no_guess,
    "right": right,
    "wrong": lambda _: "7",
    "the page before": lambda answer: answer.decode().partition(":")[0],
    "one that fails": lambda _: "broken",
}


@pytest.mark.parametrize("guess", GUESSES.values(), ids=GUESSES.keys())
@pytest.mark.parametrize("count", [1, 2, 5])
async def test_all_pages_come_once_and_in_their_order_whatever_is_guessed(
    count: int, guess: Callable[[bytes], str | None]
) -> None:
    server = Server(count)
    assert [page.prefixes[0] async for page in server.pages(guess=guess)] == [str(number) for number in range(count)]
    assert server.open_now == 0


@pytest.mark.parametrize("guess", [no_guess, right], ids=["none", "right"])
async def test_without_a_wrong_guess_no_page_is_asked_for_twice(guess: Callable[[bytes], str | None]) -> None:
    server = Server(4)
    assert len([page async for page in server.pages(guess=guess)]) == 4
    assert server.asked == [None, "1", "2", "3"]


async def test_the_next_page_is_asked_for_while_the_answer_before_is_read() -> None:
    server, asked = Server(2), threading.Event()

    async def fetch(token: str | None) -> bytes:
        if token is not None:
            asked.set()
        return await server.fetch(token)

    def read(answer: bytes) -> tuple[Page, str | None]:
        assert asked.wait(30)
        return read_answer(answer)

    assert len([page async for page in pages_of(fetch, read, "blob:b", guess=right)]) == 2


async def test_who_chose_the_size_of_a_page_causes_no_request_ahead() -> None:
    server = Server(3)
    async with aclosing(server.pages(guess=right, page_size=1)) as pages:
        await anext(pages)
        await asyncio.sleep(0)
        assert server.asked == [None]


@pytest.mark.parametrize("guess", [no_guess, right], ids=["none", "right"])
async def test_leaving_early_ends_the_request_that_is_on_its_way(guess: Callable[[bytes], str | None]) -> None:
    server = Server(3)
    server.may_answer.clear()
    async with aclosing(server.pages(guess=guess)) as pages:
        await anext(pages)
        await asyncio.sleep(0)
        assert server.open_now == 1
    assert server.open_now == 0


async def test_an_answer_that_cannot_be_read_ends_the_request_that_was_guessed() -> None:
    def refuse(_: bytes) -> tuple[Page, str | None]:
        raise InvalidAnswer("no listing")

    server = Server(3)
    server.may_answer.clear()
    with pytest.raises(InvalidAnswer, match="no listing"):
        await anext(server.pages(read=refuse, guess=right))
    assert server.open_now == 0


async def test_a_listing_that_names_a_page_twice_ends_and_asks_for_none_twice() -> None:
    server = Server(10)

    def read(answer: bytes) -> tuple[Page, str | None]:
        return read_answer(answer)[0], "1"

    with pytest.raises(InvalidAnswer, match="repeats itself"):
        assert [page async for page in server.pages(read=read, guess=lambda _: "1")]
    assert server.asked == [None, "1"]
