"""`airflow standalone` as a child of the tests, and its triggerer, which can be ended and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from airflow_running import Component, RunningAirflow


class Standalone(RunningAirflow):
    """A running `airflow standalone`."""

    @classmethod
    @contextmanager
    def running(cls, home: Path, settings: Mapping[str, str]) -> Iterator[Self]:
        """Start it, and wait until all four components are well; leaving the block ends every process of it."""
        airflow = cls.at(home, settings)
        try:
            airflow.start("standalone", "standalone")
            airflow.until_well("scheduler", "triggerer", "dag_processor")
            yield airflow
        finally:
            airflow.stop()

    def stop_triggerer(self) -> None:
        """End the triggerer as a machine that is shut down does, and wait until nothing of it runs."""
        family = _family(self.components())
        os.kill(family[0], signal.SIGTERM)
        self.until("the end of the triggerer", lambda: not {one.pid for one in self.components()} & set(family))

    def start_triggerer(self) -> None:
        """Start another, just as `airflow standalone` has started the first."""
        self.start("triggerer", "triggerer")


def _family(components: list[Component]) -> list[int]:
    """Return the ids of the one triggerer among the processes, and of all that it has started."""
    family = [one.pid for one in components if one.command.endswith("airflow triggerer")]
    family = [one.pid for one in components if one.pid in family and one.parent not in family]
    assert len(family) == 1, components
    for ancestor in family:  # it grows meanwhile
        family += [one.pid for one in components if one.parent == ancestor]
    return family
