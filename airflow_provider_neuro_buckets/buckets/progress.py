"""Progress interfaces of the API reference: callbacks of a transfer, called in the event loop of the transfer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from yarl import URL


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressStart:
    """A file begins. `size` is the whole source, in bytes."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressStep:
    """Bytes moved. `current` counts from the start of the file; it goes back when a part is sent again."""

    src: URL
    dst: URL
    current: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressComplete:
    """A file is whole at its destination."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressEnterDir:
    """A folder begins."""

    src: URL
    dst: URL


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressLeaveDir:
    """All files of a folder are done."""

    src: URL
    dst: URL


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressFail:
    """A file was not moved, and why."""

    src: URL
    dst: URL
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressFound:
    """How much a folder transfer has found to do so far.

    :ivar files: files found, skipped ones included.
    :ivar size: their bytes.
    :ivar complete: whether the source has been walked to its end.
    """

    src: URL
    dst: URL
    files: int
    size: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProgressDelete:
    """A blob or a folder is gone."""

    uri: URL
    is_dir: bool


class AbstractFileProgress(ABC):
    """Listens to the transfer of one file."""

    @abstractmethod
    def start(self, data: StorageProgressStart) -> None:
        """Take note that a file begins."""

    @abstractmethod
    def step(self, data: StorageProgressStep) -> None:
        """Take note of bytes moved."""

    @abstractmethod
    def complete(self, data: StorageProgressComplete) -> None:
        """Take note that a file is whole at its destination."""


class AbstractRecursiveFileProgress(AbstractFileProgress):
    """Listens to the transfer of a folder; events of different files interleave."""

    @abstractmethod
    def enter(self, data: StorageProgressEnterDir) -> None:
        """Take note that a folder begins."""

    @abstractmethod
    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Take note that a folder is done."""

    @abstractmethod
    def fail(self, data: StorageProgressFail) -> None:
        """Take note of a file that was not moved."""

    def found(self, data: StorageProgressFound) -> None:
        """Take note of how much there is to do; beyond the API reference, so that time left can be told."""


class AbstractDeleteProgress(ABC):
    """Listens to a removal."""

    @abstractmethod
    def delete(self, data: StorageProgressDelete) -> None:
        """Take note that a blob or a folder is gone."""
