"""A progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from airflow_provider_neuro_buckets.buckets.progress import StorageProgressStart
from airflow_provider_neuro_buckets.hooks.tally import Tally


class Bar(Tally):
    """One bar on stderr for all files of a transfer, while the block runs; it leaves nothing behind.

    :param verb: what is being done, such as ``Uploading``.
    """

    def __init__(self, verb: str) -> None:
        super().__init__()
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

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, data: StorageProgressStart) -> None:
        """Take note that a file begins; a single file is all there is to do."""
        if not self.found_files:
            self.found_files, self.found_bytes, self.all_found = 1, data.size, True

    def show(self) -> None:
        """Draw the bar anew."""
        self._progress.update(
            self._task,
            completed=self.moved,
            total=self.found_bytes if self.all_found else None,
            files=f"{self.files} of {self.found_files} files",
        )
