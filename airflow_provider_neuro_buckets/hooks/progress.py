"""Progress in a task's log: a line every few seconds, whatever the number of files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractDeleteProgress,
    StorageProgressDelete,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressStart,
)
from airflow_provider_neuro_buckets.hooks.tally import Tally

EVERY_SECONDS = 3.0


class Log(Protocol):
    """What is needed of a logger, Airflow's or the standard library's."""

    def info(self, event: Any, *arguments: Any) -> Any:
        """Write a line."""

    def warning(self, event: Any, *arguments: Any) -> Any:
        """Write a warning."""


class LogProgress(Tally):
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
        super().__init__()
        self._log = log
        self._verb = verb
        self._every = every_seconds
        self._clock = clock
        self._begun = self._told = clock()

    def fail(self, data: StorageProgressFail) -> None:
        """Tell of a file that was not moved, at once."""
        super().fail(data)
        self._log.warning("Not moved: %s (%s)", data.src, data.message)

    def show(self) -> None:
        """Write the state, if the last time is long enough ago."""
        now = self._clock()
        if now - self._told >= self._every:
            self._told = now
            self._log.info("%s", self.line(now))

    def line(self, now: float) -> str:
        """Return the state at `now` in one line."""
        moved = self.moved
        seconds = max(now - self._begun, 1e-9)
        of = "" if self.all_found else "at least "
        rate = moved / seconds
        left = (self.found_bytes - moved) / rate if rate and self.all_found else None
        return (
            f"{self._verb}: {self.files} of {of}{self.found_files} files, {megabytes(moved)} of "
            f"{of}{megabytes(self.found_bytes)}, {rate / 1e6:.1f} MB/s, "
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
        return f"{self._verb}: {self.found_files} files, {megabytes(self.found_bytes)} so far"


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
