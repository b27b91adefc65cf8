"""From an address to a connection: names, sockets and TLS."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.http.connection import Connection
from airflow_provider_neuro_buckets.buckets.http.faults import NotAnAddress, NotMade

CONNECT_SECONDS = 10.0
METADATA_ADDRESSES = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Where AWS, Alibaba and Azure tell a machine about itself, besides link-local addresses."""
NAME_SECONDS = 30.0
_NEXT_ADDRESS_SECONDS = 0.25
_trust_is_read = threading.Lock()
"""Many connections may begin at once; without it each would read."""


class Host:
    """One host and port; what its name leads to is remembered for half a minute.

    :param address: scheme, host and port; what else it has is not looked at.
    :ivar name: as the header ``Host`` has it.
    :raises NotAnAddress: it is none of HTTP.
    """

    def __init__(self, address: str) -> None:
        try:
            url = URL(address, encoded=True)
            host, port, name = url.raw_host, url.port, url.host_port_subcomponent
        except ValueError:
            host = port = name = None
        if not host or not port or not name or url.scheme not in {"http", "https"}:
            raise NotAnAddress
        self.name = name
        self.is_tls = url.scheme == "https"
        self._host = host
        self._port = port
        self._found: tuple[float, list[AddrInfoType]] | None = None
        self._finding: asyncio.Future[list[AddrInfoType]] | None = None

    async def connect(self, connection: Connection, *, tls: ssl.SSLContext | None, seconds: float) -> None:
        """Make a connection, to whichever of the addresses answers first.

        :param tls: whom to trust; `None` for a connection without TLS.
        :raises NotMade: no connection comes about.
        :raises ssl.SSLError: the handshake fails.
        """
        try:
            async with asyncio.timeout(seconds):
                found = await self._addresses()
                connected = await start_connection(
                    found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, socket_factory=guarded_socket
                )
                await self._speak(connection, connected, tls)
        except TimeoutError:
            self._found = None
            raise NotMade("") from None
        except (ssl.SSLError, NotAnAddress):
            raise
        except OSError as error:
            self._found = None
            raise NotMade.because_of(error) from None

    async def _addresses(self) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        if self._found is not None and loop.time() - self._found[0] <= NAME_SECONDS:
            return self._found[1]
        if self._finding is None:  # one look-up for all who connect now
            self._finding = asyncio.ensure_future(self._look_up())
            self._finding.add_done_callback(self._looked_up)
        return await asyncio.shield(self._finding)

    async def _look_up(self) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        try:
            return [*await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)]
        except UnicodeError:  # a label of more than 63 bytes
            raise NotAnAddress from None

    def _looked_up(self, finding: asyncio.Future[list[AddrInfoType]]) -> None:
        self._finding = None
        if not finding.cancelled() and finding.exception() is None:
            self._found = asyncio.get_running_loop().time(), finding.result()

    async def _speak(self, connection: Connection, connected: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            server_hostname = self._host.rstrip(".") if tls is not None else None
            await loop.create_connection(lambda: connection, sock=connected, ssl=tls, server_hostname=server_hostname)
        except BaseException:
            if connection.transport is None:
                connected.close()
            else:  # cancelled in the moment in which TLS was ready: the socket is asyncio's now
                connection.drop()
            raise


def guarded_socket(address: AddrInfoType) -> socket.socket:
    """Make a socket, but for an address where clouds tell a machine its own credentials.

    A token or a bucket must not make a worker ask there, and no name that resolves to it.
    """
    family, kind, protocol, _, place = address
    host = _ip_of(str(place[0]).partition("%")[0])
    if isinstance(host, IPv6Address) and host.ipv4_mapped:
        host = host.ipv4_mapped
    if host.is_link_local or str(host) in METADATA_ADDRESSES:
        raise OSError(errno.EACCES, f"{host} is an address that machines keep for themselves")
    return socket.socket(family, kind, protocol)


def _ip_of(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host)
    except ValueError:  # a notation that only the system reads, such as octal, which aiohttp may leave to it
        return IPv4Address(socket.inet_aton(host))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as far as its name tells."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def own_trust(config: BucketsConfig) -> ssl.SSLContext | None:
    """Return whom a configuration trusts, if it has a bundle of its own.

    :raises ConfigurationError: it trusts everybody, or its bundle cannot be read.
    """
    if config.verify is True:
        return None
    if config.verify is False:
        raise ConfigurationError(
            f"{config.name} switches certificate checks off",
            remedy="Set verify to the path of your own CA bundle instead",
        )
    try:
        return _http1(ssl.create_default_context(cafile=config.verify))
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            f"the CA bundle {config.verify!r} of {config.name} cannot be read", remedy="Set verify to a PEM file"
        ) from None


def usual_trust() -> ssl.SSLContext:
    """Return whom this machine trusts. Blocking, once: it reads some hundred certificates."""
    with _trust_is_read:
        return _usual_trust()


@lru_cache(maxsize=1)
def _usual_trust() -> ssl.SSLContext:
    return _http1(ssl.create_default_context())


def _http1(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
