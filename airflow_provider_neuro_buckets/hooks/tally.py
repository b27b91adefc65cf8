"""How far a transfer of many files is: what its progress adds up to."""

from __future__ import annotations

from abc import abstractmethod

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)


class Tally(AbstractRecursiveFileProgress):
    """Counts the files and bytes of a transfer. Whoever extends it shows them.

    :ivar files: so many are done.
    :ivar found_files: so many have been found so far, of `found_bytes` together.
    :ivar all_found: whether there are no more.
    """

    def __init__(self) -> None:
        self.files = self.found_files = self.found_bytes = self._done_bytes = 0
        self.all_found = False
        self._under_way: dict[str, int] = {}

    @property
    def moved(self) -> int:
        """Bytes that have moved, those of files under way included."""
        return self._done_bytes + sum(self._under_way.values())

    @abstractmethod
    def show(self) -> None:
        """Show the counts, which have changed."""

    def found(self, data: StorageProgressFound) -> None:
        """Take note of how much there is to do."""
        self.found_files, self.found_bytes, self.all_found = data.files, data.size, data.complete
        self.show()

    def start(self, data: StorageProgressStart) -> None:
        """Take note that a file begins."""

    def step(self, data: StorageProgressStep) -> None:
        """Take note of bytes moved."""
        self._under_way[str(data.src)] = data.current
        self.show()

    def complete(self, data: StorageProgressComplete) -> None:
        """Take note that a file is done."""
        self._under_way.pop(str(data.src), None)
        self.files += 1
        self._done_bytes += data.size
        self.show()

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Take note that a folder begins."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Take note that a folder is done."""

    def fail(self, data: StorageProgressFail) -> None:
        """Take note of a file that was not moved."""
        self._under_way.pop(str(data.src), None)
