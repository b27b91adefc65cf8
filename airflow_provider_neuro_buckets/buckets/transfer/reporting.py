"""Who hears of a transfer: nobody at no cost, or the progress object of the caller."""

from __future__ import annotations

from collections.abc import Callable

from yarl import URL

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

Addresses = Callable[[str], tuple[URL, URL]]
"""From a path relative to the transfer's ends to the addresses of its source and its destination."""


class Reporter:
    """Hears of everything and tells nobody. Paths are relative to the ends of the transfer; a single file is ``""``."""

    def found(self, files: int, size: int, *, complete: bool) -> None:
        """Hear how much there is to do."""

    def enter(self, path: str) -> None:
        """Hear that a folder begins."""

    def leave(self, path: str) -> None:
        """Hear that a folder is done."""

    def start(self, path: str, size: int) -> None:
        """Hear that a file begins."""

    def step(self, path: str, current: int, size: int) -> None:
        """Hear of bytes moved."""

    def complete(self, path: str, size: int) -> None:
        """Hear that a file is done."""

    def fail(self, path: str, message: str) -> None:
        """Hear that a file was not moved."""


class FileReporter(Reporter):
    """Tells the progress of one file."""

    def __init__(self, progress: AbstractFileProgress, addresses: Addresses) -> None:
        self._file_progress = progress
        self._addresses = addresses

    def start(self, path: str, size: int) -> None:
        """Tell that a file begins."""
        src, dst = self._addresses(path)
        self._file_progress.start(StorageProgressStart(src=src, dst=dst, size=size))

    def step(self, path: str, current: int, size: int) -> None:
        """Tell of bytes moved."""
        src, dst = self._addresses(path)
        self._file_progress.step(StorageProgressStep(src=src, dst=dst, current=current, size=size))

    def complete(self, path: str, size: int) -> None:
        """Tell that a file is done."""
        src, dst = self._addresses(path)
        self._file_progress.complete(StorageProgressComplete(src=src, dst=dst, size=size))


class FolderReporter(FileReporter):
    """Tells the progress of a folder."""

    def __init__(self, progress: AbstractRecursiveFileProgress, addresses: Addresses) -> None:
        super().__init__(progress, addresses)
        self._progress = progress

    def found(self, files: int, size: int, *, complete: bool) -> None:
        """Tell how much there is to do."""
        src, dst = self._addresses("")
        self._progress.found(StorageProgressFound(src=src, dst=dst, files=files, size=size, complete=complete))

    def enter(self, path: str) -> None:
        """Tell that a folder begins."""
        src, dst = self._addresses(path)
        self._progress.enter(StorageProgressEnterDir(src=src, dst=dst))

    def leave(self, path: str) -> None:
        """Tell that a folder is done."""
        src, dst = self._addresses(path)
        self._progress.leave(StorageProgressLeaveDir(src=src, dst=dst))

    def fail(self, path: str, message: str) -> None:
        """Tell that a file was not moved."""
        src, dst = self._addresses(path)
        self._progress.fail(StorageProgressFail(src=src, dst=dst, message=message))
