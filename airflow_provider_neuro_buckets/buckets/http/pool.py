"""The connections of one client to its storages: kept open between requests, as many as there are requests at once."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.connecting import CONNECT_SECONDS, Host, own_trust, usual_trust
from airflow_provider_neuro_buckets.buckets.http.connection import Connection
from airflow_provider_neuro_buckets.buckets.http.faults import Broken, NotAnAddress
from airflow_provider_neuro_buckets.buckets.http.sending import Outgoing
from airflow_provider_neuro_buckets.buckets.pace import Pace

KEPT_SECONDS = 15.0
"""A connection that was idle for longer is not used again: the other side is about to close it, or has."""
_PARTS = re.compile(r"((?i:https?)://[^/?#]+)([^#]*)")
_NOT_IN_A_LINE = re.compile(r"[\r\n\0]")
_OF_CONTENT = frozenset({"PUT", "POST"})
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS"})


@asynccontextmanager
async def open_connections(config: BucketsConfig) -> AsyncIterator[Connections]:
    """Give the connections that `config` describes; close them on exit. Nothing is connected yet.

    No cookies, no proxies, no redirects that are followed, no content that is decompressed, no request that is sent
    twice, and no total time that a request may take: only silence is limited. How many requests run at once is the
    business of the caller's own window, and what is tried again that of
    :mod:`~airflow_provider_neuro_buckets.buckets.retry`.
    """
    connections = Connections(silence=config.timeout_seconds, most=config.max_concurrency, tls=own_trust(config))
    try:
        yield connections
    finally:
        await connections.close()


class Connections:
    """Open connections, by host. Belongs to one event loop.

    :param silence: seconds without a byte after which a request is given up.
    :param most: requests at once; so many large bodies have a thread each.
    :param tls: whom to trust; `None` for whom this machine trusts.
    """

    def __init__(self, *, silence: float | None, most: int = 64, tls: ssl.SSLContext | None = None) -> None:
        self._silence = silence
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="blobs")
        self._tls = tls
        self._hosts: dict[str, _Pool] = {}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Outgoing, pace: Pace | None = None
    ) -> Answer:
        """Send a request; return its answer once status and headers are there. The caller ends it.

        :param url: encoded as it goes on the wire.
        :param headers: ``Host``, and how long a body is and of which type, are added where they are missing.
        :param pace: limits the bytes per second of the body.
        :raises OSError: of the network, as :class:`~.faults.network_errors` knows them; likewise `TimeoutError`.
        :raises ValueError: a header would end its line.
        """
        parts = _PARTS.fullmatch(url)
        if parts is None:
            raise NotAnAddress
        address, target = parts.groups()
        pool = self._hosts.get(address)
        if pool is None:
            pool = self._hosts[address] = _Pool(Host(address), self._silence, self._threads)
        head = _head(method, target, pool.host.name, headers, body)
        connection = pool.take()
        if connection is None:
            tls = (self._tls or await asyncio.to_thread(usual_trust)) if pool.host.is_tls else None
            connection = await pool.connect(tls)
        return await connection.ask(method, head, body, pace=pace)

    async def close(self) -> None:
        """Close all connections; what is under way on them breaks."""
        for pool in self._hosts.values():
            await pool.close()
        self._threads.shutdown(wait=False)


class _Pool:
    """The connections to one host."""

    def __init__(self, host: Host, silence: float | None, threads: Executor) -> None:
        self.host = host
        self._threads = threads
        self._silence = silence
        self._all: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self._idle: deque[Connection] = deque()
        self._is_closed = False

    def take(self) -> Connection | None:
        """Return the connection that became free last, if it is still good."""
        self._sweep()
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, tls: ssl.SSLContext | None) -> Connection:
        """Return a new connection."""
        seconds = min(CONNECT_SECONDS, self._silence or CONNECT_SECONDS)
        connection = Connection(self._silence, threads=self._threads, idle=self._keep, lost=self._forget)
        await self.host.connect(connection, tls=tls, seconds=seconds)
        if self._is_closed:
            connection.drop()
            raise Broken("Closed")
        if not connection.is_lost:
            self._all.add(connection)
            self._is_empty.clear()
        return connection

    async def close(self) -> None:
        """Close all connections, and wait until that is done."""
        self._is_closed = True
        for connection in self._all:
            connection.drop(Broken("Closed"))
        if self._all:
            await self._is_empty.wait()

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        self._sweep()

    def _sweep(self) -> None:
        """Drop those that were idle for too long; the first has been for longest."""
        oldest = asyncio.get_running_loop().time() - KEPT_SECONDS
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().drop()

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if not self._all:
            self._is_empty.set()


def _head(method: str, target: str, host: str, headers: Mapping[str, str], body: Outgoing) -> bytes:
    """Return request line and headers, with the empty line after them."""
    given = {name.lower() for name in headers}
    lines = [f"{method} {target if target.startswith('/') else '/' + target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if (body.size or method not in _WITHOUT_LENGTH) and "content-length" not in given:
        lines.append(f"Content-Length: {body.size}")
    if (body.pieces or method in _OF_CONTENT) and "content-type" not in given:
        lines.append("Content-Type: application/octet-stream")
    if _NOT_IN_A_LINE.search("".join(lines)):
        raise ValueError("a header with a line break")
    return "\r\n".join((*lines, "", "")).encode()
