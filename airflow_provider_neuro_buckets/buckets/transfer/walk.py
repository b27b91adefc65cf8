"""The files below a local folder, one folder at a time: links, ignore files and filters applied."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.ignore import IgnoreRules, is_ignored
from airflow_provider_neuro_buckets.buckets.transfer.local import SUFFIX
from airflow_provider_neuro_buckets.buckets.transfer.plan import Symlinks

Keep = Callable[[str], Awaitable[bool]]

LARGEST_IGNORE_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload. `relative` is its path below the source, with ``/``."""

    relative: str
    size: int
    mtime: float


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

    async def steps(self) -> AsyncIterator[Step]:
        """Yield what there is, folder by folder, names sorted. Disk work happens in threads."""
        status = await asyncio.to_thread(os.stat, self.root)
        stack = [_Folder("", above=frozenset([(status.st_dev, status.st_ino)]))]
        while stack:
            folder = stack.pop()
            yield Entered(folder.relative)
            try:
                entries, rules = await asyncio.to_thread(self._read, folder)
            except (OSError, ConfigurationError) as error:
                yield Unusable(folder.relative, error=error)
                continue
            below: list[_Folder] = []
            kept = 0
            for entry in entries:
                step = await self._step(folder, entry, rules)
                if step is None:
                    continue
                kept += 1
                if isinstance(step, _Folder):
                    below.append(step)
                else:
                    yield step
            stack += reversed(below)
            if not entries and folder.relative:
                yield EmptyFolder(folder.relative)

    def _read(self, folder: _Folder) -> tuple[list[_Entry], tuple[IgnoreRules, ...]]:
        path = self.root / folder.relative
        with os.scandir(path) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        rules = folder.rules + tuple(
            self._rules(path / entry.name, folder.relative) for entry in found if entry.name in self.ignore_file_names
        )
        entries = [self._look_at(entry, folder) for entry in found if not entry.name.endswith(SUFFIX)]
        return entries, rules

    def _rules(self, path: Path, folder: str) -> IgnoreRules:
        try:
            text = path.read_bytes()[:LARGEST_IGNORE_FILE].decode()
            return IgnoreRules.parse(folder, text)
        except ValueError as error:
            raise ConfigurationError(f"the ignore file {path} cannot be used ({error})", remedy="Mend it") from None

    def _look_at(self, entry: os.DirEntry[str], folder: _Folder) -> _Entry:
        relative = folder.relative + entry.name
        try:
            if entry.is_symlink() and (problem := self._link_problem(entry, relative)):
                return _Entry(entry.name, None, problem)
            status = entry.stat(follow_symlinks=True)
        except FileNotFoundError:
            return _Entry(entry.name, None, Unusable(relative, reason="it is a link to nothing, or vanished"))
        except OSError as error:
            return _Entry(entry.name, None, Unusable(relative, error=error))
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            return _Entry(entry.name, status)
        return _Entry(entry.name, None, Unusable(relative, reason="it is neither a file nor a folder"))

    def _link_problem(self, entry: os.DirEntry[str], relative: str) -> Unusable | None:
        if self.symlinks is Symlinks.FOLLOW:
            return None
        if self.symlinks is Symlinks.SKIP:
            return Unusable(relative, reason="it is a symbolic link")
        if Path(entry.path).resolve().is_relative_to(self.root.resolve()):
            return None
        return Unusable(
            relative,
            error=ConfigurationError(
                f"{entry.path} is a link that leads out of {self.root}",
                remedy='Pass symlinks="follow" to upload what it leads to, or "skip"; the default is "inside"',
            ),
        )

    async def _step(
        self, folder: _Folder, entry: _Entry, rules: tuple[IgnoreRules, ...]
    ) -> LocalFile | Unusable | _Folder | None:
        relative = folder.relative + entry.name + ("/" if entry.is_folder else "")
        ignored = is_ignored(relative, rules)
        if ignored or (ignored is None and self.keep is not None and not await self.keep(relative)):
            return None
        if entry.status is None:
            return entry.problem
        if not entry.is_folder:
            return LocalFile(relative, entry.status.st_size, entry.status.st_mtime)
        identity = (entry.status.st_dev, entry.status.st_ino)
        if identity in folder.above:
            return Unusable(relative, reason="it is a link back to a folder above it")
        return _Folder(relative, rules, folder.above | {identity})
