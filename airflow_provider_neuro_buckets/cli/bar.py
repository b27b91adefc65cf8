"""A progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

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


class Bar(AbstractRecursiveFileProgress):
    """One bar on stderr for all files of a transfer, while the block runs; it leaves nothing behind.

    :param verb: what is being done, such as ``Uploading``.
    """

    def __init__(self, verb: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(verb, total=None, files="")
        self._files = self._found_files = self._done_bytes = 0
        self._under_way: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def found(self, data: StorageProgressFound) -> None:
        """Take note of how much there is to do."""
        self._found_files = data.files
        self._progress.update(self._task, total=data.size if data.complete else None)

    def start(self, data: StorageProgressStart) -> None:
        """Take note that a file begins; a single file is all there is to do."""
        if not self._found_files:
            self._found_files = 1
            self._progress.update(self._task, total=data.size)

    def step(self, data: StorageProgressStep) -> None:
        """Take note of bytes moved."""
        self._under_way[str(data.src)] = data.current
        self._show()

    def complete(self, data: StorageProgressComplete) -> None:
        """Take note that a file is done."""
        self._under_way.pop(str(data.src), None)
        self._files += 1
        self._done_bytes += data.size
        self._show()

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Take note that a folder begins."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Take note that a folder is done."""

    def fail(self, data: StorageProgressFail) -> None:
        """Take note of a file that was not moved; the errors are told at the end."""
        self._under_way.pop(str(data.src), None)

    def _show(self) -> None:
        moved = self._done_bytes + sum(self._under_way.values())
        self._progress.update(self._task, completed=moved, files=f"{self._files} of {self._found_files} files")
