"""A body on its way into the network, to servers that take all of it, slowly, or no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.http.sending import WRITE_AT_ONCE, Bytes, Outgoing

MIB = 1024 * 1024
LARGE = 32 * MIB
"""More than two sockets hold by themselves."""
SILENCE = 2.0
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Take = Callable[[asyncio.StreamReader, int], Awaitable[bytes]]


async def all_of_it(reader: asyncio.StreamReader, size: int) -> bytes:
    return await reader.readexactly(size)


class TakingServer:
    """Takes the body of a request as it is told, then answers.

    :ivar headers: what came before the body.
    :ivar body: what has been taken, as a whole.
    :ivar is_left: set when the other side has gone.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self.url = ""
        self.headers = b""
        self.body = b""
        self.is_left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.headers = await reader.readuntil(b"\r\n\r\n")
        size = int(self.headers.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        try:
            self.body = await self._take(reader, size)
            writer.write(DONE)
            while await reader.read(MIB):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.is_left.set()
            writer.close()


@asynccontextmanager
async def taking(take: Take = all_of_it) -> AsyncIterator[TakingServer]:
    server = TakingServer(take)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server
        await server.is_left.wait()


async def put(server: TakingServer, body: Bytes | Sequence[Bytes], *, silence: float | None = None) -> int:
    connections = Connections(silence=silence)
    try:
        answer = await connections.request("PUT", server.url, headers={}, body=Outgoing.of(body))
        return answer.status
    finally:
        await connections.close()


@pytest.mark.parametrize("size", [0, 1, WRITE_AT_ONCE, WRITE_AT_ONCE + 1, 2 * MIB + 3])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_body_arrives_as_it_is_and_as_long_as_it_says(kind: type[bytes], size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with taking() as server:
        assert await put(server, kind(body[:size]), silence=60) == 200
    assert server.body == body[:size]
    assert b"transfer-encoding" not in server.headers.lower()


@pytest.mark.parametrize("size", [3, WRITE_AT_ONCE])
async def test_several_pieces_follow_each_other(size: int) -> None:
    pieces = (b"head", memoryview(bytes(size)), b"tail")
    async with taking() as server:
        assert await put(server, pieces, silence=60) == 200
    assert server.body == b"".join(pieces)


async def test_a_body_of_which_no_more_is_taken_is_given_up_and_its_connection_with_it() -> None:
    is_over = asyncio.Event()

    async def nothing(reader: asyncio.StreamReader, size: int) -> bytes:
        await is_over.wait()
        return await reader.readexactly(size)

    async with taking(nothing) as server:
        with pytest.raises(TimeoutError):
            await put(server, bytes(LARGE), silence=0.2)
        is_over.set()
    assert server.body == b"", "the rest is not sent after all"


async def test_a_body_that_is_taken_slowly_takes_as_long_as_it_takes() -> None:
    async def slowly(reader: asyncio.StreamReader, size: int) -> bytes:
        begun, taken = asyncio.get_running_loop().time(), bytearray()
        while asyncio.get_running_loop().time() - begun < 3 * SILENCE:
            taken += await reader.readexactly(MIB // 2)
            await asyncio.sleep(SILENCE / 10)
        return bytes(taken) + await reader.readexactly(size - len(taken))

    async with taking(slowly) as server:
        assert await put(server, bytes(LARGE), silence=SILENCE) == 200
    assert len(server.body) == LARGE


async def test_a_silence_is_counted_from_the_last_byte_that_arrived() -> None:
    is_over = asyncio.Event()

    async def half(reader: asyncio.StreamReader, size: int) -> bytes:
        await reader.readexactly(size // 2)
        await is_over.wait()
        return await reader.readexactly(size - size // 2)

    async with taking(half) as server:
        with pytest.raises(TimeoutError):
            await put(server, bytes(LARGE), silence=0.5)
        is_over.set()


async def test_without_a_limit_a_silence_is_waited_out() -> None:
    async def late(reader: asyncio.StreamReader, size: int) -> bytes:
        await asyncio.sleep(0.5)
        return await reader.readexactly(size)

    async with taking(late) as server:
        assert await put(server, bytes(LARGE)) == 200


async def test_a_body_that_is_cancelled_does_not_arrive_whole() -> None:
    is_begun, is_over = asyncio.Event(), asyncio.Event()

    async def begun(reader: asyncio.StreamReader, size: int) -> bytes:
        await reader.readexactly(MIB)
        is_begun.set()
        await is_over.wait()
        return await reader.readexactly(size - MIB)

    async with taking(begun) as server:
        sending = asyncio.ensure_future(put(server, bytes(LARGE), silence=60))
        await is_begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        is_over.set()
    assert server.body == b""
