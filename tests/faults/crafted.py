"""A server on loopback that answers as it is told, however wrong, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Choice = Callable[[Asked], Answer]


@dataclass(slots=True)
class CraftedServer:
    """A running server; `choose` gives the answer to each request.

    :ivar asked: all requests so far, in order.
    """

    choose: Choice
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def asked_by(self, method: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            method=request.method, target=request.raw_path, headers=request.headers, body=await request.read()
        )
        self.asked.append(asked)
        return await self.choose(asked)(request)


def in_turn(*answers: Answer) -> Choice:
    """Give the answers one after the other, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def by_method(**choices: Choice) -> Choice:
    """Choose by the method: each has its own choice."""
    return lambda asked: choices[asked.method](asked)


@asynccontextmanager
async def crafted(choose: Choice, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[CraftedServer]:
    """Run a server that answers as `choose` says."""
    server = CraftedServer(choose)
    application = web.Application(client_max_size=256 * 1024 * 1024)
    application.router.add_route("*", r"/{path:[\s\S]*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def reply(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a whole body."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def breaking(body: bytes, *, announced: int, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
    """Answer with the first bytes of a body that was announced longer, then reset the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={**(headers or {}), "Content-Length": str(announced)})
        await response.prepare(request)
        if body:
            await response.write(body)
        await asyncio.sleep(0)
        reset(request)
        return response

    return answer


def dropping() -> Answer:
    """Reset the connection without an answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        reset(request)
        return web.Response()

    return answer


def endless(status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a body that has no end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(bytes(256 * 1024))

    return answer


def silent(closing: asyncio.Event) -> Answer:
    """Never answer; until `closing` is set."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await closing.wait()
        return web.Response()

    return answer


def reset(request: web.Request) -> None:
    """Break the connection of a request."""
    if request.transport is not None:
        request.transport.abort()
