"""Local files: reading that notices changes, and writing beside the target, then renaming. Blocking: run in threads.

Nothing is ever written outside the root of a destination: below it every component is opened without following
symbolic links.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, NotADirectory, SourceChanged
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, Bytes
from airflow_provider_neuro_buckets.buckets.transfer import temporary
from airflow_provider_neuro_buckets.buckets.transfer.inside import open_inside
from airflow_provider_neuro_buckets.buckets.transfer.naming import name as name_file
from airflow_provider_neuro_buckets.buckets.transfer.naming import naming
from airflow_provider_neuro_buckets.buckets.transfer.opened import OpenFolders, make_and_open, open_folder
from airflow_provider_neuro_buckets.buckets.transfer.rights import usual_mode
from airflow_provider_neuro_buckets.buckets.transfer.writing import write_at

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_COPY_AT_ONCE = 1024 * 1024
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What no other file of the same folder will get past."""


class Source:
    """An open local file that is read in parts and must not change meanwhile. Closed by whoever opened it.

    :param file: a descriptor, which from then on belongs to the source.
    :raises ConfigurationError: it is no regular file.
    """

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        status = os.fstat(file)
        self._seen = _identity(status)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise ConfigurationError(f"{path} is neither a file nor a folder", remedy="Only those can be uploaded")

    @classmethod
    def open(cls, path: Path, *, within: str | None = None) -> Source:
        """Open the file at a path, as :func:`open_inside`."""
        return cls(path, open_inside(path, _READ, within))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)``.

        :raises SourceChanged: the file has become shorter.
        """
        parts: list[bytes] = []
        while start < stop:
            with naming(self._path):
                part = os.pread(self._file, stop - start, start)
            if not part:
                raise self._changed()
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, start: int, buffer: bytearray) -> None:
        """Fill a buffer with the bytes from `start` on.

        :raises SourceChanged: the file has become shorter.
        """
        view = memoryview(buffer)
        while view:
            with naming(self._path):
                read = os.preadv(self._file, [view], start)
            if not read:
                raise self._changed()
            view = view[read:]
            start += read

    def check(self) -> None:
        """Make sure that the file is as it was when it was opened, and ends where its size says.

        :raises SourceChanged: size, time or inode differ, there are bytes beyond, or nothing has its name any more.
        """
        status = os.fstat(self._file)
        is_gone = not status.st_nlink and not os.path.lexists(self._path)
        if is_gone or _identity(status) != self._seen or os.pread(self._file, 1, self.size):
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


def read_whole(path: Path, *, at_most: int, within: str | None = None) -> bytes | None:
    """Return the content of a small file; `None` if it has become larger than `at_most` bytes.

    :raises SourceChanged: it changed meanwhile.
    """
    source = Source.open(path, within=within)
    try:
        if source.size > at_most:
            return None
        content = source.read(0, source.size)
        source.check()
    finally:
        source.close()
    return content


class Destination:
    """A local folder that a transfer writes into. Closed by whoever opened it.

    :param root: the folder; made with its parents if missing, symbolic links above it are followed.
    :param resumes: whether what earlier tries have left is gone on with, not swept away.
    """

    def __init__(self, root: Path, *, resumes: bool = False) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._resumes = resumes
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mode = usual_mode()
        self._swept: set[tuple[str, ...]] = set()
        self._opened = OpenFolders(self._open_to_write)

    def close(self) -> None:
        """Close the folder."""
        self._opened.close()
        os.close(self._root)

    def make_folder(self, names: tuple[str, ...]) -> None:
        """Make a folder, and those above it, where they are missing."""
        with self._open(names, makes=True):
            pass

    @contextmanager
    def _open(self, names: tuple[str, ...], *, makes: bool) -> Iterator[int]:
        """Open a folder below the root; gives its descriptor.

        :param makes: whether to make what is missing.
        :raises NotADirectory: something on the way is a file or a symbolic link.
        """
        current = os.dup(self._root)
        try:
            for depth, name in enumerate(names, start=1):
                with self._on_the_way(names[:depth]):
                    below = (make_and_open if makes else open_folder)(name, current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    @contextmanager
    def _on_the_way(self, names: tuple[str, ...]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self.root.joinpath(*names)  # only now: to join them takes longer than to open the folder
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                name_file(error, path)
                raise
            raise NotADirectory(
                f"{path} is a file or a symbolic link where a folder should go",
                remedy="Remove it, or choose another folder",
            ) from None

    def status(self, names: tuple[str, ...]) -> os.stat_result | None:
        """Return what is at a path, links not followed; `None` if nothing is.

        :raises NotADirectory: something on the way is a file or a symbolic link.
        """
        with suppress(FileNotFoundError), self._open(names[:-1], makes=False) as folder:
            return os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
        return None

    def existing(self, names: tuple[str, ...]) -> Source:
        """Open a file that is there already; links are not followed."""
        path = self.root.joinpath(*names)
        with self._open(names[:-1], makes=False) as folder, naming(path):
            return Source(path, os.open(names[-1], _READ | os.O_NOFOLLOW, dir_fd=folder))

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove a file, or a link itself; what is not there counts as removed."""
        with suppress(FileNotFoundError), self._open(names[:-1], makes=False) as folder, naming(self.root, *names):
            os.unlink(names[-1], dir_fd=folder)

    def write_whole(self, names: tuple[str, ...], content: bytes | bytearray, modified: float | None) -> None:
        """Write a small file at once. Atomic.

        Until it has its name it has no lock: a sweeper who comes at that moment removes it, and it is written again.
        """
        try:
            with self._opened.use(names[:-1]) as folder, naming(self.root, *names):
                temporary.write(names[-1], content, modified, folder=folder)
        except FileNotFoundError:  # swept, or the folder itself was removed
            self._opened.forget(names[:-1])
            self._write_locked(names, content, modified)

    def _write_locked(self, names: tuple[str, ...], content: bytes | bytearray, modified: float | None) -> None:
        target = self.begin(names)
        try:
            target.write(0, content)
            target.finish(modified)
        finally:
            target.discard()

    def _open_to_write(self, names: tuple[str, ...]) -> int:
        with self._open(names, makes=True) as folder:
            self._sweep(names, folder)
            return os.dup(folder)

    def _sweep(self, names: tuple[str, ...], folder: int) -> None:
        if names not in self._swept:
            self._swept.add(names)
            temporary.sweep(folder, resumes=self._resumes)

    def begin(self, names: tuple[str, ...], *, size: int = 0, version: str | None = None) -> LocalTarget:
        """Make the temporary file of a target, or take up the one that an earlier try has left.

        :param size: bytes to come, so that a disk which cannot hold them is noticed before the first is written.
        :param version: pins what is written, so that a later try may go on with it.
        """
        path = self.root.joinpath(*names)
        with self._open(names[:-1], makes=True) as folder, naming(path):
            self._sweep(names[:-1], folder)
            taken = temporary.take_up(names[-1], version, folder) if version is not None else None
            name, file = taken or temporary.create(names[-1], folder)
            target = LocalTarget(path, os.dup(folder), name, file, self._mode)
            try:
                target.make_room(size)
            except BaseException:
                target.discard()
                raise
            return target

    def folds_case(self) -> bool:
        """Whether the file system takes ``a`` and ``A`` for one name."""
        with naming(self.root):
            name, file = temporary.create("a", self._root)
        try:
            os.stat(name.replace(".a.", ".A."), dir_fd=self._root)
        except FileNotFoundError:
            return False
        else:
            return True
        finally:
            os.close(file)
            os.unlink(name, dir_fd=self._root)


