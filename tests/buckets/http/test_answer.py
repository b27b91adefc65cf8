"""What comes in: heads, and bodies of every kind, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from airflow_provider_neuro_buckets.buckets.http.answer import MOST_UNREAD
from airflow_provider_neuro_buckets.buckets.http.connection import READ_AT_ONCE
from airflow_provider_neuro_buckets.buckets.http.faults import Broken
from buckets.http.scripted import (
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
    staying,
    talk,
    whole,
)
from jumping import JumpingLoop, now, run

pytestmark = pytest.mark.usefixtures("quiet")

KIB = 1024
MIB = 1024 * KIB
SILENCE = 7.0
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun"
CONTENT = random.Random(5).randbytes(5 * MIB + 3)
BYTE_BY_BYTE = 1


def with_length(content: bytes, *, said: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(content) if said is None else said) + content


def chunked(content: bytes, *, size: int, trailers: bytes = b"") -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n"),
    ],
)
async def test_an_answer_without_a_body_has_none_and_the_next_comes_by_the_same_connection(
    method: str, head: bytes
) -> None:
    async with talk(saying(head, OK)) as (server, http):
        answer = await ask(http, server.url, method)
        assert (answer.status, await answer.read()) == (int(head[9:12]), b"")
        answer.end()
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


@pytest.mark.parametrize("size", [BYTE_BY_BYTE, 10_000])
@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>\r\nETag: no"])
async def test_provisional_answers_before_the_real_one_are_passed_over(status: bytes, size: int) -> None:
    provisional = b"HTTP/1.1 " + status + b"\r\n\r\n"
    async with talk(saying(cut(provisional * 3 + OK, size))) as (server, http):
        answer = await ask(http, server.url)
        assert (answer.status, dict(answer.headers)) == (200, {"Content-Length": "2"})
        assert await rest_of(answer) == b"ok"
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0]


@pytest.mark.parametrize("trailers", [b"", b"X-Checksum: 1\r\nX-Other: 2\r\n"])
@pytest.mark.parametrize(("length", "chunk", "size"), [(20, 7, BYTE_BY_BYTE), (MIB, 4321, 7919), (MIB, MIB, 65_521)])
async def test_a_chunked_body_arrives_as_it_is(tls: Trust, length: int, chunk: int, size: int, trailers: bytes) -> None:
    pieces = cut(chunked(CONTENT[:length], size=chunk, trailers=trailers), size)
    async with talk(saying(pieces), tls=tls) as (server, http):
        for _ in range(2):
            assert await whole(http, server.url) == CONTENT[:length]
        assert server.numbers == [0, 0]


@pytest.mark.parametrize("most", [None, 1000, MIB])
@pytest.mark.parametrize(
    ("length", "size"),
    [(30, BYTE_BY_BYTE), (16 * KIB, 16 * KIB), (16 * KIB + 1, 10_007), (READ_AT_ONCE + 1, 7919), (5 * MIB + 3, 99_991)],
)
async def test_a_body_of_known_length_arrives_as_it_is(tls: Trust, length: int, size: int, most: int | None) -> None:
    content = CONTENT[:length]
    async with talk(saying(cut(with_length(content), size)), tls=tls) as (server, http):
        for _ in range(2):
            answer = await ask(http, server.url)
            chunks = []
            while chunk := await answer.read(most):
                chunks.append(chunk)  # as it is: what arrives later must not be written over it
            assert hashlib.sha256(b"".join(chunks)).digest() == hashlib.sha256(content).digest()
            assert most is None or max(map(len, chunks)) <= most
        assert server.numbers == [0, 0]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("length", [0, 5, 2 * MIB])
async def test_a_body_of_no_known_length_ends_with_its_connection(tls: Trust, version: bytes, length: int) -> None:
    script = ending(b"HTTP/" + version + b" 200 OK\r\n\r\n", *cut(CONTENT[:length], 77_777))
    async with talk(script, tls=tls) as (server, http):
        assert await whole(http, server.url) == CONTENT[:length]
        assert await whole(http, server.url) == CONTENT[:length]
        assert server.numbers == [0, 1]


async def test_a_body_in_an_unknown_transfer_coding_ends_with_the_connection(tls: Trust) -> None:
    async with talk(ending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nbegun"), tls=tls) as (server, http):
        assert await whole(http, server.url) == b"begun"


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (with_length(b"abc", said=10), b"abc"),
        (with_length(CONTENT[: 300 * KIB], said=MIB), CONTENT[: 300 * KIB]),
        (chunked(b"abc", size=2)[:-5], b"abc"),
        (chunked(b"abc", size=3)[:-8], b"ab"),
        (chunked(b"abc", size=3)[:-2], b"abc"),
        (chunked(b"abc", size=3)[:-5] + b"no size\r\n", b"abc"),
    ],
    ids=["length", "long", "between chunks", "within a chunk", "before the last line", "no size of a chunk"],
)
def test_of_a_body_that_breaks_off_what_came_is_read_first(answer: bytes, came: bytes) -> None:
    async def main() -> None:
        async with talk(ending(answer)) as (server, http):
            response = await ask(http, server.url)
            await asyncio.sleep(1)  # the connection has ended when the body is read
            content = b""
            while len(content) < len(came):
                content += await response.read()
            assert content == came
            for _ in range(2):
                with pytest.raises(Broken):
                    await response.read()
            response.end()

    run(main())


async def test_a_body_whose_connection_is_reset_is_an_error() -> None:
    is_read = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(b"HTTP/1.1 200 OK\r\n\r\nabc")  # it would end with its connection, but not like this
        await is_read.wait()
        wire.reset()

    async with talk(script) as (server, http):
        answer = await ask(http, server.url)
        assert await answer.read() == b"abc"
        is_read.set()
        with pytest.raises(Broken, match="ConnectionResetError"):
            await answer.read()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_reader_that_does_not_read_stops_the_sender(tls: Trust, *, is_chunked: bool) -> None:
    count = 192
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.asked()
        piece = CONTENT[:MIB]
        if is_chunked:
            head, piece = b"Transfer-Encoding: chunked", b"100000\r\n" + piece + b"\r\n"
        else:
            head = b"Content-Length: %d" % (count * MIB)
        await wire.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        for _ in range(count):
            await wire.say(piece)
            sent += 1
        await wire.say(b"0\r\n\r\n" if is_chunked else b"")
        await wire.gone()

    async def main() -> None:
        async with talk(script, tls=tls) as (server, http):
            answer = await ask(http, server.url)
            await asyncio.sleep(20)
            stopped = sent
            assert answer._unread <= MOST_UNREAD + READ_AT_ONCE
            assert stopped < count // 2, "the rest is in what two sockets hold"
            await asyncio.sleep(20)
            assert sent == stopped
            digest, length = hashlib.sha256(), 0
            while chunk := await answer.read():
                digest.update(chunk)
                length += len(chunk)
            assert length == count * MIB
            assert digest.digest() == hashlib.sha256(CONTENT[:MIB] * count).digest()

    run(main())


def test_what_is_unread_of_one_answer_does_not_hold_up_the_next() -> None:
    content = CONTENT[: MIB // 2]

    async def main() -> None:
        async with talk(saying(with_length(content), OK)) as (server, http):
            first = await ask(http, server.url)
            await asyncio.sleep(1)
            parts = [await first.read()]
            while len(b"".join(parts)) < len(content) - 1000:
                parts.append(await first.read(1000))
            await asyncio.sleep(1)  # all of it is there, some is not read
            second = await ask(http, server.url)
            assert b"".join(parts) + await rest_of(first) == content
            first.end()
            assert await rest_of(second) == b"ok"
            assert server.numbers == [0, 0]

    run(main())


async def test_headers_are_found_in_whatever_case_and_keep_bytes_that_are_no_ascii() -> None:
    head = b'HTTP/1.1 200 OK\r\neTaG: "x"\r\nX-Name: \xc3\xa9\r\nX-Raw: \xff\r\nX-None:\r\nX-Wide: \t a b \r\n'
    async with talk(saying(head + b"content-LENGTH: 2\r\n\r\nok")) as (server, http):
        answer = await ask(http, server.url)
        assert await rest_of(answer) == b"ok"
    headers = answer.headers
    assert [headers[name] for name in ("ETag", "etag", "x-name", "X-NONE", "Content-Length")] == [
        '"x"',
        '"x"',
        "é",
        "",
        "2",
    ]
    assert headers["X-Raw"].encode(errors="surrogateescape") == b"\xff"
    assert headers["X-Wide"].strip() == "a b"


@pytest.mark.parametrize("reason", [b"", b" ", b" OK", b" Tr\xc3\xa8s bien", b" \xff"])
async def test_whatever_reason_a_status_has_is_passed_over(reason: bytes) -> None:
    async with talk(saying(OK.replace(b" OK", reason))) as (server, http):
        assert await whole(http, server.url) == b"ok"


# Silence


@pytest.mark.parametrize(
    ("script", "has_head"),
    [
        (staying(), False),
        (staying(b"HTTP/1.1 200 OK\r\nContent-Le"), False),
        (staying(b"HTTP/1.1 100 Continue\r\n\r\n"), False),
        (staying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), True),
        (staying(BEGUN), True),
        (staying(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + bytes(100_000)), True),
        (staying(b"HTTP/1.1 200 OK\r\n\r\nbegun"), True),
        (staying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbe"), True),
    ],
)
def test_a_silence_is_an_error_after_its_time(script: Script, *, has_head: bool) -> None:
    async def main() -> None:
        async with talk(first(script), silence=SILENCE) as (server, http):
            begun = now()
            if has_head:
                answer = await ask(http, server.url)
                with pytest.raises(TimeoutError):
                    await rest_of(answer)
            else:
                with pytest.raises(TimeoutError):
                    await ask(http, server.url)
            assert now() - begun == pytest.approx(SILENCE)
            await goes_on(server, http)

    run(main())


def test_what_arrives_slowly_is_no_silence() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK

    async def script(wire: Wire) -> None:
        await wire.asked()
        for byte in answer:
            await asyncio.sleep(SILENCE / 2)
            await wire.say(bytes([byte]))

    async def main() -> None:
        async with talk(script, silence=SILENCE) as (server, http):
            assert await whole(http, server.url) == b"ok"
            assert now() >= len(answer) * SILENCE / 2

    run(main())


def test_the_pause_of_a_reader_is_no_silence_of_the_server() -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(BEGUN)
        await wire.server.is_over.wait()
        await wire.say(bytes(995))
        await wire.gone()

    async def main() -> None:
        async with talk(script, silence=SILENCE) as (server, http):
            answer = await ask(http, server.url)
            assert await answer.read() == b"begun"
            await asyncio.sleep(5 * SILENCE)
            server.is_over.set()
            assert await rest_of(answer) == bytes(995)

    run(main())


def test_a_loop_that_stood_still_is_no_silence_of_the_server() -> None:
    has_read = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(BEGUN)
        await has_read.wait()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)
        wire.writer.write(bytes(5))  # on loopback it is there at once
        loop._clock.now += 2 * SILENCE
        await asyncio.sleep(1)
        await wire.say(bytes(990))
        await wire.gone()

    async def main() -> None:
        async with talk(script, silence=SILENCE) as (server, http):
            answer = await ask(http, server.url)
            assert await answer.read() == b"begun"
            has_read.set()
            assert await rest_of(answer) == bytes(995)

    run(main())
