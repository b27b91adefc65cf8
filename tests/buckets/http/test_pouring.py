"""Large bodies that a thread takes from the socket: byte for byte, and what ends them."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import random
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from airflow_provider_neuro_buckets.buckets.http.answer import MOST_UNREAD, Answer
from airflow_provider_neuro_buckets.buckets.http.connection import LARGE, Connection
from airflow_provider_neuro_buckets.buckets.http.faults import Broken
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from buckets.http.scripted import (
    HANGS_SECONDS,
    OK,
    Script,
    Trust,
    Wire,
    ask,
    cut,
    ending,
    first,
    goes_on,
    rest_of,
    saying,
    scripted,
    staying,
    talk,
    whole,
)

pytestmark = pytest.mark.usefixtures("quiet")

KIB = 1024
MIB = 1024 * KIB
CONTENT = random.Random(6).randbytes(5 * MIB + 3)
PART = CONTENT[: 2 * MIB]
SILENCE = 0.5
"""For a server that says no more: that is waited for."""


async def poured(answer: Answer, basin: Basin) -> OSError | None:
    """Pour a body; return what broke the connection, if something did."""
    await answer.pour(basin)
    try:
        assert not await answer.read()
    except OSError as error:
        return error
    return None


class Basin:
    """Keeps what is poured into it, and sees who pours.

    :param room: bytes that are taken at once.
    :ivar calls: how often it was used.
    """

    def __init__(self, room: int = 64 * KIB) -> None:
        self.content = bytearray()
        self.calls = 0
        self._room = memoryview(bytearray(room))
        self._has_come = threading.Condition()

    def room(self) -> memoryview:
        self.calls += 1
        return self._room

    def add(self, size: int) -> None:
        self.calls += 1
        assert 0 < size <= len(self._room)
        with self._has_come:
            self.content += self._room[:size]
            self._has_come.notify_all()

    async def holds(self, size: int) -> None:
        """Wait until so many bytes have come."""

        def wait() -> bool:
            with self._has_come:
                return self._has_come.wait_for(lambda: len(self.content) >= size, HANGS_SECONDS)

        assert await asyncio.to_thread(wait)


class StoppedBasin(Basin):
    """Keeps the thread that has poured into it, until it is told to let it go."""

    def __init__(self) -> None:
        super().__init__()
        self._is_entered = threading.Event()
        self.goes_on = threading.Event()

    def add(self, size: int) -> None:
        self._is_entered.set()
        assert self.goes_on.wait(HANGS_SECONDS)
        super().add(size)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._is_entered.wait, HANGS_SECONDS)


class FullBasin(Basin):
    """Takes so many bytes, and then raises an error."""

    def __init__(self, error: Exception, *, takes: int, raises_in_room: bool) -> None:
        super().__init__()
        self._error = error
        self._takes = takes
        self._raises_in_room = raises_in_room

    def room(self) -> memoryview:
        if self._raises_in_room and len(self.content) >= self._takes:
            raise self._error
        return super().room()

    def add(self, size: int) -> None:
        if not self._raises_in_room and len(self.content) >= self._takes:
            raise self._error
        super().add(size)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def users(basin: Basin) -> int:
    """Return how many threads besides this one do something with a basin."""
    stacks = [frame for thread, frame in sys._current_frames().items() if thread != threading.get_ident()]
    return sum(any(value is basin for one in _frames(stack) for value in one.f_locals.values()) for stack in stacks)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names are enough


def head(size: int, *, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % size + more + b"\r\n"


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop go on until something is so: nobody tells."""
    async with asyncio.timeout(HANGS_SECONDS):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


def waiting(begin: bytes, *pieces: bytes) -> Script:
    """Answer each request with the head, and with the rest once a test lets it."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.asked()
            await wire.say(begin)
            await wire.server.is_over.wait()
            wire.server.is_over.clear()
            await wire.say(*pieces)

    return script


def breaking(content: bytes, *, said: int, is_reset: bool) -> Script:
    """Answer with the beginning of a body, and end the connection once a test lets it."""

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(head(said) + content)
        await wire.server.is_over.wait()
        if is_reset:
            wire.reset()

    return script


async def settled_descriptors() -> int:
    """Return how many descriptors are open once nothing is about to be closed."""
    gc.collect()
    await asyncio.sleep(0.01)
    return descriptors()


@contextmanager
def without_collector() -> Iterator[None]:
    """See to it that whatever is freed was part of no circle."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# What arrives