@dataclass(slots=True)
class LocalTarget:
    """A file on its way: written beside its name, then renamed to it. Discarded in the end, whatever happens."""

    _path: Path
    _folder: int
    _temporary: str
    _file: int
    _mode: int
    written: list[ByteRange] = field(default_factory=list)
    """What an earlier try has written, as far as can be told."""
    _is_kept: bool = False

    def make_room(self, size: int) -> None:
        """Give the file its size, unless the disk does not have so much left.

        Space is asked for rather than reserved: on file systems that cannot, reserving writes every block.
        """
        if not size:
            return
        present = os.fstat(self._file).st_size
        if present == size:
            self.written = temporary.written(self._file, size)
        elif present:  # cut to nothing, even from nothing, ext4 writes all of a file to the disk in `close`
            os.ftruncate(self._file, 0)
        disk = os.fstatvfs(self._file)
        if disk.f_blocks and disk.f_bfree * disk.f_frsize < size - sum(map(len, self.written)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(self._file, size)

    def write(self, at: int, content: Bytes) -> None:
        """Write bytes at an offset."""
        with naming(self._path):
            write_at(self._file, at, content)

    def copy(self, source: Source, size: int) -> None:
        """Write the first `size` bytes of another file."""
        for at in range(0, size, _COPY_AT_ONCE):
            self.write(at, source.read(at, min(at + _COPY_AT_ONCE, size)))

    def read(self, start: int, stop: int) -> bytes:
        """Return what has been written there."""
        with naming(self._path):
            return os.pread(self._file, stop - start, start)

    def finish(self, modified: float | None) -> None:
        """Give the file its rights and time, and rename it to its name. Atomic.

        :raises IsADirectoryError: the name is a folder.
        """
        with naming(self._path):
            os.fchmod(self._file, self._mode)
            if modified is not None:
                os.utime(self._file, (time.time(), modified))
            os.close(os.dup(self._file))  # a network file system tells only then that it had no room
            os.replace(self._temporary, self._path.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = ""

    def keep(self) -> None:
        """Leave the temporary file for a later try, if that would find it, and something in it."""
        self._is_kept = self._temporary.endswith(temporary.RESUMABLE) and os.fstat(self._file).st_blocks > 0

    def discard(self) -> None:
        """Close everything; remove the temporary file unless it was finished, or is to be kept."""
        if self._temporary and not self._is_kept:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = ""
        if self._file >= 0:
            os.close(self._file)
            os.close(self._folder)
            self._file = -1
