"""From an address to a connection: names, ports and certificates that are not as they should be."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, NotConnected
from airflow_provider_neuro_buckets.buckets.http.connecting import CONNECT_SECONDS, NAME_SECONDS
from airflow_provider_neuro_buckets.buckets.http.faults import NotMade, network_errors
from buckets.http.scripted import OF_MACHINES, OK, Wire, ask, ending, opened, saying, scripted, staying, talk, whole
from buckets.test_session import certificate
from jumping import now, run

pytestmark = pytest.mark.usefixtures("quiet")

NAME = "storage.test"


class Names:
    """What the system knows of names, instead of what it really knows.

    :ivar asked: the names that were asked for so far.
    :ivar addresses: what each of them leads to; nothing for a name that does not exist.
    """

    def __init__(self, *addresses: str) -> None:
        self.asked: list[str] = []
        self.addresses = list(addresses)

    def find(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    """Let all names lead to these addresses from now on."""

    def lead(*addresses: str) -> Names:
        known = Names(*addresses)
        monkeypatch.setattr(socket, "getaddrinfo", known.find)
        return known

    return lead


def named(url: str) -> str:
    return url.replace("127.0.0.1", NAME)


@contextmanager
def bound(*, is_listening: bool) -> Iterator[str]:
    """Hold a port: one that refuses, or one behind which nobody accepts and no more fit into the queue."""
    with socket.socket() as held, socket.socket() as first, socket.socket() as second:
        held.bind(("127.0.0.1", 0))
        if is_listening:
            held.listen(0)
            for waiting in (first, second):
                waiting.setblocking(False)  # noqa: FBT003 - the standard library's signature
                waiting.connect_ex(held.getsockname())
        yield f"127.0.0.1:{held.getsockname()[1]}"


# Names


@pytest.mark.parametrize(("pause", "times"), [(0.0, 1), (NAME_SECONDS - 1, 1), (NAME_SECONDS + 1, 2)])
def test_a_name_is_looked_up_once_in_half_a_minute(names: Callable[..., Names], pause: float, times: int) -> None:
    async def main() -> None:
        async with talk(ending(OK)) as (server, http):
            known = names("127.0.0.1")
            await whole(http, named(server.url))
            await asyncio.sleep(pause)
            await server.wires[0].is_gone.wait()
            await asyncio.sleep(0.1)
            await whole(http, named(server.url))
            assert known.asked == [NAME] * times
            assert server.numbers == [0, 1]

    run(main())


async def test_a_name_that_many_ask_for_at_once_is_looked_up_once(names: Callable[..., Names]) -> None:
    async with talk(saying(OK)) as (server, http):
        known = names("127.0.0.1")
        await asyncio.gather(*(whole(http, named(server.url)) for _ in range(20)))
        assert known.asked == [NAME]


@pytest.mark.parametrize("wrong", [(), ("127.0.0.3",)], ids=["unknown", "refused"])
async def test_a_name_is_looked_up_again_after_a_failure(names: Callable[..., Names], wrong: tuple[str, ...]) -> None:
    async with talk(saying(OK)) as (server, http):
        known = names(*wrong)
        for _ in range(2):
            with pytest.raises(NotMade):
                await ask(http, named(server.url))
        known.addresses = ["127.0.0.1"]
        assert await whole(http, named(server.url)) == b"ok"
        assert known.asked == [NAME] * 3


@pytest.mark.parametrize("first", ["127.0.0.3", "169.254.169.254"], ids=["refuses", "is not to be asked"])
async def test_where_one_address_fails_the_next_is_taken(names: Callable[..., Names], first: str) -> None:
    async with talk(saying(OK)) as (server, http):
        names(first, "127.0.0.1")
        assert await whole(http, named(server.url)) == b"ok"
        assert server.asked[0][1].split(b"\r\n")[1] == f"Host: {named(server.url).removeprefix('http://')}".encode()


@pytest.mark.parametrize(
    "address",
    [*OF_MACHINES, "http://[fe80::1%lo]/", "https://169.254.169.254/"],
)
async def test_no_address_leads_to_where_a_machine_tells_its_credentials(address: str) -> None:
    async with opened() as http:
        with pytest.raises((NotConnected, ConfigurationError)) as refused, network_errors("cannot ask"):
            await ask(http, address)
    assert re.search(r"for themselves|not an address", str(refused.value))


async def test_a_zone_that_is_encoded_is_part_of_no_name_that_is_known() -> None:
    async with opened() as http:
        with pytest.raises(NotMade):
            await ask(http, "http://[fe80::1%25lo]/")


async def test_no_name_leads_there_either(names: Callable[..., Names]) -> None:
    names("169.254.169.254", "100.100.100.200")
    async with opened() as http:
        with pytest.raises(NotMade, match="for themselves"):
            await ask(http, f"http://{NAME}/")


# No connection


async def test_a_host_that_does_not_exist_is_no_connection() -> None:
    async with opened() as http:
        with pytest.raises(NotMade) as caught:
            await ask(http, "http://no-such-host.invalid/?sig=secret")
    assert str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_port_that_refuses_is_no_connection(scheme: str) -> None:
    with bound(is_listening=False) as place:
        async with opened() as http:
            with pytest.raises(NotMade, match=r"^refused$"):
                await ask(http, f"{scheme}://{place}/")


@pytest.mark.parametrize(("silence", "seconds"), [(None, CONNECT_SECONDS), (100.0, CONNECT_SECONDS), (3.0, 3.0)])
def test_a_connection_that_takes_too_long_is_given_up(silence: float | None, seconds: float) -> None:
    async def main() -> None:
        with bound(is_listening=True) as place:
            async with opened(silence=silence) as http:
                begun = now()
                with pytest.raises(NotMade, match=r"^$"):
                    await ask(http, f"http://{place}/")
                assert now() - begun == pytest.approx(seconds)

    run(main())


def test_a_handshake_that_takes_too_long_is_given_up_and_its_socket_closed(tmp_path: Path) -> None:
    _, bundle = certificate(tmp_path, "127.0.0.1")

    async def main() -> None:
        trust = ssl.create_default_context(cafile=bundle)
        async with scripted(quiet_one) as server, opened(tls=trust) as http:
            for count in range(1, 4):
                begun = now()
                with pytest.raises(NotMade, match=r"^$"):
                    await ask(http, server.url.replace("http:", "https:"))
                assert now() - begun == pytest.approx(CONNECT_SECONDS)
                assert len(server.wires) == count
                await server.wires[-1].is_gone.wait()

    async def quiet_one(wire: Wire) -> None:
        await wire.gone()

    run(main())


@pytest.mark.parametrize("is_listening", [True, False])
def test_who_is_cancelled_while_connecting_leaves_nothing(*, is_listening: bool) -> None:
    async def main() -> None:
        async with scripted(staying()) as server, opened() as http:
            with bound(is_listening=True) as place:
                url = f"http://{place}/" if is_listening else server.url.replace("http:", "https:")
                asking = asyncio.ensure_future(ask(http, url))
                await asyncio.sleep(1)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                await asyncio.gather(*(wire.is_gone.wait() for wire in server.wires))

    run(main())


# TLS


@pytest.mark.parametrize(
    ("address", "days", "is_known", "reason"),
    [
        ("127.0.0.1", 1, False, "self-signed"),
        ("127.0.0.2", 1, True, "not valid for"),
        ("127.0.0.1", -1, True, "has expired"),
    ],
    ids=["nobody's", "of another host", "expired"],
)
async def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_asked(
    tmp_path: Path, address: str, days: int, *, is_known: bool, reason: str
) -> None:
    tls, bundle = certificate(tmp_path, address, days=days)
    async with talk(saying(OK), tls=(tls, bundle if is_known else "")) as (server, http):
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            await ask(http, server.url)
        assert server.asked == []


async def test_a_port_that_speaks_no_tls_is_refused() -> None:
    async def plain(wire: Wire) -> None:
        await wire.reader.read(1)
        await wire.say(OK)

    async with talk(plain) as (server, http):
        with pytest.raises(ssl.SSLError):
            await ask(http, server.url.replace("http:", "https:"))


async def test_a_server_that_hangs_up_within_the_handshake_is_no_connection() -> None:
    async def hangs_up(wire: Wire) -> None:
        await wire.reader.read(1)
        wire.reset()

    async with talk(hangs_up) as (server, http):
        with pytest.raises((NotMade, ssl.SSLError)):
            await ask(http, server.url.replace("http:", "https:"))
