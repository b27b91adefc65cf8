"""The peak memory of each process of a running Airflow, by what it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_running import Component, RunningAirflow

MIB = 1024 * 1024
EVERY_SECONDS = 0.2


class Peaks:
    """The largest resident size of a process of each kind that was seen."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def take(self, airflow: RunningAirflow) -> None:
        """Look at all processes that run now."""
        components = airflow.components()
        parents = {one.pid: one.parent for one in components}
        commands = {process.pid: process.args[3] for process in airflow.started if isinstance(process.args, list)}
        for one in components:
            with suppress(OSError):  # it has ended
                kind = _kind(one, parents, str(commands.get(one.session, "")))
                self._sizes[kind] = max(self._sizes.get(kind, 0), _peak(one.pid))

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of each kind."""
        return dict(sorted(self._sizes.items()))

    def above(self, idle: Peaks) -> Mapping[str, int]:
        """Return how many bytes each kind took more than when it was idle; of a kind that was not there then, all."""
        return {kind: max(0, size - idle.sizes().get(kind, 0)) for kind, size in self.sizes().items()}


def _kind(one: Component, parents: Mapping[int, int], command: str) -> str:
    if command != "celery":
        return command if one.pid == one.session else f"{command}: its processes"
    steps = 0
    ancestor = one.pid
    while ancestor != one.session and ancestor in parents:
        ancestor, steps = parents[ancestor], steps + 1
    return ("worker", "worker: who supervises a task", "worker: a task")[min(steps, 2)]


def _peak(pid: int) -> int:
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def watching(airflow: RunningAirflow) -> Iterator[Peaks]:
    """Look at all processes again and again for the time of a block."""
    peaks, is_over = Peaks(), threading.Event()

    def watch() -> None:
        while not is_over.wait(EVERY_SECONDS):
            peaks.take(airflow)

    watcher = threading.Thread(target=watch, name="peaks")
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()
