"""What transfers in shards cost on workers of Airflow, measured: ``PYTHONPATH=tests python -m benchmarks.distributed``.

A whole Airflow with CeleryExecutor and Redis, on a local platform. First a store that answers 20 ms later, and few
requests at once, so that neither it nor this machine is what limits: one worker, then two. Then many small blobs
between two buckets by two workers: totals, the content of a sample, and the peak memory of each process above what it
takes to copy next to nothing. It fails if a total or a content is wrong, or a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_neuro_buckets.local.child import local_platform
from benchmarks.processes import MIB, Peaks, watching
from distributed.running import Distributed
from faults.toxics import Late
from platform_rig import Platform
from storage_front import platform_front

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets

OUT = Path(__file__).parent / "scale-measured.json"
DAG_ID, DAG_FILES = "neuro_buckets_distributed", Path(__file__).parents[1] / "tests" / "distributed" / "dag_files"
LATENCY_SECONDS, LATE_CONCURRENCY = 0.02, 4
SAMPLE, SIZE, FEW = 1000, 1024, 16
PUTS_AT_ONCE = 64
LONGEST_RUN_SECONDS = 3600.0
CALIBRATION = (40, 10)
"""Parts of the many blobs that are copied before, by which a forecast learns what this machine is like."""

LEAST_SPEED_UP = 1.8
MOST_MIB_ABOVE_IDLE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of the group.

    :ivar seconds: of each kind of task from the first that began to the last that ended, and of the run.
    :ivar shard_seconds: of each task that moved a shard.
    :ivar by_worker: how many of them each worker did.
    """

    report: dict[str, Any]
    seconds: dict[str, float]
    shard_seconds: list[float]
    by_worker: dict[str, int]


class Bench:
    """Runs the group on a running Airflow, whose platform has one bucket with blobs and one without."""

    def __init__(self, airflow: Distributed, platform: Platform, *, src: str, dst: str) -> None:
        self._airflow = airflow
        self._platform = platform
        self._src = src
        self._dst = dst

    def put(self, folder: str, count: int) -> None:
        """Put so many blobs into a folder of the source."""

        async def put(buckets: Buckets) -> None:
            numbers = iter(range(count))

            async def some() -> None:
                for number in numbers:
                    await buckets.put_blob(self._src, f"{folder}/{_name(number)}", _body(number))

            async with asyncio.TaskGroup() as group:
                for _ in range(PUTS_AT_ONCE):
                    group.create_task(some())

        self._platform.ask(put)

    def run(self, folder: str, *, into: str, shards: int, conn: str) -> Ran:
        """Copy a folder, and wait for the end of the run."""
        ends = {"src": f"blob:{self._src}/{folder}", "dst": f"blob:{self._dst}/{into}"}
        run_id = self._airflow.run(DAG_ID, **ends, shards=shards, conn=conn)
        state = self._airflow.ended(DAG_ID, run_id, seconds=LONGEST_RUN_SECONDS)
        assert state == "success", self._airflow.said()
        tasks = self._airflow.tasks(DAG_ID, run_id)
        moved = [task for task in tasks if task["task_id"] == "move.transfer"]
        path = f"/dags/{DAG_ID}/dagRuns/{quote(run_id)}/taskInstances/move.conclude/xcomEntries/return_value"
        return Ran(
            report=self._airflow.get(f"{path}?deserialize=true")["value"],
            seconds={kind: _span(tasks, kind) for kind in ("plan", "transfer", "conclude", "")},
            shard_seconds=sorted(round(_span([task], ""), 2) for task in moved),
            by_worker={name: sum(task["hostname"] == name for task in moved) for name in _hosts(moved)},
        )

    def add_worker(self) -> None:
        """Start another worker, and wait until it takes tasks."""
        self._airflow.start_worker("second")
        self._airflow.until("the second worker", lambda: self._airflow.is_ready("second"))

    def peaks(self) -> AbstractContextManager[Peaks]:
        """Watch the memory of all processes for the time of a block."""
        return watching(self._airflow)

    def check(self, folder: str, count: int) -> None:
        """Compare how many blobs a folder of the destination has, their bytes, and the content of a sample."""
        sample = random.Random(2).sample(range(count), min(SAMPLE, count))  # noqa: S311 - any will do

        async def look(buckets: Buckets) -> tuple[int, int, int]:
            there = size = same = 0
            async for entry in buckets.list_blobs(f"blob:{self._dst}/{folder}/", recursive=True, limit=None):
                there, size = there + 1, size + (entry.size or 0)
            for number in sample:
                chunks = buckets.fetch_blob(self._dst, f"{folder}/{_name(number)}")
                same += b"".join([chunk async for chunk in chunks]) == _body(number)
            return there, size, same

        assert self._platform.ask(look) == (count, count * SIZE, len(sample))


def _name(number: int) -> str:
    return f"{number % 100:02}/{number:07}.bin"


def _body(number: int) -> bytes:
    return random.Random(number).randbytes(SIZE)  # noqa: S311 - anything that cannot be compressed


