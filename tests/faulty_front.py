"""A front before a real platform that hands requests on, and fails some of them first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

_NOT_HANDED_ON = {"content-length", "transfer-encoding", "connection", "date", "server"}


class FaultyFront:
    """Hands requests on to a platform.

    :ivar requests: the path of each request as it comes.
    :ivar failed: how many of them were made to fail.
    """

    def __init__(self, behind: str, http: aiohttp.ClientSession) -> None:
        self._behind = URL(behind)
        self._http = http
        self._failures = 0
        self._how = ""
        self.requests: asyncio.Queue[str] = asyncio.Queue()
        self.failed = 0
        self.api_url = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, behind: str) -> AsyncIterator[Self]:
        """Serve on a free port before the platform API at `behind`."""
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            front = cls(behind, http)
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", front._handle)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                host, port = runner.addresses[0][:2]
                front.api_url = f"http://{host}:{port}{URL(behind).path}"
                yield front
            finally:
                await runner.cleanup()

    def fail(self, times: int, how: str) -> None:
        """Let the next requests fail: by a status such as ``503`` or ``nonsense-502``, or by ``drop``."""
        self._failures, self._how = times, how

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.put_nowait(request.path)
        if self._failures > 0:
            self._failures -= 1
            self.failed += 1
            return self._fault(request)
        url = self._behind.origin().join(URL(request.raw_path, encoded=True))
        # The platform tells addresses as the caller knows them: its host stays what was asked for.
        async with self._http.request(
            request.method, url, headers=request.headers, data=await request.read(), allow_redirects=False
        ) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_HANDED_ON}
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    def _fault(self, request: web.Request) -> web.Response:
        if self._how == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        nonsense, _, status = self._how.rpartition("-")
        return web.Response(status=int(status), text="<html>" if nonsense else '{"error": "on purpose"}')
