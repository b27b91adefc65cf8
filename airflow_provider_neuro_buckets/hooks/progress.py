"""Progress in a task's log: a line every few seconds, whatever the number of files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

EVERY_SECONDS = 3.0


class Log(Protocol):
    """What is needed of a logger, Airflow's or the standard library's."""

    def info(self, event: Any, *arguments: Any) -> Any:
        """Write a line."""

    def warning(self, event: Any, *arguments: Any) -> Any:
        """Write a warning."""


class LogProgress(AbstractRecursiveFileProgress):
    """Writes files, bytes, MB/s and time left while a folder moves.

    :param log: where to.
    :param verb: what is being done, such as ``Uploading``.
    :param clock: seconds that only go up.
    """

    def __init__(
        self,
        log: Log,
        verb: str,
        *,
        every_seconds: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._verb = verb
        self._every = every_seconds
        self._clock = clock
        self._begun = self._told = clock()
        self._files = self._done_bytes = self._found_files = self._found_bytes = 0
        self._under_way: dict[str, int] = {}
        self._all_found = False

    def found(self, data: StorageProgressFound) -> None:
        """Take note of how much there is to do."""
        self._found_files, self._found_bytes, self._all_found = data.files, data.size, data.complete
        self._tell_now_and_then()

    def start(self, data: StorageProgressStart) -> None:
        """Take note that a file begins."""

    def step(self, data: StorageProgressStep) -> None:
        """Take note of bytes moved."""
        self._under_way[str(data.src)] = data.current
        self._tell_now_and_then()

    def complete(self, data: StorageProgressComplete) -> None:
        """Take note that a file is done."""
        self._under_way.pop(str(data.src), None)
        self._files += 1
        self._done_bytes += data.size
        self._tell_now_and_then()

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Take note that a folder begins."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Take note that a folder is done."""

    def fail(self, data: StorageProgressFail) -> None:
        """Tell of a file that was not moved, at once."""
        self._under_way.pop(str(data.src), None)
        self._log.warning("Not moved: %s (%s)", data.src, data.message)

    def _tell_now_and_then(self) -> None:
        now = self._clock()
        if now - self._told >= self._every:
            self._told = now
            self._log.info("%s", self.line(now))

    def line(self, now: float) -> str:
        """Return the state at `now` in one line."""
        moved = self._done_bytes + sum(self._under_way.values())
        seconds = max(now - self._begun, 1e-9)
        of = "" if self._all_found else "at least "
        rate = moved / seconds
        left = (self._found_bytes - moved) / rate if rate and self._all_found else None
        return (
            f"{self._verb}: {self._files} of {of}{self._found_files} files, {megabytes(moved)} of "
            f"{of}{megabytes(self._found_bytes)}, {rate / 1e6:.1f} MB/s, "
            f"{'time left unknown' if left is None else f'{left:.0f} s left'}"
        )


class LogFileProgress(LogProgress):
    """Writes the same while a single file moves, which nobody had to look for."""

    def start(self, data: StorageProgressStart) -> None:
        """Take note of the file."""
        self.found(StorageProgressFound(src=data.src, dst=data.dst, files=1, size=data.size, complete=True))


class FoundProgress(LogProgress):
    """Writes how much there is while somebody looks."""

    def line(self, now: float) -> str:  # noqa: ARG002 - the other lines tell how fast
        """Return the state in one line."""
        return f"{self._verb}: {self._found_files} files, {megabytes(self._found_bytes)} so far"


class DeleteCount(AbstractDeleteProgress):
    """Counts the blobs that are gone."""

    def __init__(self) -> None:
        self.blobs = 0

    def delete(self, data: StorageProgressDelete) -> None:
        """Take note that a blob or a folder is gone."""
        self.blobs += not data.is_dir


def megabytes(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e6:.1f} MB"
