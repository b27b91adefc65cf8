"""One connection: what ends it, and what an error is instead of a hang."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from airflow_provider_neuro_buckets.buckets.http.connection import LARGEST_HEAD
from airflow_provider_neuro_buckets.buckets.http.faults import Broken
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.http.sending import Outgoing
from airflow_provider_neuro_buckets.buckets.pace import Pace
from buckets.http.scripted import (
    OK,
    Script,
    Wire,
    ask,
    ending,
    first,
    goes_on,
    rest_of,
    saying,
    staying,
    talk,
    whole,
)
from jumping import now, run

pytestmark = pytest.mark.usefixtures("quiet")

MIB = 1024 * 1024
LARGE = bytes(32 * MIB)
"""More than two sockets hold by themselves."""
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun"
SILENCE = 7.0


# Given up by who asked


@pytest.mark.parametrize(
    "script",
    [
        staying(BEGUN),
        staying(b"HTTP/1.1 200 OK\r\n\r\nbegun"),
        staying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"),
    ],
    ids=["length", "no length", "chunked"],
)
@pytest.mark.parametrize("is_read", [False, True])
async def test_to_end_an_answer_before_its_body_has_ended_drops_the_connection(
    script: Script, *, is_read: bool
) -> None:
    async with talk(first(script)) as (server, http):
        answer = await ask(http, server.url)
        assert not is_read or await answer.read() == b"begun"
        answer.end()
        answer.end()
        await goes_on(server, http)


async def test_to_end_an_answer_whose_body_has_ended_keeps_the_connection() -> None:
    async with talk(saying(OK)) as (server, http):
        answer = await ask(http, server.url)
        assert await rest_of(answer) == b"ok"
        answer.end()
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


async def get_whole(http: Connections, url: str) -> None:
    await whole(http, url)


async def put_large(http: Connections, url: str) -> None:
    await ask(http, url, "PUT", body=LARGE)


async def begun_only(wire: Wire) -> None:
    """Take the beginning of a body, and the rest only once there is an end to it."""
    await wire.asked()
    await wire.reader.readexactly(MIB)
    await wire.server.is_over.wait()
    await wire.gone()


@pytest.mark.parametrize(
    ("script", "request_whole"),
    [
        (staying(), get_whole),
        (staying(b"HTTP/1.1 200"), get_whole),
        (staying(b"HTTP/1.1 100 Continue\r\n\r\n"), get_whole),
        (staying(BEGUN), get_whole),
        (begun_only, put_large),
    ],
    ids=["before the head", "within the head", "after a provisional one", "within the body", "while sending"],
)
def test_who_is_cancelled_leaves_no_connection(
    script: Script, request_whole: Callable[[Connections, str], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with talk(first(script)) as (server, http):
            asking = asyncio.ensure_future(request_whole(http, server.url))
            await asyncio.sleep(1)  # as far as it comes
            assert server.numbers == [0]
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            server.is_over.set()
            await goes_on(server, http)

    run(main())


# An answer that comes before its request is sent


@pytest.mark.parametrize("size", [256 * 1024, 400_000, len(LARGE)])
@pytest.mark.parametrize("end", [b"", b"Connection: close\r\n"])
def test_an_answer_that_comes_early_is_given_and_its_connection_not_used_again(end: bytes, size: int) -> None:
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n" + end + b"\r\nmuch"

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(early)
        await wire.server.is_over.wait()
        await wire.gone()

    async def main() -> None:
        async with talk(first(script), narrow=True) as (server, http):
            answer = await ask(http, server.url, "PUT", body=bytes(size))
            assert answer.status == 413
            assert await rest_of(answer) == b"much"
            answer.end()
            server.is_over.set()
            await goes_on(server, http)

    run(main())


async def test_a_request_of_which_the_rest_is_taken_after_the_head_of_the_answer_keeps_its_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await wire.reader.readexactly(len(LARGE))
        await wire.say(b"ok")
        await saying(OK)(wire)

    async with talk(script) as (server, http):
        assert await rest_of(await ask(http, server.url, "PUT", body=LARGE)) == b"ok"
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


async def test_a_server_that_hangs_up_while_a_body_is_sent_is_an_error() -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.reader.readexactly(MIB)
        wire.reset()

    async with talk(first(script)) as (server, http):
        with pytest.raises(Broken):
            await ask(http, server.url, "PUT", body=LARGE)
        await goes_on(server, http)


# What is no answer


def saying_for_ever(piece: bytes, *, begin: bytes = b"") -> Script:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(begin)
        while True:
            await wire.say(piece)

    return script


@pytest.mark.parametrize(
    "script",
    [
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok"),
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok"),
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok"),
        staying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        staying(b"SSH-2.0-OpenSSH_9.2\r\n"),
        staying(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),
        staying(b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok"),
        staying(b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nno" + OK),
        staying(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
        staying(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        staying(b"HTTP/1.1 200 OK\r\nA B: 1\r\n\r\n"),
        staying(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
        staying(b"HTTP/1.1 200 OK\r\nX: " + bytes(3) + b"\r\n\r\n"),
        staying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * LARGEST_HEAD) + b"\r\n\r\n"),
        saying_for_ever(b"x" * 1000, begin=b"HTTP/1.1 200 OK\r\nX: "),
        saying_for_ever(b"X: 1\r\n" * 100, begin=b"HTTP/1.1 200 OK\r\n"),
        saying_for_ever(b"HTTP/1.1 100 Continue\r\n\r\n"),
        saying_for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        saying_for_ever(b"\r\n" * 100),
        ending(),
        ending(b"HTTP/1.1 200 OK\r\nContent-Len"),
        ending(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=[
        *("two lengths", "a list of lengths", "a negative length", "a length that is no number", "a huge length"),
        *(
            "length and chunks",
            "another protocol",
            "HTTP/2",
            "no status",
            "no status, then one",
            "a short status",
            "an upgrade",
            "a space",
        ),
        *(
            "no colon",
            "a zero byte",
            "a large head",
            "an endless header",
            "endless headers",
            "endless provisional ones",
        ),
        *("endless hints", "endless empty lines", "nothing", "half a head", "a provisional one only"),
    ],
)
def test_what_is_no_answer_is_an_error_and_no_hang(script: Script) -> None:
    async def main() -> None:
        async with talk(first(script)) as (server, http):
            with pytest.raises(Broken):
                await ask(http, server.url)
            await goes_on(server, http)

    run(main())


async def test_a_head_up_to_the_limit_is_taken() -> None:
    name = b"x" * (LARGEST_HEAD - len(OK) - 5)
    async with talk(saying(OK.replace(b"\r\n\r\n", b"\r\nX: " + name + b"\r\n\r\n"))) as (server, http):
        answer = await ask(http, server.url)
        assert len(answer.headers["X"]) == len(name)
        assert await rest_of(answer) == b"ok"


def test_endless_trailers_are_an_error_and_take_no_memory() -> None:
    trailer = b"X: " + b"x" * MIB + b"\r\n"
    script = staying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", *[trailer] * 16)

    async def main() -> None:
        async with talk(first(script), silence=SILENCE) as (server, http):
            answer = await ask(http, server.url)
            with pytest.raises(Broken):
                await rest_of(answer)
            answer.end()
            await goes_on(server, http)

    run(main())


# No more is taken


@pytest.mark.parametrize("size", [100, 256 * 1024, 400_000, 512 * 1024, 512 * 1024 + 1, 4 * MIB])
def test_a_body_of_whatever_size_of_which_no_more_is_taken_is_given_up(size: int) -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.server.is_over.wait()

    async def main() -> None:
        async with talk(first(script), silence=SILENCE, narrow=True) as (server, http):
            with pytest.raises(TimeoutError):
                await ask(http, server.url, "PUT", body=bytes(size))
            assert now() < 10 * SILENCE
            server.is_over.set()
            await goes_on(server, http)

    run(main())


def test_a_silence_after_a_large_body_was_taken_is_an_error() -> None:
    async def main() -> None:
        async with talk(first(staying()), silence=SILENCE) as (server, http):
            with pytest.raises(TimeoutError):
                await ask(http, server.url, "PUT", body=LARGE)
            await goes_on(server, http)

    run(main())


def test_a_body_that_waits_for_its_pace_ends_with_its_request() -> None:
    async def main() -> None:
        async with talk(first(saying(OK))) as (server, http):
            pace = Pace(bytes_per_second=1024)
            answer = await http.request("PUT", server.url, headers={}, body=Outgoing.of(LARGE), pace=pace)
            assert await rest_of(answer) == b"ok"
            await goes_on(server, http)
            assert len(server.asked) == 2
            assert "send" not in {getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()}

    run(main())
