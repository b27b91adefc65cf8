"""Temporary files: how they are called, whose they are, and what becomes of those whose writer is gone.

A writer holds a lock on its file for as long as it lives, so that anybody can tell a file under way from one that a
crash left behind, also from within another container or on a file system that several hosts share.

A file that a later try may go on with has a name that this try finds again: it is made of the target's and of what pins
the version of the blob.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import suppress

from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange
from airflow_provider_neuro_buckets.buckets.transfer.writing import AT_ONCE

SUFFIX = ".neuro-partial"
RESUMABLE = ".neuro-resumable"
STALE_SECONDS = 24 * 3600
_NAME = re.compile(r"\..{0,50}\.[0-9a-f]{16}" + f"({re.escape(SUFFIX)}|{re.escape(RESUMABLE)})", re.DOTALL)
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


def write(name: str, content: bytes | bytearray, modified: float | None, *, folder: int) -> None:
    """Write a small file in an open folder: under a name of its own, without a lock, then renamed. Atomic.

    :param modified: its time, in seconds since 1970; `None` leaves it as it comes.
    :raises FileNotFoundError: it was swept away, or the folder is gone.
    """
    own = temporary_name(name)
    file = os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(file, view[:AT_ONCE]) :]
            if modified is not None:
                os.utime(file, (time.time(), modified))
        finally:
            os.close(file)
        os.replace(own, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(own, dir_fd=folder)
        raise


def resumable_name(name: str, version: str) -> str:
    """Return the name under which one version of a file is written so that it can be gone on with."""
    digest = hashlib.sha256(f"{name}\0{version}".encode("utf-8", "surrogateescape")).hexdigest()
    return f".{name[:50]}.{digest[:16]}{RESUMABLE}"


def take_up(name: str, version: str, folder: int) -> tuple[str, int] | None:
    """Open, locked, what an earlier try of one version of a file has left, or begin it; return its name and descriptor.

    `None` if somebody else is writing it, or made it, or could do so unnoticed.
    """
    temporary = resumable_name(name, version)
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(temporary, flags, 0o600, dir_fd=folder)
    except OSError:
        return None
    if _lock(file) is True and _is_ours_alone(os.fstat(file)):
        return temporary, file
    os.close(file)
    return None


def _is_ours_alone(status: os.stat_result) -> bool:
    is_file = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
    return is_file and status.st_uid == os.geteuid() and status.st_nlink == 1


def written(file: int, size: int) -> list[ByteRange]:
    """Return what of a file has been written: elsewhere it has holes. The file system itself takes note of that."""
    found: list[ByteRange] = []
    at = 0
    with suppress(OSError):  # there is nothing more, or the file system does not tell
        while at < size:
            start = os.lseek(file, at, os.SEEK_DATA)
            at = min(os.lseek(file, start, os.SEEK_HOLE), size)
            found.append(ByteRange(start, at))
    return found


def sweep(folder: int, *, resumes: bool = False) -> None:
    """Remove the temporary files in an open folder whose writer is gone.

    :param resumes: leave those that can be gone on with, unless nobody did so for a day.
    """
    for name in os.listdir(folder):
        if is_temporary(name):
            with suppress(OSError):
                _sweep(name, folder, is_spared=resumes and name.endswith(RESUMABLE))


def _sweep(name: str, folder: int, *, is_spared: bool) -> None:
    file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        is_free = _lock(file)
        if is_free is None or (is_free and is_spared):
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
