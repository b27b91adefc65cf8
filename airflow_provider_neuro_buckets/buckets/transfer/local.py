"""Local files: reading that notices changes, and writing beside the target, then renaming. Blocking: run in threads.

Nothing is ever written outside the root of a destination: below it every component is opened without following
symbolic links.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from airflow_provider_neuro_buckets.buckets.errors import SourceChanged

SUFFIX = ".neuro-partial"
STALE_SECONDS = 24 * 3600
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What no other file of the same folder will get past."""


class Source:
    """An open local file that is read in parts and must not change meanwhile. Closed by whoever opened it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._seen = _identity(os.fstat(self._file))
        self.size = self._seen[0]

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)``.

        :raises SourceChanged: the file has become shorter.
        """
        parts: list[bytes] = []
        while start < stop:
            part = os.pread(self._file, stop - start, start)
            if not part:
                raise self._changed()
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self) -> None:
        """Make sure that the file is as it was when it was opened.

        :raises SourceChanged: size, time or inode differ.
        """
        if _identity(os.fstat(self._file)) != self._seen:
            raise self._changed()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _changed(self) -> SourceChanged:
        return SourceChanged(
            f"{self._path} changed while it was read", remedy="Upload it again once nobody writes to it"
        )


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def read_whole(path: Path) -> bytes:
    """Return the content of a small file.

    :raises SourceChanged: it changed meanwhile.
    """
    source = Source(path)
    try:
        content = source.read(0, source.size)
        source.check()
    finally:
        source.close()
    return content


class Destination:
    """A local folder that a transfer writes into. Closed by whoever opened it.

    :param root: the folder; made with its parents if missing, symbolic links above it are followed.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mode = 0o666 & ~_umask()
        self._swept: set[tuple[str, ...]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    @contextmanager
    def folder(self, names: tuple[str, ...]) -> Iterator[int]:
        """Open a folder below the root, making what is missing; gives its descriptor."""
        current = os.dup(self._root)
        try:
            for name in names:
                below = _open_folder(name, current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def status(self, names: tuple[str, ...]) -> os.stat_result | None:
        """Return what is at a path, links not followed; `None` if nothing is."""
        with suppress(FileNotFoundError):
            return self.root.joinpath(*names).stat(follow_symlinks=False)
        return None

    def write_whole(self, names: tuple[str, ...], content: bytes, modified: float | None) -> None:
        """Write a small file at once. Atomic."""
        target = self.begin(names)
        try:
            target.write(0, content)
            target.finish(modified)
        finally:
            target.discard()

    def begin(self, names: tuple[str, ...], *, size: int = 0) -> Target:
        """Make the temporary file of a target.

        :param size: bytes to reserve, so that a full disk is noticed before the first one is written.
        """
        with self.folder(names[:-1]) as folder:
            self._sweep(names[:-1], folder)
            return Target.make(os.dup(folder), names[-1], mode=self._mode, size=size)

    def _sweep(self, names: tuple[str, ...], folder: int) -> None:
        """Remove what crashed transfers left in a folder, once."""
        if names in self._swept:
            return
        self._swept.add(names)
        for name in os.listdir(folder):
            if name.endswith(SUFFIX) and _is_stale(name, folder):
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    def folds_case(self) -> bool:
        """Whether the file system takes ``a`` and ``A`` for one name."""
        probe = f".{secrets.token_hex(8)}a{SUFFIX}"
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=self._root))
        try:
            os.stat(probe.replace(f"a{SUFFIX}", f"A{SUFFIX}"), dir_fd=self._root)
        except FileNotFoundError:
            return False
        else:
            return True
        finally:
            os.unlink(probe, dir_fd=self._root)


@dataclass(slots=True)
class Target:
    """A file on its way: written beside its name, then renamed to it."""

    _folder: int
    _temporary: str
    _name: str
    _file: int
    _mode: int

    @classmethod
    def make(cls, folder: int, name: str, *, mode: int, size: int) -> Target:
        """Make the temporary file in an open folder, which from then on belongs to the target."""
        temporary = f".{name[:50]}.{_HOST}-{os.getpid()}-{secrets.token_hex(6)}{SUFFIX}"
        try:
            file = os.open(
                temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
        except BaseException:
            os.close(folder)
            raise
        target = cls(folder, temporary, name, file, mode)
        try:
            target._reserve(size)
        except BaseException:
            target.discard()
            raise
        return target

    def _reserve(self, size: int) -> None:
        if not size:
            return
        try:
            os.posix_fallocate(self._file, 0, size)
        except OSError as error:
            if error.errno in HOPELESS:
                raise
            os.ftruncate(self._file, size)  # a file system that cannot reserve

    def write(self, at: int, content: bytes) -> None:
        """Write bytes at an offset."""
        view = memoryview(content)
        while view:
            written = os.pwrite(self._file, view, at)
            view = view[written:]
            at += written

    def md5(self, size: int) -> str:
        """Return the hex MD5 of what has been written."""
        digest = hashlib.md5(usedforsecurity=False)
        for at in range(0, size, 1 << 20):
            digest.update(os.pread(self._file, 1 << 20, at))
        return digest.hexdigest()

    def finish(self, modified: float | None) -> None:
        """Give the file its rights and time, and rename it to its name. Atomic.

        :raises IsADirectoryError: the name is a folder.
        """
        os.fchmod(self._file, self._mode)
        if modified is not None:
            os.utime(self._file, (time.time(), modified))
        os.replace(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = ""

    def discard(self) -> None:
        """Close everything; remove the temporary file unless it was finished."""
        if self._temporary:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = ""
        if self._file >= 0:
            os.close(self._file)
            os.close(self._folder)
            self._file = -1


def _open_folder(name: str, above: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return os.open(name, _FOLDER, dir_fd=above)


def _is_stale(name: str, folder: int) -> bool:
    """Whether a temporary file belongs to a process of this host that is gone, or is older than a day."""
    host, pid, _ = ([*name.removesuffix(SUFFIX).rpartition(".")[2].split("-"), "", ""])[:3]
    if host == _HOST and pid.isdecimal():
        return not _is_alive(int(pid))
    with suppress(FileNotFoundError):
        return time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > STALE_SECONDS
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _umask() -> int:
    """Return the umask; read where the kernel tells it, since setting it to see it would race with other threads."""
    with suppress(FileNotFoundError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