@pytest.mark.parametrize("room", [1000, 64 * KIB, 8 * MIB])
@pytest.mark.parametrize("piece", [7919, 65_521, MIB, 8 * MIB])
@pytest.mark.parametrize("size", [LARGE, LARGE + 1, 2 * MIB - 1, 5 * MIB + 3])
async def test_a_body_arrives_as_it_is_and_the_next_by_the_same_connection(size: int, piece: int, room: int) -> None:
    content = CONTENT[:size]
    async with talk(waiting(head(size), *cut(content, piece))) as (server, http):
        for _ in range(2):
            answer = await ask(http, server.url)
            could_pour = answer.can_pour
            server.is_over.set()
            basin = Basin(room)
            assert await poured(answer, basin) is None
            assert basin.content == content
            assert (could_pour, answer.can_pour) == (True, False)
            assert await answer.read() == b""
            answer.end()
        assert server.numbers == [0, 0]


@pytest.mark.parametrize("piece", [100, 16 * KIB, 100_003, 8 * MIB])
@pytest.mark.parametrize(
    "before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"]
)
async def test_what_comes_with_the_head_is_poured_first(before: bytes, piece: int) -> None:
    begin, rest = CONTENT[: 40 * KIB], CONTENT[40 * KIB :]
    pieces = [*cut(before * 2 + head(len(CONTENT)) + begin, piece), rest]
    async with talk(saying(pieces, OK)) as (server, http):
        answer = await ask(http, server.url)
        assert (answer.status, answer.can_pour) == (200, True)
        basin = Basin()
        assert await poured(answer, basin) is None
        answer.end()
        assert basin.content == CONTENT
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


async def test_what_was_read_before_is_not_poured() -> None:
    async with talk(saying(head(len(CONTENT)) + CONTENT, OK)) as (server, http):
        answer = await ask(http, server.url)
        begin = bytes(await answer.read(1000))
        basin = Basin()
        assert await poured(answer, basin) is None
        assert begin + basin.content == CONTENT
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


async def test_a_body_that_waited_to_be_read_is_poured_and_does_not_hold_up_the_next() -> None:
    async with talk(saying(head(len(CONTENT)) + CONTENT, OK)) as (server, http):
        answer = await ask(http, server.url)
        await until(lambda: answer._unread > MOST_UNREAD)
        assert answer.can_pour
        basin = Basin()
        assert await poured(answer, basin) is None
        assert basin.content == CONTENT
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


async def test_the_loop_goes_on_while_a_body_is_poured() -> None:
    async with talk(saying(head(len(CONTENT)) + CONTENT, OK)) as (server, http):
        basin = StoppedBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        for _ in range(3):
            assert await whole(http, server.url) == b"ok"
        assert not pouring.done()
        basin.goes_on.set()
        assert await pouring is None
        assert basin.content == CONTENT
        assert await whole(http, server.url) == b"ok"
        assert set(server.numbers) == {0, 1}


async def test_many_bodies_are_poured_at_once() -> None:
    async with talk(saying(head(len(CONTENT)) + CONTENT)) as (server, http):
        answers = [await ask(http, server.url) for _ in range(8)]
        basins = [Basin() for _ in answers]
        failures = await asyncio.gather(*(poured(answer, basin) for answer, basin in zip(answers, basins, strict=True)))
        assert failures == [None] * 8
        assert all(basin.content == CONTENT for basin in basins)
        for _ in range(3):
            assert await rest_of(await ask(http, server.url)) == CONTENT
        assert sorted(server.numbers[:8]) == list(range(8))
        assert max(server.numbers) == 7


async def test_more_bodies_than_threads_are_poured_one_after_the_other() -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(head(len(CONTENT)))
        await wire.server.is_over.wait()
        await wire.say(CONTENT)
        await wire.gone()

    async with scripted(script) as server, asyncio.timeout(HANGS_SECONDS):
        http = Connections(silence=None, most=1)
        answers = [await ask(http, server.url) for _ in range(3)]
        basins = [Basin() for _ in answers]
        pouring = [asyncio.ensure_future(poured(one, basin)) for one, basin in zip(answers, basins, strict=True)]
        server.is_over.set()
        assert await asyncio.gather(*pouring) == [None] * 3
        assert all(basin.content == CONTENT for basin in basins)
        await http.close()


