"""The fault proxy does what it is told: seen by a plain client, before a plain server."""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from faults.crafted import CraftedServer, crafted, in_turn, reply
from faults.proxy import ALWAYS, FaultProxy, Rule, Seen, chaos, fault_proxy, fault_proxy_in_thread, script
from faults.toxics import (
    Answer,
    Corrupt,
    CorruptRequest,
    Disguise,
    EndlessBody,
    EndlessHeaders,
    Fault,
    Headers,
    Late,
    RequestHeaders,
    ResetAnswer,
    ResetRequest,
    Slow,
    Stall,
    StallRequest,
    Told,
    Truncate,
    redirect,
    s3_error,
)

CONTENT = random.Random(6).randbytes(300_000)


@asynccontextmanager
async def scene(*rules: Rule) -> AsyncIterator[tuple[aiohttp.ClientSession, FaultProxy, CraftedServer]]:
    async with (
        crafted(in_turn(reply(200, CONTENT, {"ETag": '"right"', "Content-Type": "application/json"}))) as server,
        fault_proxy(server.url, *rules) as proxy,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        yield http, proxy, server


async def read(http: aiohttp.ClientSession, proxy: FaultProxy, method: str = "GET") -> tuple[int, bytes]:
    async with http.request(method, f"{proxy.url}/key", allow_redirects=False) as answer:
        return answer.status, await answer.read()


async def received(proxy: FaultProxy, request: bytes = b"GET /key HTTP/1.1\r\nHost: h\r\n\r\n") -> tuple[bytes, bool]:
    """Send a request by hand; return what comes until the connection ends, and whether it ends by a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    writer.write(request)
    got = b""
    try:
        while piece := await reader.read(100_000):
            got += piece
    except ConnectionResetError:
        return got, True
    finally:
        writer.close()
    return got, False


async def test_what_meets_no_fault_passes_unharmed_and_connections_are_kept() -> None:
    async with scene() as (http, proxy, server):
        for method in ("GET", "HEAD", "GET"):
            assert await read(http, proxy, method) == (200, b"" if method == "HEAD" else CONTENT)
        async with http.put(f"{proxy.url}/key", data=CONTENT, expect100=True) as answer:
            assert await answer.read() == CONTENT
        async with http.put(f"{proxy.url}/key", data=pieces()) as answer:
            assert await answer.read() == CONTENT
        assert [asked.body for asked in server.asked[-2:]] == [CONTENT, b"one" * 1000]
        assert {seen.connection for seen in proxy.seen} == {1}
        assert server.asked[0].headers["Host"] == proxy.url.removeprefix("http://")


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(1000):
        yield b"one"


@pytest.mark.parametrize("after", [0, 1, 17, 600, 70_000])
async def test_an_answer_is_reset_at_the_very_byte(after: int) -> None:
    async with scene(Rule(fault=ResetAnswer(after))) as (_, proxy, server):
        got, is_reset = await received(proxy)
        assert (len(got), is_reset, len(server.asked)) == (after, True, 1)


@pytest.mark.parametrize("after", [0, 1, 70_000])
async def test_a_request_that_is_reset_is_not_acted_on(after: int) -> None:
    async with scene(Rule(fault=ResetRequest(after), times=2)) as (http, proxy, server):  # aiohttp tries twice
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.put(f"{proxy.url}/key", data=CONTENT)
        assert server.asked == []
        assert await read(http, proxy) == (200, CONTENT)


@pytest.mark.parametrize("fault", [StallRequest(), StallRequest(10), Stall(), Stall(10)])
async def test_a_stalled_exchange_ends_when_the_client_leaves(fault: Fault) -> None:
    async with scene(Rule(fault=fault)) as (http, proxy, _):
        with pytest.raises(TimeoutError):
            await http.put(f"{proxy.url}/key", data=CONTENT, timeout=aiohttp.ClientTimeout(sock_read=0.5))
        assert await read(http, proxy) == (200, CONTENT)


async def test_a_body_is_truncated_under_its_whole_length_its_shorter_length_or_none() -> None:
    async with scene(*(Rule(fault=Truncate(5, told)) for told in Told)) as (http, proxy, _):
        got = {told: await received(proxy) for told in Told}
        bodies = {told: answer.partition(b"\r\n\r\n")[2] for told, (answer, _) in got.items()}
        assert bodies == {
            Told.LENGTH_OF_ALL: CONTENT[:5],
            Told.LENGTH_OF_REST: CONTENT[:5],
            Told.NO_LENGTH: b"5\r\n" + CONTENT[:5] + b"\r\n",
        }
        assert b"Content-Length: 300000" in got[Told.LENGTH_OF_ALL][0]
        assert b"content-length: 5\r\n" in got[Told.LENGTH_OF_REST][0]
        assert not any(is_reset for _, is_reset in got.values())
        assert await read(http, proxy) == (200, CONTENT)


async def test_one_bit_is_flipped_in_an_answer_or_in_a_request() -> None:
    flipped = CONTENT[:100_000] + bytes([CONTENT[100_000] ^ 1]) + CONTENT[100_001:]
    async with scene(Rule(fault=Corrupt(100_000)), Rule(fault=CorruptRequest(100_000))) as (http, proxy, server):
        assert await read(http, proxy) == (200, flipped)
        async with http.put(f"{proxy.url}/key", data=CONTENT) as answer:
            assert await answer.read() == CONTENT
        assert server.asked[-1].body == flipped


async def test_headers_are_changed_both_ways() -> None:
    rules = (
        Rule(fault=Headers((("ETag", '"wrong"'), ("Content-Type", None)))),
        Rule(fault=RequestHeaders((("Range", None),))),
    )
    async with scene(*rules) as (http, proxy, server):
        async with http.get(f"{proxy.url}/key") as answer:
            assert answer.headers.getall("ETag") == ['"wrong"']
            assert "Content-Type" not in answer.headers
        async with http.get(f"{proxy.url}/key", headers={"Range": "bytes=0-1"}):
            assert "Range" not in server.asked[-1].headers


async def test_an_answer_is_given_in_the_servers_place_or_in_place_of_what_it_said() -> None:
    slow = s3_error(503, "SlowDown", retry_after=7)
    async with scene(Rule(fault=slow), Rule(fault=Disguise(slow)), Rule(fault=redirect(307, "http://else.where/"))) as (
        http,
        proxy,
        server,
    ):
        assert await read(http, proxy, "HEAD") == (503, b"")
        assert server.asked == []
        async with http.put(f"{proxy.url}/key", data=CONTENT) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
            assert b"<Code>SlowDown</Code>" in await answer.read()
        assert server.asked[-1].body == CONTENT
        async with http.get(f"{proxy.url}/key", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "http://else.where/"


async def test_an_early_answer_comes_before_the_body_and_half_of_the_connection_closes() -> None:
    async with scene(Rule(fault=Answer(403, b"no", is_early=True))) as (_, proxy, server):
        head = b"PUT /key HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nonly the beginning"
        got, is_reset = await received(proxy, head)
        assert (got.startswith(b"HTTP/1.1 403"), got.endswith(b"no"), is_reset) == (True, True, False)
        assert server.asked == []


@pytest.mark.parametrize("fault", [EndlessHeaders(), EndlessBody()])
async def test_headers_and_bodies_without_end_go_on_until_the_client_has_enough(fault: Fault) -> None:
    async with scene(Rule(fault=fault)) as (_, proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        writer.write(b"GET /key HTTP/1.1\r\nHost: h\r\n\r\n")
        assert len(await reader.readexactly(3_000_000)) == 3_000_000
        writer.close()


async def test_bytes_come_slowly_and_answers_late() -> None:
    now = asyncio.get_running_loop().time
    async with scene(Rule(fault=Slow(3_000_000, step=30_000)), Rule(fault=Late(0.1))) as (http, proxy, _):
        for _ in range(2):
            begun = now()
            assert await read(http, proxy) == (200, CONTENT)
            assert now() - begun > 0.09


async def test_a_closed_port_refuses_and_opens_again_at_the_same_address() -> None:
    async with scene() as (http, proxy, _):
        assert (await read(http, proxy))[0] == 200
        address = proxy.url
        await proxy.refuse()
        with pytest.raises(aiohttp.ClientConnectorError):
            await read(http, proxy)
        await proxy.listen()
        assert (proxy.url, (await read(http, proxy))[0]) == (address, 200)


async def test_texts_in_json_answers_are_renamed() -> None:
    async with crafted(in_turn(reply(200, b'{"at": "http://a"}', {"Content-Type": "application/json"}))) as server:  # noqa: SIM117 - the inner needs the outer
        async with fault_proxy(server.url) as proxy, aiohttp.ClientSession() as http:
            proxy.renamed["http://a"] = "http://elsewhere"
            assert await read(http, proxy) == (200, b'{"at": "http://elsewhere"}')


def seen(number: int, method: str = "GET", target: str = "/key") -> Seen:
    return Seen(number=number, connection=1, method=method, target=target, headers={})


def test_a_rule_tells_which_requests_it_strikes() -> None:
    fault = ResetAnswer()
    plan = script(Rule(fault=fault, method="GET|HEAD", target="^/k", skip=1, every=2, times=2))
    struck = [number for number in range(8) if plan(seen(number)) is fault]
    assert struck == [1, 3]
    assert plan(seen(9, method="PUT")) is None
    assert [script(Rule(fault=fault, target="other", times=ALWAYS))(seen(1)), script()(seen(1))] == [None, None]


def test_chaos_of_one_seed_is_always_the_same() -> None:
    def plan() -> list[Fault | None]:
        chosen = chaos(lambda _, dice: Corrupt(dice.randrange(100)), seed=5, rate=0.2)
        return [chosen(seen(number)) for number in range(1000)]

    assert plan() == plan()
    assert 150 < sum(fault is not None for fault in plan()) < 250


async def test_a_proxy_serves_code_that_blocks() -> None:
    async with crafted(in_turn(reply(200, CONTENT))) as server:

        def read_twice() -> list[bytes]:
            with fault_proxy_in_thread(server.url, Rule(fault=Corrupt(0))) as proxy:
                return [urllib.request.urlopen(proxy.url).read() for _ in range(2)]

        first, second = await asyncio.to_thread(read_twice)
        assert (first[0], second[0]) == (CONTENT[0] ^ 1, CONTENT[0])
