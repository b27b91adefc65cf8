"""The files below a local folder, one folder at a time: links, ignore files and filters applied."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.ignore import IgnoreRules, is_ignored
from airflow_provider_neuro_buckets.buckets.transfer.inside import is_inside, leads_out, open_inside
from airflow_provider_neuro_buckets.buckets.transfer.plan import Symlinks
from airflow_provider_neuro_buckets.buckets.transfer.temporary import is_temporary

Keep = Callable[[str], Awaitable[bool]]

LARGEST_IGNORE_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload. `relative` is its path below the source, with ``/``.

    :ivar changed: when the file system last touched it, which nobody can set as they can `mtime`.
    :ivar within: the folder, without links, in which it must still lie when it is opened; `None`: anywhere.
    """

    relative: str
    size: int
    mtime: float
    changed: float
    within: str | None = None


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """A folder with nothing in it. `relative` ends with ``/``."""

    relative: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that is not uploaded: skipped for `reason`, or failed with `error`."""

    relative: str
    reason: str = ""
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """A folder begins: whatever follows below it belongs to it until the next one. Empty for the source itself."""

    relative: str


Step = LocalFile | EmptyFolder | Unusable | Entered


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder still to be read. `above` holds the identities of it and those above it, to notice loops."""

    relative: str
    rules: tuple[IgnoreRules, ...] = ()
    above: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    status: os.stat_result | None
    problem: Unusable | None = None

    @property
    def is_folder(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How to walk a source.

    :ivar keep: asked for each path that no ignore rule decides; folders end with ``/``.
    """

    root: Path
    symlinks: Symlinks = Symlinks.INSIDE
    keep: Keep | None = None
    ignore_file_names: AbstractSet[str] = field(default_factory=frozenset)

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Yield what there is, folder by folder, names sorted. Disk work happens in threads.

        Links inside are judged by where the source really is when the walk begins.
        """
        status = await asyncio.to_thread(os.stat, self.root)
        within = await asyncio.to_thread(os.path.realpath, self.root)
        stack = [_Folder("", above=frozenset([(status.st_dev, status.st_ino)]))]
        while stack:
            folder = stack.pop()
            yield Entered(folder.relative)
            try:
                entries, rules = await asyncio.to_thread(self._read, folder, within)
            except (OSError, ConfigurationError) as error:
                yield Unusable(folder.relative, error=error)
                continue
            below: list[_Folder] = []
            for entry in entries:
                step = await self._step(folder, entry, rules, within)
                if step is None:
                    continue
                if isinstance(step, _Folder):
                    below.append(step)
                else:
                    yield step
            stack += reversed(below)
            if not entries and folder.relative:
                yield EmptyFolder(folder.relative)

    def _read(self, folder: _Folder, within: str) -> tuple[list[_Entry], tuple[IgnoreRules, ...]]:
        path = self.root / folder.relative
        opened = open_inside(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, self._limit(within))
        try:
            with os.scandir(opened) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
            rules = folder.rules + tuple(
                _rules(path / entry.name, folder.relative)
                for entry in found
                if entry.name in self.ignore_file_names and _is_file(entry)
            )
            return [self._look_at(entry, folder, within) for entry in found], rules
        finally:
            os.close(opened)

    def _look_at(self, entry: os.DirEntry[str], folder: _Folder, within: str) -> _Entry:
        relative = folder.relative + entry.name
        if problem := _name_problem(entry.name, relative):
            return _Entry(entry.name, None, problem)
        try:
            if entry.is_symlink() and (problem := self._link_problem(relative, within)):
                return _Entry(entry.name, None, problem)
            status = entry.stat(follow_symlinks=True)
        except FileNotFoundError:
            return _Entry(entry.name, None, Unusable(relative, reason="it is a link to nothing, or vanished"))
        except OSError as error:
            if error.errno == errno.ELOOP:
                return _Entry(entry.name, None, Unusable(relative, reason="it is a link that leads back to itself"))
            return _Entry(entry.name, None, Unusable(relative, error=error))
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            return _Entry(entry.name, status)
        return _Entry(entry.name, None, Unusable(relative, reason="it is neither a file nor a folder"))

    def _link_problem(self, relative: str, within: str) -> Unusable | None:
        if self.symlinks is Symlinks.FOLLOW:
            return None
        if self.symlinks is Symlinks.SKIP:
            return Unusable(relative, reason="it is a symbolic link")
        path = self.root / relative
        if is_inside(os.path.realpath(path), within):
            return None
        return Unusable(relative, error=leads_out(path, self.root))

    def _limit(self, within: str) -> str | None:
        return None if self.symlinks is Symlinks.FOLLOW else within

    async def _step(
        self, folder: _Folder, entry: _Entry, rules: tuple[IgnoreRules, ...], within: str
    ) -> LocalFile | Unusable | _Folder | None:
        relative = folder.relative + entry.name + ("/" if entry.is_folder else "")
        ignored = is_ignored(relative, rules)
        if ignored or (ignored is None and self.keep is not None and not await self.keep(relative)):
            return None
        if entry.status is None:
            return entry.problem
        status = entry.status
        if not entry.is_folder:
            return LocalFile(relative, status.st_size, status.st_mtime, status.st_ctime, self._limit(within))
        identity = (entry.status.st_dev, entry.status.st_ino)
        if identity in folder.above:
            return Unusable(relative, reason="it is a link back to a folder above it")
        return _Folder(relative, rules, folder.above | {identity})


def _name_problem(name: str, relative: str) -> Unusable | None:
    if is_temporary(name):
        return Unusable(relative, reason="it is the temporary file of a download")
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(relative).decode(errors="backslashreplace")
        error = InvalidAddress(f"the name of {shown!r} is no UTF-8 text, as keys are", remedy="Rename it")
        return Unusable(shown, error=error)
    return None


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file, or a link to one: to read from anything else might never end."""
    try:
        return entry.is_file(follow_symlinks=True)
    except OSError:
        return False


def _rules(path: Path, folder: str) -> IgnoreRules:
    with path.open("rb") as file:
        content = file.read(LARGEST_IGNORE_FILE + 1)
    problem = f"it has more than {LARGEST_IGNORE_FILE} bytes"
    if len(content) <= LARGEST_IGNORE_FILE:
        try:
            return IgnoreRules.parse(folder, content.decode())
        except ValueError as error:
            problem = str(error)
    raise ConfigurationError(f"the ignore file {path} cannot be used ({problem})", remedy="Mend it")
