"""The HTTP session with the platform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.http.connecting import CONNECT_SECONDS, guarded_socket, own_trust


@asynccontextmanager
async def open_session(config: BucketsConfig) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session that `config` describes; close it on exit.

    It keeps no cookies, reads no proxy from the environment, connects to no link-local address whatever name leads
    there, and limits no request's total time: only silence is limited.
    """
    # The pool is never the limit: how many requests run at once is the business of the caller's own window.
    connector = aiohttp.TCPConnector(
        limit=0, ssl=own_trust(config) or True, ttl_dns_cache=30, socket_factory=guarded_socket
    )
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