# Which body may be poured


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", head(LARGE - 1), CONTENT[: LARGE - 1]),
        ("HEAD", head(4 * LARGE), b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9999999\r\n\r\n", b""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"400000\r\n" + bytes(4 * MIB) + b"\r\n0\r\n\r\n",
        ),
    ],
    ids=["small", "HEAD", "no body", "chunks"],
)
async def test_a_body_that_is_small_or_of_no_known_length_is_not_poured(
    method: str, answer: bytes, body: bytes
) -> None:
    async with talk(waiting(answer, body)) as (server, http):
        response = await ask(http, server.url, method)
        assert not response.can_pour
        server.is_over.set()
        await rest_of(response)
        response.end()
        assert not response.can_pour


async def test_a_body_that_ends_with_its_connection_is_not_poured() -> None:
    async with talk(ending(b"HTTP/1.1 200 OK\r\n\r\n", CONTENT)) as (server, http):
        answer = await ask(http, server.url)
        assert not answer.can_pour
        assert await rest_of(answer) == CONTENT


async def test_what_comes_through_tls_is_not_poured(tls: Trust) -> None:
    async with talk(waiting(head(len(CONTENT)), CONTENT), tls=tls) as (server, http):
        answer = await ask(http, server.url)
        assert answer.can_pour == (tls[0] is None)
        server.is_over.set()
        assert await rest_of(answer) == CONTENT


async def test_a_body_of_which_little_is_still_to_come_is_not_poured() -> None:
    content = CONTENT[: LARGE + 100]
    async with talk(waiting(head(len(content)), content)) as (server, http):
        answer = await ask(http, server.url)
        assert answer.can_pour
        server.is_over.set()
        await until(lambda: not answer.can_pour)
        assert await rest_of(answer) == content


async def test_a_body_whose_connection_has_ended_is_not_poured() -> None:
    content = CONTENT[: 100 * KIB]
    async with talk(ending(head(4 * MIB), content)) as (server, http):
        answer = await ask(http, server.url)
        await until(lambda: not answer.can_pour)
        came = bytearray()
        while len(came) < len(content):
            came += await answer.read()
        assert came == content
        with pytest.raises(Broken):
            await answer.read()
        answer.end()


async def test_while_a_request_is_being_sent_the_answer_is_not_poured() -> None:
    sent = bytes(32 * MIB)

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(head(len(CONTENT)))
        await wire.server.is_over.wait()
        await wire.reader.readexactly(len(sent))
        await wire.say(CONTENT)
        await saying(OK)(wire)

    async with talk(script, narrow=True) as (server, http):
        answer = await ask(http, server.url, "PUT", body=sent)
        assert not answer.can_pour
        server.is_over.set()
        assert await answer.read(1)
        await until(lambda: answer.can_pour)  # all of the request has gone, but asyncio may not have told yet
        basin = Basin()
        assert await poured(answer, basin) is None
        assert basin.content == CONTENT[1:]
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


# What ends with it


@pytest.mark.parametrize("more", [b"Connection: close\r\n", b""])
async def test_a_server_that_closes_after_a_body_gave_all_of_it(more: bytes) -> None:
    async with talk(ending(head(len(CONTENT), more=more) + CONTENT)) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        assert await poured(answer, basin) is None
        answer.end()
        assert basin.content == CONTENT
        await server.wires[0].is_gone.wait()


async def test_a_connection_that_its_server_says_to_end_is_not_used_again() -> None:
    script = staying(head(len(CONTENT), more=b"Connection: close\r\n") + CONTENT)
    async with talk(first(script)) as (server, http):
        basin = Basin()
        assert await poured(await ask(http, server.url), basin) is None
        assert basin.content == CONTENT
        await goes_on(server, http)


@pytest.mark.parametrize("more", [b"x", OK, bytes(100 * KIB)])
async def test_a_connection_by_which_more_comes_than_was_said_is_not_used_again(more: bytes) -> None:
    async with talk(first(staying(head(len(CONTENT)) + CONTENT + more))) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        assert await poured(answer, basin) is None
        answer.end()
        assert basin.content == CONTENT
        await goes_on(server, http)


