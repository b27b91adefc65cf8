"""One cell of the matrix: which fault, how often, on which size; and what has come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from benchmarks.faults.bucket import Bucket, Kind

MIB = 1024 * 1024
Answer = Callable[[Bucket, web.Request], Awaitable[web.StreamResponse | None]]


class Direction(StrEnum):
    """Which way the bytes go."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


class Size(StrEnum):
    """Of the blob."""

    SMALL = "small"
    """Everybody moves it in one request."""
    LARGE = "large"
    """Everybody moves it in parts."""


class Times(StrEnum):
    """How often a fault occurs."""

    ONCE = "once"
    ALWAYS = "always"


class Outcome(StrEnum):
    """What a transfer came to."""

    CORRECT = "correct"
    CLEAN = "clean error"
    """Told as an error; no wrong bytes are at the destination, nor is what was there lost for nothing."""
    DESTROYED = "destroyed"
    """Told as an error, and what was at the destination is gone or wrong."""
    SILENT = "SILENT"
    """Told as a success, and the bytes at the destination are wrong."""


BOTH_SIZES = (Size.SMALL, Size.LARGE)
BOTH_TIMES = (Times.ONCE, Times.ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """A kind of fault.

    :ivar name: short, for tests and tables.
    :ivar meaning: one sentence for readers.
    :ivar hits: the requests that it can befall.
    :ivar answer: what it answers to one of them; `None` to leave that one alone.
    :ivar sizes: where it can be told from another fault, or occur at all.
    """

    name: str
    meaning: str
    hits: frozenset[Kind]
    answer: Answer
    sizes: tuple[Size, ...] = BOTH_SIZES
    times: tuple[Times, ...] = BOTH_TIMES


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell."""

    direction: Direction
    kind: Kinds
    times: Times
    size: Size

    @property
    def name(self) -> str:
        """Return what tests and logs call it."""
        return f"{self.direction}-{self.kind.name}-{self.times}-{self.size}".replace(" ", "-")

    @property
    def is_recoverable(self) -> bool:
        """Whether a client can deliver all the same: what goes wrong once goes right when asked again."""
        return self.times is Times.ONCE


@dataclass(slots=True)
class Occurring:
    """A fault while it occurs at one server.

    :ivar met: how often it did.
    """

    cell: Cell
    met: int = field(default=0)

    async def meet(self, bucket: Bucket, kind: Kind, request: web.Request) -> web.StreamResponse | None:
        """Answer wrongly where the fault occurs."""
        if kind not in self.cell.kind.hits or (self.met and self.cell.times is Times.ONCE):
            return None
        self.met += 1  # before the answer: requests come side by side
        answer = await self.cell.kind.answer(bucket, request)
        self.met -= answer is None
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one cell for one client.

    :ivar found: what is at the destination, in a word or two.
    :ivar left: what the client left lying about: temporary files, uploads that nobody ended.
    """

    outcome: Outcome
    found: str
    left: int = 0
    seconds: float = 0.0
    said: str = ""


def cells_of(direction: Direction, kinds: tuple[Kinds, ...]) -> list[Cell]:
    """Return the cells of one matrix."""
    return [Cell(direction, kind, times, size) for kind in kinds for times in kind.times for size in kind.sizes]
