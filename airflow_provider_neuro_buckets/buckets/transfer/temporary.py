"""Temporary files: how they are called, whose they are, and what becomes of those whose writer is gone.

A writer holds a lock on its file for as long as it lives, so that anybody can tell a file under way from one that a
crash left behind, also from within another container or on a file system that several hosts share.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import time
from contextlib import suppress

SUFFIX = ".neuro-partial"
STALE_SECONDS = 24 * 3600
_NAME = re.compile(r"\..{0,50}\.[0-9a-f]{16}" + re.escape(SUFFIX), re.DOTALL)
_TAKEN = frozenset({errno.EAGAIN, errno.EACCES})


def is_temporary(name: str) -> bool:
    """Whether a file name is that of a temporary file."""
    return _NAME.fullmatch(name) is not None


def temporary_name(name: str) -> str:
    """Return a new name to write a file of that name under; it fits wherever `name` does."""
    return f".{name[:50]}.{secrets.token_hex(8)}{SUFFIX}"


def create(name: str, folder: int) -> tuple[str, int]:
    """Make a temporary file for `name` in an open folder, locked; return its own name and its descriptor."""
    while True:
        temporary = temporary_name(name)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            if _lock(file) is not False and os.fstat(file).st_nlink:
                return temporary, file
        except BaseException:
            os.close(file)
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.close(file)  # somebody swept it away in between


def sweep(folder: int) -> None:
    """Remove the temporary files in an open folder whose writer is gone."""
    for name in os.listdir(folder):
        if is_temporary(name):
            with suppress(OSError):
                _sweep(name, folder)


def _sweep(name: str, folder: int) -> None:
    file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        is_free = _lock(file)
        if is_free is None:
            is_free = time.time() - os.fstat(file).st_mtime > STALE_SECONDS
        if is_free:
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(file)


def _lock(file: int) -> bool | None:
    """Take the lock of a file: `True`, somebody has it: `False`, the file system has no locks: `None`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return True
