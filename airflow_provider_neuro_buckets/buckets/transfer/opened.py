"""Opening folders, never through a symbolic link, and keeping them open for the next file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MOST = 32
"""Folders open at once: as many as the files of a transfer are likely to be spread over at a time."""

Names = tuple[str, ...]
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Opened:
    """An open folder.

    :ivar users: who would find it closed; the collection itself is one.
    """

    file: int
    users: int = 1


class OpenFolders:
    """The folders that were used last. Any number of threads may use them at once.

    To open one takes as many calls of the system as it is deep below the root; most folders hold more than one file.

    :param opens: opens a folder; gives a descriptor, which from then on belongs here.
    """

    def __init__(self, opens: Callable[[Names], int]) -> None:
        self._opens = opens
        self._lock = threading.Lock()
        self._opened: dict[Names, _Opened] = {}

    @contextmanager
    def use(self, names: Names) -> Iterator[int]:
        """Give the descriptor of a folder, for the time of a block. What lies there by another name now is not seen."""
        folder = self._take(names, None) or self._take(names, self._opens(names))
        assert folder is not None
        try:
            yield folder.file
        finally:
            self._leave(folder)

    def _take(self, names: Names, file: int | None) -> _Opened | None:
        """Use a folder that is open, or the one just opened if there still is none."""
        with self._lock:
            folder = self._opened.pop(names, None)
            if folder is None:
                if file is None:
                    return None
                folder, file = _Opened(file), None
            self._opened[names] = folder  # it is the last one now
            folder.users += 1
            oldest = self._opened.pop(next(iter(self._opened))) if len(self._opened) > MOST else None
        if file is not None:
            os.close(file)
        if oldest is not None:
            self._leave(oldest)
        return folder

    def _leave(self, folder: _Opened) -> None:
        with self._lock:
            folder.users -= 1
            is_last = not folder.users
        if is_last:
            os.close(folder.file)

    def forget(self, names: Names) -> None:
        """Open a folder anew when it is used next."""
        with self._lock:
            folder = self._opened.pop(names, None)
        if folder is not None:
            self._leave(folder)

    def close(self) -> None:
        """Close all."""
        for names in tuple(self._opened):
            self.forget(names)


def open_folder(name: str, above: int) -> int:
    """Open a folder in an open one."""
    return os.open(name, _FOLDER, dir_fd=above)


def make_and_open(name: str, above: int) -> int:
    """Open a folder in an open one; made if missing."""
    try:
        return open_folder(name, above)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return open_folder(name, above)
