"""HTTP/1.1 messages as the fault proxy hands them on: a head, and a body in pieces as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

AT_ONCE = 64 * 1024
_BODILESS = {"204", "304"}
_LAST_CHUNK = b"0\r\n\r\n"

Body = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Head:
    """A request or an answer up to its body: the first line, and the headers in their order."""

    line: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def method(self) -> str:
        return self.line.split(" ", 2)[0]

    @property
    def target(self) -> str:
        return self.line.split(" ", 2)[1]

    @property
    def status(self) -> str:
        return self.line.split(" ", 2)[1]

    def get(self, name: str) -> str:
        """Return a header; an empty text if it is not there."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), "")

    def having(self, **headers: str | None) -> Head:
        """Return the head with other headers, ``_`` for ``-`` in their names; `None` leaves one out."""
        new = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        kept = [(name, value) for name, value in self.headers if name.lower() not in new]
        return replace(self, headers=(*kept, *((name, value) for name, value in new.items() if value is not None)))

    @property
    def is_chunked(self) -> bool:
        return self.get("Transfer-Encoding").lower().endswith("chunked")

    @property
    def is_last(self) -> bool:
        """Whether the connection ends after this message."""
        return self.get("Connection").lower() == "close" or "HTTP/1.0" in self.line

    def encode(self) -> bytes:
        lines = [self.line, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a head; `None` where the connection ends instead."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = text.split("\r\n")
    return Head(line, tuple((name, value.strip()) for name, _, value in (item.partition(":") for item in rest) if name))


async def request_body(head: Head, reader: asyncio.StreamReader) -> Body:
    """Yield the body of a request."""
    size = int(head.get("Content-Length") or 0)
    async for piece in _chunks(reader) if head.is_chunked else _sized(reader, size):
        yield piece


async def answer_body(method: str, head: Head, reader: asyncio.StreamReader) -> Body:
    """Yield the body of an answer: as long as it says, or to the end of the connection."""
    if not has_body(method, head):
        return
    size = head.get("Content-Length")
    pieces = _chunks(reader) if head.is_chunked else _sized(reader, int(size)) if size else _rest(reader)
    async for piece in pieces:
        yield piece


def has_body(method: str, head: Head) -> bool:
    """Whether a body follows the head of an answer."""
    return method != "HEAD" and head.status not in _BODILESS


async def encoded(head: Head, body: Body, *, method: str = "") -> Body:
    """Yield a message as it goes on the wire; an answer to a HEAD has no body, whatever its head says."""
    yield head.encode()
    if method and not has_body(method, head):
        return
    async for piece in body:
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if head.is_chunked else piece
    if head.is_chunked:
        yield _LAST_CHUNK


async def whole(content: bytes) -> Body:
    """Yield a body that is there already."""
    if content:
        yield content


async def _sized(reader: asyncio.StreamReader, size: int) -> Body:
    while size:
        piece = await reader.read(min(AT_ONCE, size))
        if not piece:
            raise ConnectionError("the connection ended within a body")
        size -= len(piece)
        yield piece


async def _rest(reader: asyncio.StreamReader) -> Body:
    while piece := await reader.read(AT_ONCE):
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> Body:
    while size := int((await _line(reader)).partition(b";")[0], 16):
        async for piece in _sized(reader, size):
            yield piece
        await _line(reader)
    while await _line(reader):
        pass  # trailers are not handed on


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the connection ended within a body")
    return line.strip()
