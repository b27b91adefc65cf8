"""What can go wrong between a client and a server: each fault is a value, and says what it does to one exchange.

A fault may change the request on its way to the server, the answer on its way back, the bytes of that on the wire,
or answer in the server's place. A new one is a class of its own; the proxy need not know it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import repeat

from faults.messages import Body, Head, has_body, whole

PIECE = 64 * 1024


class End(Enum):
    """How a connection ends before its time."""

    RESET = "reset"
    CLOSED = "closed"
    SILENCE = "silence"


class Cut(Exception):
    """Raised in the middle of an exchange: from here on nothing more is handed on."""

    def __init__(self, end: End) -> None:
        super().__init__(end.value)
        self.end = end


class Fault:
    """Does nothing."""

    __slots__ = ()

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        """Return the request as the server gets it."""
        return head, body

    def way(self, pieces: Body) -> Body:
        """Return the bytes of the request as they go to the server, head included."""
        return pieces

    def instead(self) -> tuple[Head, Body] | None:
        """Return an answer that is given in the server's place, which then hears nothing of the request."""
        return None

    def answer(self, head: Head, body: Body, *, method: str) -> tuple[Head, Body]:  # noqa: ARG002 - for those that need it
        """Return the answer as the client gets it."""
        return head, body

    def wire(self, pieces: Body) -> Body:
        """Return the bytes of the answer as they go to the client, head included."""
        return pieces


@dataclass(frozen=True, slots=True)
class ResetRequest(Fault):
    """Break both connections after some bytes of the request's body; with 0, the server hears nothing of it."""

    after: int = 0

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        return head, _cut_request(body, self.after, End.RESET)


@dataclass(frozen=True, slots=True)
class ResetAnswer(Fault):
    """Break both connections after some bytes of the answer, its head included. With 0 the server acted, unheard."""

    after: int = 0

    def wire(self, pieces: Body) -> Body:
        return _cut(pieces, self.after, End.RESET)


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Hand on some bytes of the answer, its head included; then be silent until the client leaves."""

    after: int = 0

    def wire(self, pieces: Body) -> Body:
        return _cut(pieces, self.after, End.SILENCE)


@dataclass(frozen=True, slots=True)
class StallRequest(Fault):
    """Hand on some bytes of the request's body, with 0 nothing at all; then be silent until the client leaves."""

    after: int = 0

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        return head, _cut_request(body, self.after, End.SILENCE)


class Told(Enum):
    """What the head says of a body that is cut short."""

    LENGTH_OF_ALL = "its whole length"
    LENGTH_OF_REST = "the length that is left"
    NO_LENGTH = "chunks follow, of which the last never comes"


