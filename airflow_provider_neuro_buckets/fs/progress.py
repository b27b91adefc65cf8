"""From the progress of a transfer to a callback of fsspec."""

from __future__ import annotations

from fsspec.callbacks import Callback

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


class FileTold(AbstractFileProgress):
    """Tells bytes of a file."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def start(self, data: StorageProgressStart) -> None:
        """Tell how large it is."""
        self._callback.set_size(data.size)

    def step(self, data: StorageProgressStep) -> None:
        """Tell how much of it has moved."""
        self._callback.absolute_update(data.current)

    def complete(self, data: StorageProgressComplete) -> None:
        """Tell that all of it has moved."""
        self._callback.absolute_update(data.size)


class FolderTold(AbstractRecursiveFileProgress):
    """Tells files of a folder."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def start(self, data: StorageProgressStart) -> None:
        """Take no note: files are told when they are there."""

    def step(self, data: StorageProgressStep) -> None:
        """Take no note."""

    def complete(self, data: StorageProgressComplete) -> None:  # noqa: ARG002 - one more, whichever it is
        """Tell of one file more."""
        self._callback.relative_update(1)

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Take no note."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Take no note."""

    def fail(self, data: StorageProgressFail) -> None:
        """Take no note: the transfer raises in the end."""

    def found(self, data: StorageProgressFound) -> None:
        """Tell how many files there are, so far."""
        self._callback.set_size(data.files)
