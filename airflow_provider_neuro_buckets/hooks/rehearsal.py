"""What a dry run would do, in a task's log: the first of it by name, however much it is."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.progress import (
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressFound,
)
from airflow_provider_neuro_buckets.hooks.progress import DeleteCount, Log, LogProgress

LINES = 100


class Told:
    """Writes so many lines and no more."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._left = LINES

    def say(self, line: str, *arguments: object) -> None:
        """Write a line, if there is room for one."""
        self._left -= 1
        if self._left >= 0:
            self._log.info(line, *arguments)
        elif self._left == -1:
            self._log.info("More of it is only counted from here on")


class MovesTold(LogProgress):
    """Tells which files a transfer would move, and at once of those that it could not."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, "Looking")
        self._lines = Told(log)

    def found(self, data: StorageProgressFound) -> None:
        """Take no note: nothing is under way."""

    def complete(self, data: StorageProgressComplete) -> None:
        """Tell of a file that would be moved."""
        self._lines.say("Dry run: %s would go to %s (%d bytes)", data.src, data.dst, data.size)


class DeletesTold(DeleteCount):
    """Tells which blobs would be deleted, and counts them."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._lines = Told(log)

    def delete(self, data: StorageProgressDelete) -> None:
        """Tell of a blob that would be gone; a folder is gone with its last one."""
        super().delete(data)
        if not data.is_dir:
            self._lines.say("Dry run: %s would be deleted", data.uri)
