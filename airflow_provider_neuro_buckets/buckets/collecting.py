"""How often Python looks for garbage in cycles while a transfer runs: seldom.

A process that has Airflow loaded holds some 300,000 objects, and by default Python looks through all of them several
times while a few thousand small files are moved: a tenth of the CPU time, and never anything to be found among them.
"""

from __future__ import annotations

import gc
import threading
from types import TracebackType

THRESHOLDS = (10_000, 20, 50)
"""New objects before the young are looked through, such looks before the older ones are, and those before all are. What
can wait as garbage in a cycle is a few times 10,000 objects, whatever is moved."""


class _Collecting:
    """Raises the thresholds of the garbage collector, which all threads share, while anybody is in its block.

    It never lowers one, leaves a collector alone that is switched off, and thresholds that somebody else has set since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: tuple[int, int, int] | None = None
        self._raised: tuple[int, int, int] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            before = gc.get_threshold()
            if self._inside == 1 and gc.isenabled() and before[0]:
                gc.set_threshold(*map(max, before, THRESHOLDS))
                # As it is told: not every Python has all three.
                self._before, self._raised = before, gc.get_threshold()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside or self._before is None:
                return
            if gc.get_threshold() == self._raised:
                gc.set_threshold(*self._before)
            self._before = self._raised = None


seldom = _Collecting()
"""The one of this process: ``with seldom:``, any number of times at once."""
