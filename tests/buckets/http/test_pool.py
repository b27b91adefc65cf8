"""Requests as a server sees them, and which connection each of them goes by."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.http.pool import KEPT_SECONDS
from buckets.http.scripted import (
    OK,
    Script,
    Trust,
    Wire,
    ask,
    ending,
    opened,
    rest_of,
    saying,
    scripted,
    staying,
    talk,
    whole,
)
from jumping import run

pytestmark = pytest.mark.usefixtures("quiet")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


# Which connection


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        HEAD + b"Connection: keep-alive\r\n\r\nok",
        HEAD + b"Connection: Upgrade, Keep-Alive\r\nUpgrade: h2,h2c\r\n\r\nok",
        HEAD.replace(b"/1.1", b"/1.0") + b"Connection: keep-alive\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_is_used_again(tls: Trust, answer: bytes) -> None:
    async with talk(saying(answer), tls=tls) as (server, http):
        for _ in range(4):
            assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Connection: close\r\n\r\nok",
        HEAD + b"connection: foo, CLOSE\r\n\r\nok",
        HEAD.replace(b"/1.1", b"/1.0") + b"\r\nok",
    ],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(tls: Trust, answer: bytes) -> None:
    async with talk(saying(answer), tls=tls) as (server, http):
        assert await whole(http, server.url) == b"ok"
        await server.wires[0].is_gone.wait()
        assert await whole(http, server.url) == b"ok"
        assert server.numbers == [0, 1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_the_connection_that_became_free_last_is_used_next(order: tuple[int, int]) -> None:
    turns = [asyncio.Event(), asyncio.Event()]

    async def script(wire: Wire) -> None:
        while True:
            await wire.asked()
            await turns[wire.number].wait()
            await wire.say(OK)

    async with talk(script) as (server, http):
        asking = {asyncio.ensure_future(whole(http, server.url)) for _ in turns}
        for _ in turns:
            await server.arrivals.get()
        for number in order:
            turns[number].set()
            _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(2):
            assert await whole(http, server.url) == b"ok"
        assert server.numbers[2:] == [order[1], order[1]]


def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used_again(tls: Trust) -> None:
    async def main() -> None:
        async with talk(ending(OK), tls=tls) as (server, http):
            for _ in range(3):
                assert await whole(http, server.url) == b"ok"
                await asyncio.sleep(1)
            assert server.numbers == [0, 1, 2]

    run(main())


@pytest.mark.parametrize(("idle", "numbers"), [(KEPT_SECONDS - 1, [0, 0, 0]), (KEPT_SECONDS + 1, [0, 1, 2])])
def test_a_connection_is_kept_for_so_long_since_its_last_use(idle: float, numbers: list[int]) -> None:
    async def main() -> None:
        async with talk(saying(OK)) as (server, http):
            for _ in numbers:
                assert await whole(http, server.url) == b"ok"
                await asyncio.sleep(idle)
            assert server.numbers == numbers

    run(main())


@pytest.mark.parametrize(
    ("method", "pieces"),
    [
        ("GET", (OK, b"more")),
        ("GET", (OK, HEAD)),
        ("GET", (OK + b"more",)),
        ("GET", (OK + b"HTTP/1.",)),
        ("GET", (OK + HEAD + b"\r\n",)),
        ("GET", (OK + HEAD + b"\r\nno",)),
        ("GET", (b"HTTP/1.1 204 No Content\r\n\r\n" + HEAD + b"\r\nno",)),
        ("HEAD", (HEAD + b"\r\n", b"ok")),
        ("HEAD", (OK,)),
    ],
    ids=[
        *("later", "an answer later", "at once", "a beginning at once", "half an answer at once"),
        *("an answer at once", "an answer at once after none", "a body for a HEAD later", "a body for a HEAD at once"),
    ],
)
def test_a_connection_by_which_bytes_come_that_nobody_asked_for_is_not_used_again(
    method: str, pieces: tuple[bytes, ...]
) -> None:
    async def script(wire: Wire) -> None:
        await wire.asked()
        for piece in pieces if wire.number == 0 else [OK]:
            await wire.say(piece)
            await asyncio.sleep(1)
        await saying(OK)(wire)

    async def main() -> None:
        async with talk(script) as (server, http):
            await whole(http, server.url, method)
            await asyncio.sleep(3)
            assert await whole(http, server.url) == b"ok"
            assert server.numbers == [0, 1]

    run(main())


async def test_hosts_have_connections_of_their_own() -> None:
    async with talk(saying(OK)) as (one, http), scripted(saying(OK)) as other:
        for url in (one.url, other.url, one.url + "/x", other.url + "?y"):
            assert await whole(http, url) == b"ok"
        assert one.numbers[:2] == other.numbers == [0, 0]


async def test_many_requests_at_once_get_each_its_own_answer(tls: Trust) -> None:
    count = 100
    is_full = asyncio.Event()

    async def script(wire: Wire) -> None:
        while True:
            target = (await wire.asked()).split()[1]
            if len(wire.server.asked) == count:
                is_full.set()
            await is_full.wait()
            await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    async with talk(script, tls=tls) as (server, http):
        for _ in range(3):
            targets = [f"/{number}" for number in range(count)]
            bodies = await asyncio.gather(*(whole(http, server.url + target) for target in targets))
            assert bodies == [target.encode() for target in targets]
        assert len(server.wires) == count


# Closing


@pytest.mark.parametrize(
    "script",
    [staying(), staying(b"HTTP/1.1 200"), staying(HEAD + b"\r\n"), staying(b"HTTP/1.1 200 OK\r\n\r\nbegun")],
    ids=["before the head", "within the head", "before the body", "within a body"],
)
def test_what_is_under_way_when_a_client_is_closed_breaks(script: Script) -> None:
    async def main() -> None:
        async with scripted(script) as server, opened(silence=600) as http:
            asking = asyncio.ensure_future(whole(http, server.url))
            await asyncio.sleep(1)
            await http.close()
            done, _ = await asyncio.wait([asking], timeout=3600)
            asking.cancel()
            assert done, "the request hangs"
            assert isinstance(asking.exception(), ConnectionError)
            await server.wires[0].is_gone.wait()

    run(main())


def test_what_is_being_sent_when_a_client_is_closed_breaks() -> None:
    async def main() -> None:
        async with scripted(staying()) as server, opened(silence=600) as http:
            asking = asyncio.ensure_future(ask(http, server.url, "PUT", body=bytes(64 * 1024 * 1024)))
            await server.arrivals.get()
            await http.close()
            done, _ = await asyncio.wait([asking], timeout=3600)
            asking.cancel()
            assert done, "the request hangs"
            assert isinstance(asking.exception(), ConnectionError)

    run(main())


async def test_what_is_connecting_when_a_client_is_closed_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, is_finding, may_find = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    known = socket.getaddrinfo

    def find(*args: Any, **options: Any) -> list[Any]:
        loop.call_soon_threadsafe(is_finding.set)
        may_find.wait()
        return known(*args, **options)

    async with talk(saying(OK)) as (server, http):
        monkeypatch.setattr(socket, "getaddrinfo", find)
        asking = asyncio.ensure_future(whole(http, server.url))
        await is_finding.wait()
        await http.close()
        may_find.set()
        await asyncio.wait([asking])
        assert asking.exception() is None or isinstance(asking.exception(), ConnectionError)
        assert not any(pool._idle for pool in http._hosts.values()), "nobody will close it"


async def test_closing_waits_for_connections_that_are_idle_and_may_be_repeated() -> None:
    async with talk(saying(OK)) as (server, http):
        await asyncio.gather(*(whole(http, server.url) for _ in range(5)))
        await http.close()
        await http.close()
        assert not any(pool._all for pool in http._hosts.values())
        await asyncio.gather(*(wire.is_gone.wait() for wire in server.wires))


# What a server is asked


def fields(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("", "/"),
        ("/a/b", "/a/b"),
        ("/a//b/", "/a//b/"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/%2F%2e%e4%C3%A4~+:@!$&'()*,;=", "/%2F%2e%e4%C3%A4~+:@!$&'()*,;="),
        ("/a?b=%20+&c=/?&&d", "/a?b=%20+&c=/?&&d"),
        ("/a?", "/a?"),
        ("?uploads", "/?uploads"),
        ("/a:1//b@c://d", "/a:1//b@c://d"),
    ],
)
async def test_path_and_query_arrive_as_given(given: str, sent: str) -> None:
    async with talk(saying(OK)) as (server, http):
        await whole(http, server.url + given)
        assert server.asked[0][1].partition(b"\r\n")[0].decode() == f"GET {sent} HTTP/1.1"


@pytest.mark.parametrize(
    ("method", "body", "given", "added"),
    [
        ("GET", None, {}, {}),
        ("HEAD", None, {"X-A": "1"}, {}),
        ("PUT", None, {}, {"content-length": "0", "content-type": "application/octet-stream"}),
        ("POST", b"", {}, {"content-length": "0", "content-type": "application/octet-stream"}),
        ("DELETE", None, {}, {"content-length": "0"}),
        ("PUT", b"body", {"X-É": "é"}, {"content-length": "4", "content-type": "application/octet-stream"}),
        ("PUT", (b"bo", b"dy"), {}, {"content-length": "4", "content-type": "application/octet-stream"}),
        ("GET", b"body", {}, {"content-length": "4", "content-type": "application/octet-stream"}),
        ("PUT", b"body", {"Content-Type": "text/plain"}, {"content-length": "4"}),
        ("PUT", b"body", {"content-type": "text/plain"}, {"content-length": "4"}),
        ("PUT", b"body", {"content-length": "4"}, {"content-type": "application/octet-stream"}),
        ("GET", None, {"Host": "else"}, {}),
        ("GET", None, {"host": "else"}, {}),
    ],
)
async def test_host_length_and_type_are_added_where_they_are_missing(
    method: str, body: bytes | None, given: Mapping[str, str], added: Mapping[str, str]
) -> None:
    async with talk(saying(OK)) as (server, http):
        answer = await ask(http, server.url, method, headers=given, body=body)
        answer.end()
        sent = fields(server.asked[0][1])
    host = {"host": server.url.removeprefix("http://")}
    expected = host | dict(added) | {name.lower(): value for name, value in given.items()}
    assert sorted(sent) == sorted(expected.items())


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("place", ["name", "value", "path", "query", "method"])
async def test_what_would_end_its_line_is_refused_and_nothing_is_sent(place: str, end: str) -> None:
    text = dict.fromkeys(("name", "value", "path", "query", "method"), "") | {place: f"{end}X-Evil: 1"}
    async with talk(saying(OK)) as (server, http):
        url, headers = f"{server.url}/{text['path']}?{text['query']}", {f"X{text['name']}": f"1{text['value']}"}
        with pytest.raises(ValueError, match="line break"):
            await ask(http, url, f"GET{text['method']}", headers=headers)
        assert server.wires == []


@pytest.mark.parametrize(
    "address",
    [
        *("not an address?sig=secret", "storage.test/key?sig=secret", "/key?sig=secret", "?sig=secret"),
        *(
            "http://",
            "http:///key?sig=secret",
            "http://[::1/?sig=secret",
            "ftp://storage.test/?sig=secret",
            "http://:1/",
        ),
        *(
            "http://storage.test:port/?sig=secret",
            "http://storage.test:99999/?sig=secret",
            "http://storage.test/?sig=secret#part",
        ),
    ],
)
async def test_what_is_no_address_is_refused_and_named_without_its_query(address: str) -> None:
    async with opened() as http:
        with pytest.raises(ConfigurationError, match="not an address") as refused, network_errors("cannot ask"):
            await ask(http, address)
    assert "secret" not in str(refused.value)


async def test_an_answer_may_be_read_when_its_client_is_closed() -> None:
    async with scripted(saying(OK)) as server:
        async with opened() as http:
            answer = await ask(http, server.url)
        assert await rest_of(answer) == b"ok"
