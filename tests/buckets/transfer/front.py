"""A proxy in front of a storage server: counts the requests that are open, can hold them, and can tell another time."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import aiohttp
from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from conformance.rigs.base import Rig, opened

_HOP = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
_LISTED = re.compile(rb"<LastModified>(.*?)</LastModified>")


@dataclass
class Front:
    """What the proxy does, and what it saw.

    :ivar keys: of the storage, with the proxy's address.
    :ivar url: its address.
    :ivar ahead: how much later it is at the server than it really is.
    :ivar tamper: changes the body of the answer to a GET of a blob.
    :ivar hold: awaited while a request is open, before it goes on; its method and path tell which.
    """

    keys: BucketCredentials
    url: str = ""
    ahead: timedelta = timedelta()
    tamper: Callable[[bytes], bytes] | None = None
    hold: Callable[[web.Request], Awaitable[None]] | None = None
    open: int = 0
    most_open: int = 0
    seen: list[str] = field(default_factory=list)

    def shifted(self, moment: datetime) -> datetime:
        return moment.astimezone(UTC) + self.ahead

    def headers(self, answer: aiohttp.ClientResponse) -> dict[str, str]:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        headers["Date"] = format_datetime(self.shifted(datetime.now(UTC)), usegmt=True)
        if modified := headers.get("Last-Modified"):
            headers["Last-Modified"] = format_datetime(self.shifted(parsedate_to_datetime(modified)), usegmt=True)
        return headers

    def body(self, content: bytes) -> bytes:
        return _LISTED.sub(
            lambda found: (
                b"<LastModified>%s</LastModified>"
                % self.shifted(datetime.fromisoformat(found[1].decode())).isoformat().encode()
            ),
            content,
        )


@asynccontextmanager
async def behind(rig: Rig) -> AsyncIterator[tuple[Front, Listing]]:
    """Open the bucket of a rig through a proxy of its own."""
    front = Front(rig.keys)
    endpoint = rig.keys.credentials["endpoint_url"]

    async def handle(request: web.Request) -> web.Response:
        front.seen.append(f"{request.method} {request.raw_path}")
        front.open += 1
        front.most_open = max(front.most_open, front.open)
        try:
            if front.hold is not None:
                await front.hold(request)
            return await forward(request)
        finally:
            front.open -= 1

    async def forward(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Host"] = request.host  # it is signed
        url = URL(endpoint + request.raw_path, encoded=True)
        body = io.BytesIO(await request.read()) if request.body_exists else None
        async with http.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            content = await answer.read()
            headers = front.headers(answer)
            if request.method == "HEAD":
                headers["Content-Length"] = answer.headers["Content-Length"]
                return web.Response(status=answer.status, headers=headers)
            if content.startswith(b"<?xml"):
                content = front.body(content)
            elif request.method == "GET" and front.tamper is not None:
                content = front.tamper(content)
            return web.Response(status=answer.status, headers=headers, body=content)

    app = web.Application(client_max_size=64 * 1024**2)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as http:
        await site.start()
        try:
            front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            front.keys = replace(rig.keys, credentials={**rig.keys.credentials, "endpoint_url": front.url})
            async with opened(rig.bucket, front.keys) as store:
                yield front, Listing(rig.bucket, store)
        finally:
            await runner.cleanup()