@dataclass(frozen=True, slots=True)
class Truncate(Fault):
    """Give only the first bytes of the body, then close the connection as if all were there."""

    to: int
    told: Told = Told.LENGTH_OF_ALL

    def answer(self, head: Head, body: Body, *, method: str) -> tuple[Head, Body]:
        if not has_body(method, head):
            return head, body
        if self.told is Told.LENGTH_OF_REST:
            left = min(self.to, int(head.get("Content-Length") or 0))
            return head.having(content_length=str(left), connection="close"), _cut(body, left, None)
        if self.told is Told.NO_LENGTH:
            head = head.having(content_length=None, transfer_encoding="chunked")
        return head, _cut(body, self.to, End.CLOSED)


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """Hand on so many bytes a second, both ways."""

    bytes_per_second: float
    step: int = 1024

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        return head, self._paced(body)

    def wire(self, pieces: Body) -> Body:
        return self._paced(pieces)

    async def _paced(self, pieces: Body) -> Body:
        async for piece in pieces:
            for at in range(0, len(piece), self.step):
                yield piece[at : at + self.step]
                await asyncio.sleep(self.step / self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class Late(Fault):
    """Hold the answer back for some seconds, at random within the spread around them."""

    seconds: float
    spread: float = 0.0

    async def wire(self, pieces: Body) -> Body:
        await asyncio.sleep(max(0.0, self.seconds + random.uniform(-self.spread, self.spread)))
        async for piece in pieces:
            yield piece


@dataclass(frozen=True, slots=True)
class Held(Fault):
    """Take a request whole, and hand it on once something has happened; whoever sent it may have left by then.

    :ivar taken: set when all of it is here.
    :ivar over: set when its answer is handed on.
    """

    until: asyncio.Event
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def way(self, pieces: Body) -> Body:
        held = [piece async for piece in pieces]
        self.taken.set()
        await self.until.wait()
        for piece in held:
            yield piece

    async def wire(self, pieces: Body) -> Body:
        async for piece in pieces:
            self.over.set()
            yield piece


@dataclass(frozen=True, slots=True)
class Answer(Fault):
    """Answer in the server's place.

    :ivar is_early: before the body of the request has come; the proxy then closes its half of the connection.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    is_early: bool = False

    def instead(self) -> tuple[Head, Body]:
        length = ("Content-Length", str(len(self.body)))
        closing = (("Connection", "close"),) if self.is_early else ()
        return Head(f"HTTP/1.1 {self.status} On Purpose", (*self.headers, length, *closing)), whole(self.body)

    def early(self) -> Answer:
        """Return the same answer, given before the body of the request has come."""
        return replace(self, is_early=True)


@dataclass(frozen=True, slots=True)
class Disguise(Fault):
    """Let the server act, but tell the client something else."""

    shown: Answer

    def answer(self, head: Head, body: Body, *, method: str) -> tuple[Head, Body]:  # noqa: ARG002 - Fault's signature
        return self.shown.instead()


@dataclass(frozen=True, slots=True)
class Corrupt(Fault):
    """Flip a bit of one byte in the body of the answer; every length stays right."""

    at: int = 0

    def answer(self, head: Head, body: Body, *, method: str) -> tuple[Head, Body]:  # noqa: ARG002 - Fault's signature
        return head, _flipped(body, self.at)


@dataclass(frozen=True, slots=True)
class CorruptRequest(Fault):
    """Flip a bit of one byte in the body of the request."""

    at: int = 0

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        return head, _flipped(body, self.at)


@dataclass(frozen=True, slots=True)
class Headers(Fault):
    """Put other headers into the answer, such as a wrong ETag or checksum; `None` leaves one out."""

    values: tuple[tuple[str, str | None], ...]

    def answer(self, head: Head, body: Body, *, method: str) -> tuple[Head, Body]:  # noqa: ARG002 - Fault's signature
        return head.having(**dict(self.values)), body


@dataclass(frozen=True, slots=True)
class RequestHeaders(Fault):
    """Put other headers into the request; a server that checks signatures refuses that."""

    values: tuple[tuple[str, str | None], ...]

    def ask(self, head: Head, body: Body) -> tuple[Head, Body]:
        return head.having(**dict(self.values)), body


@dataclass(frozen=True, slots=True)
class EndlessHeaders(Fault):
    """Answer with headers that have no end."""

    def instead(self) -> tuple[Head, Body]:
        return Head("HTTP/1.1 200 OK"), whole(b"")

    async def wire(self, pieces: Body) -> Body:
        async for piece in pieces:
            yield piece.removesuffix(b"\r\n")
            break
        for number in range(1_000_000_000):
            yield b"".join(b"X-Filler-%d-%d: %b\r\n" % (number, line, b"x" * 1000) for line in range(32))


@dataclass(frozen=True, slots=True)
class EndlessBody(Fault):
    """Answer with a body that begins as told and has no end."""

    begin: bytes = b'["'
    piece: bytes = field(default=b"x" * PIECE, repr=False)
    status: int = 200
    content_type: str = "application/json"

    def instead(self) -> tuple[Head, Body]:
        headers = (("Content-Type", self.content_type), ("Transfer-Encoding", "chunked"))
        return Head(f"HTTP/1.1 {self.status} OK", headers), self._body()

    async def _body(self) -> Body:
        yield self.begin
        for piece in repeat(self.piece):
            yield piece


def s3_error(status: int, code: str, *, retry_after: int | None = None) -> Answer:
    """An error as S3 tells it."""
    delay = () if retry_after is None else (("Retry-After", str(retry_after)),)
    text = f"<Error><Code>{code}</Code><Message>on purpose</Message><RequestId>R-1</RequestId></Error>"
    return Answer(status, text.encode(), (("Content-Type", "application/xml"), *delay))


def azure_error(status: int, code: str, *, retry_after: int | None = None) -> Answer:
    """An error as Azure tells it."""
    delay = () if retry_after is None else (("Retry-After", str(retry_after)),)
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
    headers = (("Content-Type", "application/xml"), ("x-ms-error-code", code), *delay)
    return Answer(status, text.encode(), headers)


def redirect(status: int, location: str) -> Answer:
    """A redirection."""
    return Answer(status, b"", (("Location", location),))


SLOW_DOWN = s3_error(503, "SlowDown")
EXPIRED_TOKEN = s3_error(400, "ExpiredToken")
INTERNAL_ERROR = s3_error(500, "InternalError")


def _cut_request(body: Body, after: int, end: End) -> Body:
    if not after:
        raise Cut(end)
    return _cut(body, after, end)


async def _cut(pieces: Body, after: int, end: End | None) -> Body:
    """Yield the first bytes; then end as told, or as if that were all."""
    left = after
    if left:
        async for piece in pieces:
            yield piece[:left]
            left -= len(piece[:left])
            if not left:
                break
        else:
            return  # it was shorter
    if end is not None:
        raise Cut(end)


async def _flipped(pieces: Body, at: int) -> Body:
    async for piece in pieces:
        if 0 <= at < len(piece):
            yield piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
        else:
            yield piece
        at -= len(piece)
