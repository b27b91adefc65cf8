"""How long a copy of any size takes with any number of workers, from what was measured of its parts. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.simulation.fleet import Moved, Planned
from benchmarks.simulation.service import PAGE, Conditions

LONGEST_MAP = 1024
"""Shards of one mapped task, as Airflow limits them unless it is told otherwise."""
SHARDS_A_WORKER = 4
FEWEST_SHARDS = 16
MOST_ITEMS = 50_000
"""Of a shard: what a task that is lost has to begin anew is never more than a few minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Airflow:
    """What Airflow itself takes.

    :ivar task_seconds: from when a slot is free until a task in it does its first work, and after its last.
    :ivar tasks_per_second: how many a scheduler begins.
    :ivar run_seconds: the same for the tasks that plan and conclude, and until a run begins.
    """

    task_seconds: float = 3.0
    tasks_per_second: float = 10.0
    run_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dollars for a thousand requests, as S3 Standard has them in most regions; a gigabyte between regions is extra."""

    thousand: Mapping[str, float]

    def of(self, verb: str, count: float) -> float:
        """Return what so many requests cost."""
        return count / 1000 * self.thousand.get(verb, 0.0)


S3 = Prices(thousand={"LIST": 0.005, "PUT": 0.005, "COPY": 0.005, "GET": 0.0004, "DELETE": 0.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a copy takes. Times in seconds.

    :ivar dollars: for its requests.
    """

    blobs: int
    workers: int
    shards: int
    plan: float
    airflow: float
    move: float
    requests: int
    dollars: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.plan + self.airflow + self.move


def shards_for(blobs: int, workers: int) -> int:
    """Return into how many shards a copy is best divided."""
    wanted = max(FEWEST_SHARDS, SHARDS_A_WORKER * workers, math.ceil(blobs / MOST_ITEMS))
    return min(wanted, LONGEST_MAP, blobs)


def forecast(
    planned: Planned, moved: Moved, airflow: Airflow, *, shards: int | None = None, prices: Prices = S3
) -> Forecast:
    """Tell what a copy takes whose plan, and whose blobs per second, are known.

    :param shards: instead of what :func:`shards_for` says.

    The plan takes as long as the slower of the service and the processor, for both work at the same time.
    """
    blobs, workers = planned.blobs, moved.workers
    shards = shards or shards_for(blobs, workers)
    rounds = math.ceil(shards / workers)
    asked = {"LIST": float(planned.pages), **{verb: share * blobs for verb, share in moved.asked.items()}}
    return Forecast(
        blobs=blobs,
        workers=workers,
        shards=shards,
        plan=max(planned.seconds, planned.cpu_seconds),
        airflow=max(rounds * airflow.task_seconds, shards / airflow.tasks_per_second) + airflow.run_seconds,
        move=blobs / moved.per_second,
        requests=round(sum(asked.values())),
        dollars=sum(prices.of(verb, count) for verb, count in asked.items()),
    )


def limit(fleets: Sequence[Moved]) -> str:
    """Say in a sentence up to where more workers help, and why no further.

    :param fleets: in the order of their workers, each twice as many as the one before.
    """
    for few, many in pairwise(fleets):
        gain = many.per_second / few.per_second
        if gain < 1.5:  # noqa: PLR2004 - three quarters of what twice as many could bring
            reason = (
                f"the service asks to slow down ({many.refused:.1%} of the requests were refused with {many.workers})"
                if many.refused > 0.001  # noqa: PLR2004 - one of a thousand is no limit
                else "the service has no more to give"
            )
            return f"{many.workers} workers move {gain:.2f} times what {few.workers} do: {reason}."
    return f"{fleets[-1].workers} workers are not the end of it: each doubling brought 1.5 times as much or more."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a group that was measured on workers of a real Airflow.

    :ivar rounds: of tasks, one after the other on each worker.
    :ivar seconds: of ``plan``, of all of ``transfer`` together, and of the whole ``run``.
    """

    blobs: int
    workers: int
    shards: int
    rounds: int
    seconds: Mapping[str, float]


def calibrated(small: Run, large: Run) -> tuple[Conditions, Airflow]:
    """Return what a machine is like that holds everything, by two runs that differ in nothing but their blobs.

    What the longer one took longer is the storage's; what is left of the shorter one is Airflow's.
    """
    more = large.blobs - small.blobs
    each = (large.seconds["transfer"] - small.seconds["transfer"]) / more
    listed = (large.seconds["plan"] - small.seconds["plan"]) / more
    rest = [run.seconds["run"] - run.seconds["plan"] - run.seconds["transfer"] for run in (small, large)]
    conditions = Conditions(
        latency=0.002,
        listing_latency=max(listed, 0.0) * PAGE,
        reads_per_second=1 / each,
        writes_per_second=1 / each,
        queues=True,
        failures=0.0,
        cpu=0.0,
    )
    airflow = Airflow(
        task_seconds=(small.seconds["transfer"] - small.blobs * each) / small.rounds,
        run_seconds=sum(rest) / len(rest) + small.seconds["plan"] - small.blobs * listed,
    )
    return conditions, airflow