@pytest.mark.parametrize("size", [300 * KIB, 2 * MIB, len(CONTENT) - 1])
@pytest.mark.parametrize("is_reset", [False, True])
async def test_of_a_body_that_breaks_off_what_came_is_in_the_basin(size: int, *, is_reset: bool) -> None:
    script = breaking(CONTENT[:size], said=len(CONTENT), is_reset=is_reset)
    async with talk(first(script)) as (server, http):
        answer = await ask(http, server.url)
        assert answer.can_pour
        basin = Basin()
        pouring = asyncio.ensure_future(poured(answer, basin))
        await basin.holds(size)
        server.is_over.set()
        failure = await pouring
        assert isinstance(failure, ConnectionResetError if is_reset else Broken)
        assert basin.content == CONTENT[:size]
        with pytest.raises(ConnectionError):
            await answer.read()
        answer.end()
        await goes_on(server, http)


async def test_a_connection_that_had_ended_before_it_was_poured_gives_what_had_come() -> None:
    async with talk(first(ending(head(len(CONTENT)) + PART))) as (server, http):
        answer = await ask(http, server.url)
        await until(lambda: answer._unread > MOST_UNREAD)  # no more is taken then, so that its end is not seen
        await server.wires[0].is_gone.wait()
        assert answer.can_pour
        basin = Basin()
        assert isinstance(await poured(answer, basin), Broken)
        assert basin.content == PART
        await goes_on(server, http)


async def test_a_silence_is_an_error() -> None:
    async with talk(first(staying(head(len(CONTENT)) + PART)), silence=SILENCE) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        assert isinstance(await poured(answer, basin), TimeoutError)
        assert PART.startswith(basin.content)
        with pytest.raises(TimeoutError):
            await answer.read()
        answer.end()
        assert not users(basin)
        await goes_on(server, http)


async def test_a_slow_trickle_is_no_silence() -> None:
    silence, pieces = 3.0, cut(CONTENT, len(CONTENT) // 8)

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(head(len(CONTENT)))
        for piece in pieces:
            await asyncio.sleep(silence / 6)
            await wire.say(piece)
        await wire.gone()

    async with talk(script, silence=silence) as (server, http):
        basin = Basin()
        assert await poured(await ask(http, server.url), basin) is None
        assert len(pieces) * silence / 6 > silence
        assert basin.content == CONTENT


async def test_the_time_that_a_basin_takes_is_no_silence_of_the_server() -> None:
    async with talk(first(staying(head(len(CONTENT)) + CONTENT)), silence=SILENCE) as (server, http):
        basin = StoppedBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        await asyncio.sleep(2 * SILENCE)
        assert not pouring.done()
        basin.goes_on.set()
        assert await pouring is None
        assert basin.content == CONTENT


@pytest.mark.parametrize("raises_in_room", [False, True])
@pytest.mark.parametrize("takes", [0, 1, 1024 * KIB])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ConnectionError("of a disk"), ValueError()], ids=type)
async def test_what_a_basin_raises_is_raised_as_it_is_and_ends_the_connection(
    error: Exception, takes: int, *, raises_in_room: bool
) -> None:
    async with talk(first(staying(head(len(CONTENT)) + CONTENT))) as (server, http):
        answer = await ask(http, server.url)
        basin = FullBasin(error, takes=takes, raises_in_room=raises_in_room)
        with pytest.raises(type(error)) as caught:
            await poured(answer, basin)
        assert caught.value is error
        assert not users(basin)
        calls = basin.calls
        answer.end()
        await goes_on(server, http)
        assert basin.calls == calls
        assert CONTENT.startswith(basin.content)


async def test_a_basin_that_gives_up_is_no_silence_of_the_server() -> None:
    async with talk(first(staying(head(len(CONTENT)) + CONTENT))) as (server, http):
        answer = await ask(http, server.url)
        with pytest.raises(TimeoutError, match="slow disk"):
            await poured(answer, FullBasin(TimeoutError("slow disk"), takes=0, raises_in_room=False))
        answer.end()
        await goes_on(server, http)


# Given up by who asked


async def end_by_cancelling(pouring: asyncio.Future[OSError | None], _: Answer) -> None:
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring


async def end_the_answer(pouring: asyncio.Future[OSError | None], answer: Answer) -> None:
    answer.end()
    assert isinstance(await pouring, OSError)


