"""What a thousand triggers cost the one process that a triggerer runs them in: ``python -m benchmarks.waiting``.

They wait on a local platform for blobs that never come, for some intervals, all in one event loop as in the triggerer:
first all for the same pattern, then each for a blob of its own. Told are the memory above an idle process, the CPU
seconds for each interval, the longest time that the loop stood still, by the clock and by the CPU time that it was busy
with (which other processes do not lengthen), and how often the storage was asked. What Airflow has loaded is kept from
the garbage collector, which otherwise holds the loop up for a tenth of a second by itself now and then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.local.child import local_platform
from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger
from airflow_provider_neuro_buckets.triggers.blobs import BlobTrigger, GlobTrigger
from airflow_provider_neuro_buckets.triggers.sharing import Lease
from benchmarks.meter import cpu_seconds, memory

INTERVAL = 10.0
INTERVALS = 3
TICK = 0.005
KEYS = 1000
CONN = "neuro_buckets_benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a case cost.

    :ivar longest_standstill: seconds between two turns of the loop, at most.
    :ivar longest_busy: CPU seconds of its thread between two turns, at most.
    :ivar asked: questions that went to the storage, by all triggers, in each interval.
    """

    case: str
    triggers: int
    memory_mib: float
    cpu_seconds_an_interval: float
    longest_standstill: float
    longest_busy: float
    asked_an_interval: float


class Loop:
    """Watches how long the event loop stands still."""

    def __init__(self) -> None:
        self.longest = self.busiest = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch for the time of a block."""
        task = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _tick(self) -> None:
        before, busy = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(TICK)
            now, used = time.perf_counter(), time.thread_time()
            self.longest = max(self.longest, now - before - TICK)
            self.busiest = max(self.busiest, used - busy)
            before, busy = now, used


class Asked:
    """Counts the questions that were really asked."""

    def __init__(self) -> None:
        self.count = 0

    def counting(self, trigger: BucketsTrigger) -> BucketsTrigger:
        """Let a trigger's questions be counted."""
        ask = trigger.ask

        async def counted(buckets: Buckets) -> object:
            self.count += 1
            return await ask(buckets)

        trigger.ask = counted  # type: ignore[method-assign]  # to count is all that it adds
        return trigger


async def cost(case: str, make: Callable[[int], BucketsTrigger], count: int) -> Cost:
    """Let so many triggers wait for some intervals."""
    gc.collect()
    gc.freeze()
    loop, asked = Loop(), Asked()
    idle = memory("VmRSS")
    async with loop.watched():
        waiting = []
        for number in range(count):
            waiting.append(asyncio.create_task(_wait(asked.counting(make(number)))))
            await asyncio.sleep(0)  # as the triggerer does
        # The first question comes after an interval; the client opens with it.
        await asyncio.sleep(1.5 * INTERVAL)
        asked.count, began = 0, cpu_seconds()
        await asyncio.sleep(INTERVALS * INTERVAL)
        used, held, questions = cpu_seconds() - began, memory("VmRSS") - idle, asked.count
        longest, busiest = loop.longest, loop.busiest
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return Cost(
        case=case,
        triggers=count,
        memory_mib=round(held / 1024**2, 1),
        cpu_seconds_an_interval=round(used / INTERVALS, 3),
        longest_standstill=round(longest, 3),
        longest_busy=round(busiest, 3),
        asked_an_interval=round(questions / INTERVALS, 1),
    )


async def _wait(trigger: BucketsTrigger) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"nothing should have come: {event}")


async def _load(bucket: str) -> None:
    """Load what the first trigger would, so that memory is that of the triggers alone."""
    held = Lease(CONN)
    await (await held.buckets()).blob_is_dir(f"blob:{bucket}")
    await held.give_back()


async def main(count: int) -> None:
    """Measure both cases; print a line of JSON for each."""
    with local_platform() as running:
        os.environ[f"AIRFLOW_CONN_{CONN.upper()}"] = running.connection
        async with Buckets.open(running.config) as buckets:
            bucket = (await buckets.create()).id
            for number in range(KEYS):
                await buckets.put_blob(bucket, f"in/{number:04}.txt", b"")
        waiting: dict[str, Any] = {"neuro_buckets_conn_id": CONN, "poke_interval": INTERVAL}
        cold = await cost(
            "one pattern, everything loaded on the way",
            lambda _: GlobTrigger(uri=f"blob:{bucket}/in/*.csv", min_count=1, **waiting),
            count,
        )
        print(json.dumps(asdict(cold)), flush=True)
        await _load(bucket)
        same = await cost(
            "one pattern", lambda _: GlobTrigger(uri=f"blob:{bucket}/in/*.csv", min_count=1, **waiting), count
        )
        print(json.dumps(asdict(same)), flush=True)
        each = await cost(
            "a blob for each", lambda n: BlobTrigger(uris=[f"blob:{bucket}/in/{n}"], enough=1, **waiting), count
        )
        print(json.dumps(asdict(each)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
