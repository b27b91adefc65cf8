"""A body that threads put into a basin: alike by a plain connection, through TLS, and as slowly as a pace allows."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, Timeout, Unavailable
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.connection import LARGE
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.stores.receiving import SlowReader, pour
from buckets.http.scripted import (
    HANGS_SECONDS,
    OK,
    Trust,
    Wire,
    ask,
    ending,
    first,
    goes_on,
    saying,
    staying,
    talk,
    whole,
)
from buckets.test_session import certificate

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1024 * 1024
CONTENT = random.Random(7).randbytes(5 * MIB + 3)
PART = CONTENT[: 2 * MIB + 5]
WHAT = "cannot read blob:b/k"
SILENCE = 0.5
"""For a server that says no more: that is waited for."""


class Basin:
    """Keeps what is put into it.

    :ivar calls: how often it was used.
    :ivar may_go_on: until it is set, whoever puts something in has to wait.
    :ivar is_entered: somebody has.
    :ivar error: raised instead of taking anything.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self.calls = 0
        self.may_go_on, self.is_entered = threading.Event(), threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None
        self._room = memoryview(bytearray(100_000))
        self._one_at_a_time = threading.Lock()

    def room(self) -> memoryview:
        self.calls += 1
        return self._room

    def add(self, size: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert self._one_at_a_time.acquire(blocking=False)
        self.calls += 1
        self.is_entered.set()
        assert self.may_go_on.wait(HANGS_SECONDS)
        if self.error is not None:
            self._one_at_a_time.release()
            raise self.error
        self.content += self._room[:size]
        self._one_at_a_time.release()


@dataclass(frozen=True)
class Way:
    """How a body comes: through TLS or not, and as slowly as a pace allows, if there is one."""

    tls: Trust
    slowly: SlowReader | None

    async def pour(self, answer: Answer, basin: Basin, expected: int = len(CONTENT)) -> None:
        await pour(answer, basin, expected=expected, what=WHAT, slowly=self.slowly)


@pytest.fixture(params=["plain", "tls", "slow", "slow tls"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    """Each way that a body may come."""
    # More than a test takes, but so that all of it goes through the pace.
    slowly = SlowReader(Pace(bytes_per_second=1e9)) if "slow" in request.param else None
    return Way(certificate(tmp_path, "127.0.0.1") if "tls" in request.param else (None, ""), slowly)


def said(content: bytes, size: int = len(CONTENT)) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + content


@pytest.mark.parametrize("piece", [7919, 8 * MIB])
@pytest.mark.parametrize("size", [0, 1, 100_000, LARGE - 1, LARGE, LARGE + 20_000, len(CONTENT)])
async def test_a_body_arrives_as_it_is_and_the_next_by_the_same_connection(way: Way, size: int, piece: int) -> None:
    answer = said(CONTENT[:size], size)
    async with talk(saying([answer[at : at + piece] for at in range(0, len(answer), piece)]), tls=way.tls) as (
        server,
        http,
    ):
        for _ in range(2):
            response = await ask(http, server.url)
            basin = Basin()
            await way.pour(response, basin, size)
            response.end()
            assert basin.content == CONTENT[:size]
        assert server.numbers == [0, 0]


async def test_the_loop_goes_on_while_a_basin_takes_bytes(way: Way) -> None:
    async with talk(saying(said(CONTENT), OK), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        basin.may_go_on.clear()
        pouring = asyncio.ensure_future(way.pour(answer, basin))
        assert await asyncio.to_thread(basin.is_entered.wait, HANGS_SECONDS)
        assert await whole(http, server.url) == b"ok"
        assert not pouring.done()
        basin.may_go_on.set()
        await pouring
        assert basin.content == CONTENT


async def test_of_a_body_that_breaks_off_what_came_is_in_the_basin(way: Way) -> None:
    async with talk(first(ending(said(PART))), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        with pytest.raises(Unavailable, match=WHAT):
            await way.pour(answer, basin)
        answer.end()
        assert basin.content == PART
        await goes_on(server, http)


async def test_a_body_whose_connection_is_reset_is_unavailable(way: Way) -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(said(PART))
        await wire.server.is_over.wait()
        wire.reset()

    async with talk(first(script), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        pouring = asyncio.ensure_future(way.pour(answer, basin))
        assert await asyncio.to_thread(basin.is_entered.wait, HANGS_SECONDS)
        server.is_over.set()
        with pytest.raises(Unavailable, match=WHAT):
            await pouring
        answer.end()
        assert PART.startswith(basin.content)
        await goes_on(server, http)


async def test_a_silence_is_told_as_such(way: Way) -> None:
    async with talk(first(staying(said(PART))), tls=way.tls, silence=SILENCE) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        with pytest.raises(Timeout, match=WHAT):
            await way.pour(answer, basin)
        answer.end()
        assert PART.startswith(basin.content)
        await goes_on(server, http)


@pytest.mark.parametrize("error", [OSError(28, "full"), ConnectionError("of a disk"), ValueError()], ids=type)
async def test_what_a_basin_raises_is_raised_as_it_is(way: Way, error: Exception) -> None:
    async with talk(first(staying(said(CONTENT))), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        basin.error = error
        with pytest.raises(type(error)) as caught:
            await way.pour(answer, basin)
        assert caught.value is error
        answer.end()
        calls = basin.calls
        await goes_on(server, http)
        assert basin.calls == calls


@pytest.mark.parametrize("times", [1, 3])
async def test_who_is_cancelled_waits_for_the_basin_and_nobody_uses_it_afterwards(way: Way, times: int) -> None:
    async with talk(first(staying(said(CONTENT))), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        basin.may_go_on.clear()
        pouring = asyncio.ensure_future(way.pour(answer, basin))
        assert await asyncio.to_thread(basin.is_entered.wait, HANGS_SECONDS)
        for _ in range(times):
            pouring.cancel()
            await asyncio.wait([pouring], timeout=0.01)
            assert not pouring.done()
        basin.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        calls = basin.calls
        answer.end()
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 1]
        assert basin.calls == calls
        assert CONTENT.startswith(basin.content)


async def test_who_is_cancelled_in_a_silence_need_not_wait(way: Way) -> None:
    async with talk(first(staying(said(PART))), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        pouring = asyncio.ensure_future(way.pour(answer, basin))
        assert await asyncio.to_thread(basin.is_entered.wait, HANGS_SECONDS)
        await asyncio.sleep(0.05)  # by now it waits for more, but nothing depends on that
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        answer.end()
        calls = basin.calls
        await goes_on(server, http)
        assert basin.calls == calls


def chunks(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


async def test_a_body_of_no_said_length_that_ends_too_early_is_unavailable(way: Way) -> None:
    async with talk(saying(chunks(PART)), tls=way.tls) as (server, http):
        basin = Basin()
        with pytest.raises(Unavailable, match=f"after {len(PART)} of {len(CONTENT)} bytes"):
            await way.pour(await ask(http, server.url), basin)
        assert basin.content == PART


async def test_a_body_of_no_said_length_that_goes_on_beyond_what_was_asked_for_is_invalid(way: Way) -> None:
    async with talk(saying(chunks(CONTENT)), tls=way.tls) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        with pytest.raises(InvalidAnswer, match=f"more than the {len(PART)} bytes"):
            await way.pour(answer, basin, len(PART))
        answer.end()
        assert PART.startswith(basin.content)
