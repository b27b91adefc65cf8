"""How transfers in shards scale, on paper: ``python -m benchmarks.scale`` writes what docs/scale.md shows.

The planner, the shards, the retries and the pace are the package's own, in an event loop whose clock is made up. So is
the storage service that they work against: it has latency, limits and failures. So ten million blobs and 64 workers fit
into minutes of one processor. What a machine at hand has measured (`benchmarks.distributed`) is compared with it.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.simulation.chart import draw
from benchmarks.simulation.fleet import Moved, Planned, move, plan
from benchmarks.simulation.model import Airflow, Forecast, Run, calibrated, forecast, limit, shards_for
from benchmarks.simulation.report import render
from benchmarks.simulation.service import Conditions

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
RESULTS, MEASURED = HERE / "scale.json", HERE / "scale-measured.json"

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
EACH_WORKER = 4000
"""Blobs of each worker while it is watched, in two shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A copy under some conditions.

    :ivar size: bytes of a blob on the average.
    """

    name: str
    title: str
    conditions: Conditions
    size: int
    is_one_service: bool


_WIDE = Conditions(reads_per_second=16 * 5500.0, writes_per_second=16 * 3500.0)
SCENES = (
    Scene(
        name="one prefix",
        title="inside one service, all in one partition of it",
        conditions=Conditions(),
        size=64 * 1024,
        is_one_service=True,
    ),
    Scene(
        name="16 prefixes",
        title="inside one service, spread over 16 of its partitions",
        conditions=_WIDE,
        size=64 * 1024,
        is_one_service=True,
    ),
    Scene(
        name="streamed",
        title="streamed from one service to another, 256 KiB each, 16 partitions",
        conditions=replace(_WIDE, cpu=0.0007),
        size=256 * 1024,
        is_one_service=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was found out; JSON on its way to the report."""

    planned: Sequence[Planned]
    fleets: Mapping[str, Sequence[Moved]]

    def forecasts(self, scene: Scene, airflow: Airflow) -> list[list[Forecast]]:
        """Return those of each size, one for each number of workers."""
        return [[forecast(planned, moved, airflow) for moved in self.fleets[scene.name]] for planned in self.planned]

    def limits(self) -> dict[str, str]:
        """Say of each scene where it stops scaling."""
        return {scene.name: limit(self.fleets[scene.name]) for scene in SCENES}


def simulate(workers: Sequence[int], sizes: Sequence[int]) -> Results:
    """Find it all out. The plans are made in processes of their own, for the sake of their memory."""
    planned = [_planned_apart(size) for size in sizes]
    fleets = {}
    for scene in SCENES:
        fleets[scene.name] = [
            move(
                scene.conditions,
                workers=count,
                shards=2 * count,
                blobs=EACH_WORKER * count,
                size=scene.size,
                is_one_service=scene.is_one_service,
            )
            for count in workers
        ]
    return Results(planned=planned, fleets=fleets)


def _planned_apart(blobs: int) -> Planned:
    command = [sys.executable, "-m", "benchmarks.scale", "--plan", str(blobs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this module
    return Planned(**json.loads(done.stdout))


def _measured(path: Path) -> Sequence[Run]:
    """Return the runs of a file of measurements, the smallest first; none if there is no file."""
    if not path.exists():
        return []
    measured = json.loads(path.read_text())
    runs = [*measured.get("calibration", []), measured["scale"]]
    return sorted((_run(one) for one in runs), key=lambda one: one.blobs)


def _run(measured: Mapping[str, Any]) -> Run:
    shards, at_once = int(measured["shards"]), int(measured["tasks_at_once"])
    return Run(
        blobs=int(measured["blobs"]),
        workers=int(measured["workers"]),
        shards=shards,
        rounds=-(-shards // at_once),
        seconds=measured["seconds"],
    )


def check(runs: Sequence[Run]) -> list[tuple[Run, Forecast]]:
    """Forecast the runs beyond the two smallest, which tell what the machine is like."""
    if len(runs) < 3:  # noqa: PLR2004 - two to learn from, and one to compare with
        return []
    conditions, airflow = calibrated(runs[0], runs[1])
    checked = []
    for run in runs[2:]:
        planned = plan(conditions, run.blobs, 1024, run.shards)
        moved = move(
            conditions, workers=run.workers, shards=2 * run.workers, blobs=20_000, size=1024, is_one_service=True
        )
        checked.append((run, forecast(planned, moved, airflow, shards=run.shards)))
    return checked


def main() -> None:
    """Simulate and write; or plan one copy, and tell what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--plan", type=int, metavar="BLOBS", help="only plan a copy of so many blobs")
    parser.add_argument("--report-only", action="store_true", help="from what was simulated before")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # each retry is a line
    if options.plan:
        print(json.dumps(asdict(plan(_WIDE, options.plan, 64 * 1024, shards_for(options.plan, 16)))))
        return
    if not options.report_only:
        RESULTS.write_text(json.dumps(asdict(simulate(WORKERS, SIZES)), indent=1) + "\n")
    write(_read(json.loads(RESULTS.read_text())))


def _read(found: Mapping[str, Any]) -> Results:
    return Results(
        planned=[Planned(**one) for one in found["planned"]],
        fleets={name: [Moved(**one) for one in fleet] for name, fleet in found["fleets"].items()},
    )


def write(results: Results) -> None:
    """Write the chart, and the tables into their page."""
    airflow = Airflow()
    forecasts = {scene.title: results.forecasts(scene, airflow) for scene in SCENES}
    (DOCS / "images" / "scale.svg").write_text(draw(forecasts))
    page = DOCS / "scale.md"
    limits = {scene.title: results.limits()[scene.name] for scene in SCENES}
    checked = check(_measured(MEASURED))
    page.write_text(
        render(page.read_text(), forecasts=forecasts, limits=limits, planned=results.planned, checked=checked)
    )


if __name__ == "__main__":
    main()