def _hosts(tasks: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({task["hostname"] for task in tasks})


def _span(tasks: Sequence[dict[str, Any]], kind: str) -> float:
    """Return the seconds from the first start to the last end of some tasks; of all of them for an empty kind."""
    ours = [task for task in tasks if task["task_id"].endswith(kind)]
    begun = min(datetime.fromisoformat(task["start_date"]) for task in ours)
    return (max(datetime.fromisoformat(task["end_date"]) for task in ours) - begun).total_seconds()


async def _create(buckets: Buckets, *, name: str) -> None:
    await buckets.create(name)


@contextmanager
def bench() -> Iterator[Bench]:
    """Start everything, with one worker that takes one task at a time."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neuro-buckets-scale-")))
        platform = Platform(stack.enter_context(local_platform(["--data-dir", str(folder / "platform")])))
        src, dst = "scale-src", "scale-dst"  # they go with their platform
        for name in (src, dst):
            platform.ask(partial(_create, name=name))
        late = json.loads(stack.enter_context(platform_front(platform, src, lambda _: Late(LATENCY_SECONDS))))
        late["extra"]["max_concurrency"] = LATE_CONCURRENCY
        bundle = {
            "name": "distributed",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(DAG_FILES)},
        }
        settings = {
            "AIRFLOW_CONN_DIRECT": platform.running.connection,
            "AIRFLOW_CONN_LATE": json.dumps(late),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        }
        home = folder / "home"
        home.mkdir()
        airflow = stack.enter_context(Distributed.running(home, settings, workers=["first"], concurrency=1))
        yield Bench(airflow, platform, src=src, dst=dst)


def speed_up(bench: Bench, blobs: int) -> dict[str, Any]:
    """Copy the same folder with one worker and with two, at a store that is late."""
    one = bench.run("late", into="one", shards=2, conn="late")
    bench.add_worker()
    two = bench.run("late", into="two", shards=2, conn="late")
    for folder in ("one", "two"):
        bench.check(folder, blobs)
    assert (len(one.by_worker), len(two.by_worker)) == (1, 2), (one, two)
    rates = [blobs / ran.seconds["transfer"] for ran in (one, two)]
    return {
        "blobs": blobs,
        "latency_seconds": LATENCY_SECONDS,
        "max_concurrency": LATE_CONCURRENCY,
        "blobs_per_second": {"one worker": round(rates[0], 1), "two workers": round(rates[1], 1)},
        "speed_up": round(rates[1] / rates[0], 2),
    }


def sizes(blobs: int) -> list[int]:
    """Return how many blobs are copied, again and again, until it is so many."""
    return [*(blobs // part for part in CALIBRATION), blobs]


def scale(bench: Bench, blobs: int, shards: int) -> dict[str, Any]:
    """Copy small blobs with two workers: next to none, which tells what is idle, a few for a forecast, and many."""
    with bench.peaks() as idle:
        bench.run("few", into="few", shards=2, conn="direct")
    *calibration, many = [_copied(bench, str(size), size, shards, idle) for size in sizes(blobs)]
    return {"calibration": calibration, "scale": many}


def _copied(bench: Bench, folder: str, blobs: int, shards: int, idle: Peaks) -> dict[str, Any]:
    with bench.peaks() as peaks:
        ran = bench.run(folder, into=folder, shards=shards, conn="direct")
    bench.check(folder, blobs)
    assert (ran.report["files"], ran.report["bytes"]) == (blobs, blobs * SIZE), ran.report
    return {
        "blobs": blobs,
        "bytes_each": SIZE,
        "shards": len(ran.shard_seconds),
        "workers": 2,
        "tasks_at_once": 2,
        "seconds": {kind or "run": round(seconds, 2) for kind, seconds in ran.seconds.items()},
        "shard_seconds": ran.shard_seconds,
        "shards_by_worker": ran.by_worker,
        "verified": ran.report["verified"],
        "contents_compared": min(SAMPLE, blobs),
        "peak_mib": {kind: round(size / MIB) for kind, size in peaks.sizes().items()},
        "peak_mib_above_idle": {kind: round(size / MIB) for kind, size in peaks.above(idle).items()},
    }


def main() -> int:
    """Measure, write what came of it, and tell whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--blobs", type=int, default=200_000)
    parser.add_argument("--late-blobs", type=int, default=3000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with bench() as running:
        for folder, count in {
            "late": options.late_blobs,
            "few": FEW,
            **{str(n): n for n in sizes(options.blobs)},
        }.items():
            running.put(folder, count)
        measured = {
            "two_workers": speed_up(running, options.late_blobs),
            **scale(running, options.blobs, options.shards),
        }
    options.out.write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))
    most = max(measured["scale"]["peak_mib_above_idle"].values())
    missed = [
        sentence
        for sentence, is_met in {
            f"two workers are at least {LEAST_SPEED_UP} times as fast": measured["two_workers"]["speed_up"]
            >= LEAST_SPEED_UP,
            f"no process takes {MOST_MIB_ABOVE_IDLE} MiB above idle": most < MOST_MIB_ABOVE_IDLE,
        }.items()
        if not is_met
    ]
    print("\n".join(f"missed: {sentence}" for sentence in missed) or "all targets are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