ENDS = pytest.mark.parametrize("end", [end_by_cancelling, end_the_answer])
End = Callable[[asyncio.Future[OSError | None], Answer], Awaitable[None]]


@ENDS
async def test_who_gives_up_while_a_thread_waits_for_bytes_leaves_neither_thread_nor_connection(end: End) -> None:
    async with talk(first(staying(head(len(CONTENT)) + PART))) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        pouring = asyncio.ensure_future(poured(answer, basin))
        await basin.holds(len(PART))
        await end(pouring, answer)
        assert not users(basin)
        calls = basin.calls
        assert not answer.can_pour
        await goes_on(server, http)
        assert basin.content == PART
        assert basin.calls == calls


@pytest.mark.parametrize("times", [1, 3])
async def test_who_is_cancelled_while_a_basin_takes_bytes_waits_for_the_basin(times: int) -> None:
    async with talk(first(staying(head(len(CONTENT)) + CONTENT[: 200 * KIB]))) as (server, http):
        basin = StoppedBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        for _ in range(times):
            pouring.cancel()
            await asyncio.wait([pouring], timeout=0.01)
            assert not pouring.done()
        await goes_on(server, http)  # the connection is dropped at once
        assert users(basin) == 1
        basin.goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert not users(basin)
        calls = basin.calls
        assert await whole(http, server.url) == b"ok"
        assert basin.calls == calls
        assert CONTENT.startswith(basin.content)


async def test_who_is_cancelled_as_soon_as_it_begins_leaves_no_connection() -> None:
    for turns in range(4):
        async with talk(first(staying(head(len(CONTENT)) + PART))) as (server, http):
            answer = await ask(http, server.url)
            basin = Basin()
            pouring = asyncio.ensure_future(poured(answer, basin))
            for _ in range(turns):
                await asyncio.sleep(0)
            pouring.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pouring
            answer.end()
            assert not users(basin)
            await goes_on(server, http)


@pytest.mark.parametrize("most", [1, 3])
async def test_to_close_a_client_ends_what_is_poured(most: int) -> None:
    async with scripted(staying(head(len(CONTENT)) + PART)) as server, asyncio.timeout(HANGS_SECONDS):
        http = Connections(silence=None, most=most)
        answers = [await ask(http, server.url) for _ in range(3)]
        basins = [Basin() for _ in answers]
        pouring = [asyncio.ensure_future(poured(one, basin)) for one, basin in zip(answers, basins, strict=True)]
        await basins[0].holds(len(PART))
        await http.close()
        failures = await asyncio.gather(*pouring)
        assert all(isinstance(failure, ConnectionError) for failure in failures)
        assert not any(map(users, basins))
        assert all(PART.startswith(basin.content) for basin in basins)
        for answer in answers:
            with pytest.raises(Broken, match="Closed"):
                await answer.read()
        for wire in server.wires:
            await wire.is_gone.wait()


async def test_to_close_a_client_does_not_wait_for_a_basin() -> None:
    async with talk(first(staying(head(len(CONTENT)) + PART))) as (server, http):
        basin = StoppedBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        await http.close()
        assert not pouring.done()
        basin.goes_on.set()
        assert isinstance(await pouring, OSError)
        assert not users(basin)


# What is left


async def pour_whole() -> Basin:
    async with talk(saying(head(len(CONTENT)) + CONTENT)) as (server, http):
        basin = Basin()
        assert await poured(await ask(http, server.url), basin) is None
    return basin


async def pour_half() -> Basin:
    async with talk(ending(head(len(CONTENT)) + PART)) as (server, http):
        answer = await ask(http, server.url)
        basin = Basin()
        assert await poured(answer, basin) is not None
        answer.end()
    return basin


async def pour_too_much() -> Basin:
    async with talk(staying(head(len(CONTENT)) + CONTENT)) as (server, http):
        basin = FullBasin(ValueError("full"), takes=MIB, raises_in_room=False)
        with pytest.raises(ValueError, match="full"):
            await poured(await ask(http, server.url), basin)
    return basin


async def pour_and_give_up() -> Basin:
    async with talk(staying(head(len(CONTENT)) + PART)) as (server, http):
        basin = Basin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.holds(len(PART))
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
    return basin


