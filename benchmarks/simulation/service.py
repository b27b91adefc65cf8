"""A storage service with latency, limits and failures, and the workers that ask it; its clock is that of the loop."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from airflow_provider_neuro_buckets.buckets.errors import Throttled, Unavailable
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import attempt
from airflow_provider_neuro_buckets.buckets.stores.base import Page
from airflow_provider_neuro_buckets.buckets.stores.rows import Rows
from benchmarks.simulation.clock import Line

PAGE = 1000
FOLDERS = 100
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
_SPREAD = math.log(2) / 1.2816
"""Of a logarithmic normal distribution of which a tenth is above twice its middle."""


class Verb(StrEnum):
    """What a request does: what it costs, and which limit it counts for."""

    LIST = "LIST"
    READ = "GET"
    WRITE = "PUT"
    COPY = "COPY"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a service and the machines of its users are like. Times in seconds.

    :ivar latency: of a request, in the middle; a tenth of them take more than twice as long.
    :ivar listing_latency: of a page of a listing.
    :ivar reads_per_second: of all workers together, above which the service asks to slow down; likewise writes.
    :ivar queues: whether it is a single server, that does one request after the other as fast as that.
    :ivar failures: share of the requests that fail with a 500.
    :ivar bytes_per_second: of the network card of a worker.
    :ivar cpu: of the processor of a worker for each request of a blob.
    :ivar max_concurrency: requests at once, of each worker.
    """

    latency: float = 0.03
    listing_latency: float = 0.1
    reads_per_second: float = 5500.0
    writes_per_second: float = 3500.0
    queues: bool = False
    failures: float = 0.001
    bytes_per_second: float = 1.25e9
    cpu: float = 0.0004
    max_concurrency: int = 64


class Service:
    """What all workers share: the limits of the service, and the count of what was asked of it.

    :ivar moved: when each blob of a lake had been copied or written.
    """

    def __init__(self, conditions: Conditions, *, seed: int = 1) -> None:
        self.conditions = conditions
        self.asked: Counter[Verb] = Counter()
        self.refused = 0
        self.moved: list[float] = []
        self._random = random.Random(seed)  # noqa: S311 - the same run each time is what is wanted
        self._line = Line()
        self._tokens = {True: conditions.writes_per_second, False: conditions.reads_per_second}
        self._since = dict.fromkeys(self._tokens, 0.0)

    async def answer(self, verb: Verb) -> None:
        """Take the time of a request.

        :raises Throttled: there are too many of them.
        :raises Unavailable: it fails.
        """
        conditions = self.conditions
        self.asked[verb] += 1
        is_write = verb in {Verb.WRITE, Verb.COPY, Verb.DELETE}
        rate = conditions.writes_per_second if is_write else conditions.reads_per_second
        if conditions.queues:
            await self._line.use(conditions.listing_latency if verb is Verb.LIST else 1 / rate)
        else:
            base = conditions.listing_latency if verb is Verb.LIST else conditions.latency
            await asyncio.sleep(base * self._random.lognormvariate(0.0, _SPREAD))
        if not conditions.queues and not self._admits(rate, is_write=is_write):
            self.refused += 1
            raise Throttled("the simulated service asks to slow down", remedy="Wait")
        if self._random.random() < conditions.failures:
            raise Unavailable("the simulated service fails", remedy="Try again")

    def _admits(self, rate: float, *, is_write: bool) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens[is_write] = min(rate, self._tokens[is_write] + (now - self._since[is_write]) * rate)
        self._since[is_write] = now
        if self._tokens[is_write] < 1:
            return False
        self._tokens[is_write] -= 1
        return True


@dataclass(frozen=True, slots=True)
class Lake:
    """A folder of many blobs that nobody has stored: what a listing says of them follows from their number.

    :ivar blobs: how many there are.
    :ivar size: bytes of a blob on the average; half of them have a quarter of it.
    """

    blobs: int
    size: int

    def folders(self) -> Iterator[str]:
        """Yield the folders, each with the same share of the blobs."""
        return (f"day={number:02}/" for number in range(FOLDERS))

    def pages(self, prefix: str) -> Iterator[Page]:
        """Yield the pages of the listing of a folder, or of all."""
        for folder in self.folders():
            if folder.startswith(prefix):
                first, last = (int(folder[4:6]) + step for step in (0, 1))
                numbers = range(self.blobs * first // FOLDERS, self.blobs * last // FOLDERS)
                for at in range(0, len(numbers), PAGE):
                    yield Page(blobs=Rows([self._row(folder, number) for number in numbers[at : at + PAGE]]))

    def size_of(self, key: str) -> int:
        """Return the bytes of a blob of the lake."""
        return self._size(int(key.removesuffix(".parquet").rpartition("/")[2]))

    def _size(self, number: int) -> int:
        quarter = self.size // 4
        return quarter - number % 16 if number % 2 else self.size * 2 - quarter

    def _row(self, folder: str, number: int) -> tuple[str, int, str, datetime, None, None]:
        return f"{folder}{number:010}.parquet", self._size(number), f"{number:032x}", WRITTEN, None, None


@dataclass(slots=True)
class Worker:
    """A process that moves blobs: its processor, its network card, its pace."""

    service: Service
    cpu: Line = field(default_factory=Line)
    network: Line = field(default_factory=Line)
    pace: Pace = field(default_factory=Pace)

    async def request(self, verb: Verb, *, size: int = 0) -> None:
        """Make a request, again where the retry policy says so."""
        await attempt(lambda: self._once(verb, size), what=f"a simulated {verb}")

    def moved(self) -> None:
        """Count a blob of a lake that is where it should be."""
        self.service.moved.append(asyncio.get_running_loop().time())

    async def _once(self, verb: Verb, size: int) -> None:
        pace, conditions = self.pace, self.service.conditions
        if pace.limits_requests:
            await pace.request()
        await self.cpu.use(0.0 if verb is Verb.LIST else conditions.cpu)
        await self.network.use(size / conditions.bytes_per_second)
        try:
            await self.service.answer(verb)
        except Throttled:
            pace.refused("a simulated request")
            raise
        if pace.is_watching:
            pace.answered()
