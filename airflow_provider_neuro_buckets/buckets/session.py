"""The HTTP session that the control plane and the stores of one client share, and what its failures mean."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType

import aiohttp

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    NotConnected,
    Timeout,
    Unavailable,
)

CONNECT_SECONDS = 10.0
METADATA_ADDRESSES = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Where AWS, Alibaba and Azure tell a machine about itself, besides link-local addresses."""


@asynccontextmanager
async def open_session(config: BucketsConfig) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session that `config` describes; close it on exit.

    It keeps no cookies, reads no proxy from the environment, decompresses nothing, connects to no link-local address
    whatever name leads there, and limits no request's total time: only silence is limited. How many requests run at
    once is the business of the caller's own window, and what is tried again that of
    :mod:`~airflow_provider_neuro_buckets.buckets.retry`.
    """
    # The pool is never the limit: a request that waits in it would age its signature.
    connector = aiohttp.TCPConnector(limit=0, ssl=_tls(config), ttl_dns_cache=30, socket_factory=_socket)
    silence = config.timeout_seconds
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_SECONDS, silence), sock_read=silence)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
    ) as session:
        # It would send whatever is no POST again, at once and untold: twice as many attempts as the policy has.
        session._retry_connection = False  # noqa: SLF001 - there is no other door
        yield session


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
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


def _tls(config: BucketsConfig) -> ssl.SSLContext | bool:
    if config.verify is True:
        return True
    if config.verify is False:
        raise ConfigurationError(
            f"{config.name} switches certificate checks off",
            remedy="Set verify to the path of your own CA bundle instead",
        )
    try:
        return ssl.create_default_context(cafile=config.verify)
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            f"the CA bundle {config.verify!r} of {config.name} cannot be read", remedy="Set verify to a PEM file"
        ) from None


class network_errors:  # noqa: N801 - read as what it does: ``with network_errors(what):``
    """Turn what the network raises into our errors; their text never holds a header or a query.

    A class and no generator: each small file needs two of them.

    :param what: the attempt and its address, such as ``cannot list buckets at https://…``.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, BucketsError):
            raise _meaning(self._what, error) from None


def _meaning(what: str, error: aiohttp.ClientError | OSError) -> BucketsError:
    """Return the error of ours for what the network raises."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
            return ConfigurationError(
                f"{what}: its TLS certificate is not trusted ({reason.rstrip('.')})",
                remedy="Set verify of the connection to the CA bundle of the platform, if it has one of its own",
            )
        case aiohttp.ClientSSLError():
            reason = getattr(error.os_error, "reason", "") or type(error.os_error).__name__
            return ConfigurationError(
                f"{what}: the TLS handshake fails ({reason})", remedy="Check the address and its port"
            )
        case aiohttp.ClientConnectorError():
            refused = isinstance(error.os_error, ConnectionRefusedError)
            reason = "refused" if refused else error.os_error.strerror or type(error.os_error).__name__
            return NotConnected(
                f"{what}: no connection ({reason})", remedy="Check the address, and that the service is running"
            )
        case aiohttp.InvalidURL():
            return ConfigurationError(f"{what}: not an address", remedy="Check the address of the connection")
        case aiohttp.ConnectionTimeoutError():
            return NotConnected(f"{what}: no connection in time", remedy="Check the address, or try again later")
        case TimeoutError():
            return Timeout(f"{what}: no answer in time", remedy="Try again later")
    return Unavailable(f"{what}: the connection broke ({type(error).__name__})", remedy="Try again later")