async def pour_and_close() -> Basin:
    async with talk(staying(head(len(CONTENT)) + PART)) as (server, http):
        basin = Basin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.holds(len(PART))
        await http.close()
        assert await pouring is not None
    return basin


@pytest.mark.parametrize("pour", [pour_whole, pour_half, pour_and_give_up, pour_and_close])
async def test_neither_a_descriptor_nor_a_basin_is_left(pour: Callable[[], Awaitable[Basin]]) -> None:
    await pour()  # what is opened once and kept is open now
    before = await settled_descriptors()
    with without_collector():
        basin = weakref.ref(await pour())
        await until(lambda: basin() is None and descriptors() == before)  # a thread may be about to forget it


async def test_neither_a_descriptor_nor_a_basin_is_left_by_one_that_fails() -> None:
    await pour_too_much()
    before = await settled_descriptors()
    basin = weakref.ref(await pour_too_much())
    await until(lambda: gc.collect() >= 0 and basin() is None and descriptors() == before)


# What is easily forgotten


async def test_a_server_that_waits_for_room_sees_that_nobody_takes_more() -> None:
    async with talk(first(staying(head(4 * len(CONTENT)) + CONTENT * 4))) as (server, http):
        basin = StoppedBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        await asyncio.sleep(0.3)  # until there is no room between both
        pouring.cancel()
        await asyncio.sleep(0)
        basin.goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        await goes_on(server, http)


class LateBasin(StoppedBasin):
    """Raises once it may go on."""

    def add(self, size: int) -> None:
        super().add(size)
        raise ValueError


async def test_what_a_basin_raises_after_the_cancellation_is_not_complained_of() -> None:
    async with talk(first(staying(head(len(CONTENT)) + PART))) as (server, http):
        basin = LateBasin()
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        await basin.entered()
        pouring.cancel()
        await asyncio.sleep(0)
        basin.goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await pouring


async def test_who_is_cancelled_before_a_thread_is_free_does_not_wait_for_others() -> None:
    async with scripted(staying(head(len(CONTENT)) + PART)) as server, asyncio.timeout(HANGS_SECONDS):
        http = Connections(silence=None, most=1)
        basin = Basin()
        other = asyncio.ensure_future(poured(await ask(http, server.url), basin))
        pouring = asyncio.ensure_future(poured(await ask(http, server.url), Basin()))
        await basin.holds(len(PART))
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert not other.done()
        await http.close()
        assert await other is not None


async def test_a_silence_of_any_length_is_possible() -> None:
    async with talk(saying(head(len(CONTENT)) + CONTENT), silence=1e12) as (server, http):
        assert await poured(await ask(http, server.url), Basin()) is None


async def test_what_a_basin_raises_does_not_keep_it() -> None:
    async with talk(staying(head(len(CONTENT)) + CONTENT)) as (server, http):
        answer, basin = await ask(http, server.url), FullBasin(ValueError(), takes=0, raises_in_room=False)
        left = weakref.ref(basin)
        with without_collector():
            with pytest.raises(ValueError, match=r"^$"):
                await answer.pour(basin)
            basin._error = KeyError()  # it refers to the basin
            del basin
            answer.end()
            async with asyncio.timeout(HANGS_SECONDS):
                while left() is not None:  # noqa: ASYNC110 - a thread may be about to forget it
                    await asyncio.sleep(0.01)


async def test_a_connection_that_is_aborted_ends_what_is_poured() -> None:
    async with talk(first(staying(head(len(CONTENT)) + PART))) as (server, http):
        answer, basin = await ask(http, server.url), Basin()
        pouring = asyncio.ensure_future(poured(answer, basin))
        await basin.holds(len(PART))
        way = answer._way
        assert isinstance(way, Connection)
        assert way.transport is not None
        way.transport.abort()
        assert await pouring is not None


async def test_a_client_that_was_closed_pours_nothing_and_keeps_no_descriptor() -> None:
    async with scripted(staying(head(len(CONTENT)) + PART)) as server, asyncio.timeout(HANGS_SECONDS):
        http = Connections(silence=None, most=1)
        await http.close()
        answer = await ask(http, server.url)
        before = descriptors()
        with pytest.raises(RuntimeError):
            await answer.pour(Basin())
        answer.end()
        assert descriptors() <= before
