"""Blobs to local files."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    Conflict,
    IntegrityError,
    InvalidAddress,
    IsADirectory,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange
from airflow_provider_neuro_buckets.buckets.transfer.content import read_resumed
from airflow_provider_neuro_buckets.buckets.transfer.crew import Folders, first_of, in_thread, work_off
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination, Target
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Outcome
from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    PART,
    SINGLE_READ,
    Existing,
    LocalTree,
    file_is_current,
    local_names,
)
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.walk import Keep
from airflow_provider_neuro_buckets.buckets.transfer.window import Window


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob to fetch, and where it goes below the destination. `relative` is its path for reports."""

    meta: BlobMeta
    names: tuple[str, ...]
    relative: str


@dataclass(slots=True, kw_only=True)
class Download:
    """One download of a blob or a folder; used once.

    :ivar prefix: what the keys of a folder begin with.
    """

    prefix: str
    store: BlobStore
    destination: Destination
    existing: Existing
    window: Window
    reporter: Reporter
    keep: Keep | None = None
    outcome: Outcome = field(default_factory=Outcome)
    found_any: bool = False
    _kept: dict[str, bool] = field(default_factory=dict)
    _found: int = 0
    _found_bytes: int = 0

    async def run(self, listing: Listing) -> None:
        """Download what lies below the prefix; failures are in `outcome`."""
        folders = Folders(self.reporter.leave)

        async def work(wanted: Wanted) -> None:
            await self._attempt(wanted)
            folders.done(_folder_of(wanted.names))

        await work_off(self._wanted(listing, folders), work, workers=self.window.max_concurrency)

    # What to fetch

    async def _wanted(self, listing: Listing, folders: Folders) -> AsyncIterator[Wanted]:
        tree = LocalTree(folds_case=await in_thread(self.destination.folds_case))
        entered: list[str] = []
        self._enter(folders, entered, ())
        async with aclosing(listing.metas(self.prefix)) as metas:
            async for meta in metas:
                self.found_any = True
                if self.outcome.hopeless is not None:
                    break
                wanted = await self._place(meta, tree)
                if wanted is None:
                    continue
                self._enter(folders, entered, wanted.names[:-1])
                folders.add(_folder_of(wanted.names))
                self._found += 1
                self._found_bytes += meta.size
                self.reporter.found(self._found, self._found_bytes, complete=False)
                yield wanted
        for folder in reversed(entered):
            folders.done(folder)
        self.reporter.found(self._found, self._found_bytes, complete=True)

    def _enter(self, folders: Folders, entered: list[str], names: tuple[str, ...]) -> None:
        for depth in range(len(names) + 1):
            folder = "".join(name + "/" for name in names[:depth])
            if folder not in self._kept or not entered:
                self._kept[folder] = True
                entered.append(folder)
                folders.enter(folder)
                self.reporter.enter(folder)

    async def _place(self, meta: BlobMeta, tree: LocalTree) -> Wanted | None:
        """Return where a blob goes; `None` for a folder's marker, and for what is refused or not wanted."""
        relative = meta.key[len(self.prefix) :]
        is_marker = relative.endswith("/") or not relative
        if not relative and not meta.size:
            return None
        names = local_names(relative) if relative else "it has the name of the folder itself, and content"
        if is_marker and meta.size:
            names = "it has the name of a folder, and content"
        if isinstance(names, str):
            self._refuse(meta, relative, f"it cannot be a local file: {names}")
            return None
        if not await self._is_wanted(names, is_folder=is_marker):
            return None
        rival = tree.add(names, meta.key, is_folder=is_marker)
        if rival is not None:
            self._refuse(meta, relative, f"it meets {self.store.address(rival)} in one local path", rival=rival)
            return None
        if is_marker:
            await self._make_folder(names, meta, relative)
            return None
        return Wanted(meta, names, relative)

    def _refuse(self, meta: BlobMeta, relative: str, reason: str, *, rival: str | None = None) -> None:
        address = self.store.address(meta.key)
        error = InvalidAddress(
            f"{address} was not downloaded: {reason}", remedy="Download it by itself to another name"
        )
        self.outcome.failed(address, error)
        if rival is not None:
            self.outcome.failed(self.store.address(rival), error)
        self.reporter.fail(relative, str(error))

    async def _make_folder(self, names: tuple[str, ...], meta: BlobMeta, relative: str) -> None:
        def make() -> None:
            with self.destination.folder(names):
                pass

        try:
            await in_thread(make)
        except OSError as error:
            self.outcome.failed(self.store.address(meta.key), error)
            self.reporter.fail(relative, str(error))

    async def _is_wanted(self, names: tuple[str, ...], *, is_folder: bool) -> bool:
        """Ask the filter: once for each folder on the way, then for the file itself."""
        if self.keep is None:
            return True
        depths = range(1, len(names) + (1 if is_folder else 0))
        for depth in depths:
            folder = "/".join(names[:depth]) + "/"
            asked = "?" + folder
            if asked not in self._kept:
                self._kept[asked] = await self.keep(folder)
            if not self._kept[asked]:
                return False
        return is_folder or await self.keep("/".join(names))

    # Fetching

    async def _attempt(self, wanted: Wanted) -> None:
        if self.outcome.hopeless is not None:
            return
        try:
            await self.blob(wanted)
        except (BucketsError, OSError) as error:
            self.outcome.failed(self.store.address(wanted.meta.key), error)
            self.reporter.fail(wanted.relative, str(error))

    async def blob(self, wanted: Wanted) -> None:
        """Download one blob; once more if it is replaced meanwhile."""
        if await self._is_current(wanted):
            self.outcome.unchanged += 1
            return
        self.reporter.start(wanted.relative, wanted.meta.size)
        try:
            await self._fetch(wanted)
        except Conflict:
            wanted = Wanted(await self.store.head(wanted.meta.key), wanted.names, wanted.relative)
            await self._fetch(wanted)
        self.reporter.complete(wanted.relative, wanted.meta.size)
        self.outcome.moved(wanted.meta.size)

    async def _is_current(self, wanted: Wanted) -> bool:
        if self.existing is Existing.REPLACE:
            return False
        status = await in_thread(lambda: self.destination.status(wanted.names))
        if status is None:
            return False
        if stat.S_ISDIR(status.st_mode):
            path = self.destination.root.joinpath(*wanted.names)
            raise IsADirectory(
                f"{path} is a folder where a file should go", remedy="Remove it, or choose another folder"
            )
        return file_is_current(
            file_size=status.st_size,
            file_mtime=status.st_mtime,
            blob_size=wanted.meta.size,
            blob_modified=wanted.meta.modified_at,
            skew=self.store.skew,
        )

    async def _fetch(self, wanted: Wanted) -> None:
        if wanted.meta.size <= SINGLE_READ:
            await self._small(wanted)
        else:
            await self._large(wanted)

    async def _small(self, wanted: Wanted) -> None:
        meta = wanted.meta
        async with self.window.slot(meta.size):
            content = await self._read(wanted, 0, meta.size)
            modified = meta.modified_at.timestamp() if meta.modified_at else None

            def write() -> None:
                if meta.md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != meta.md5:
                    raise self._corrupt(meta)
                self.destination.write_whole(wanted.names, content, modified)

            await in_thread(write)

    async def _read(self, wanted: Wanted, start: int, stop: int) -> bytes:
        parts: list[bytes] = []
        received = start
        async with aclosing(read_resumed(self.store, wanted.meta, start, stop)) as chunks:
            async for chunk in chunks:
                parts.append(chunk)
                received += len(chunk)
                if start == 0 and stop == wanted.meta.size:
                    self.reporter.step(wanted.relative, received, stop)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _large(self, wanted: Wanted) -> None:
        meta = wanted.meta
        target = await self._begin(wanted)
        try:
            await self._ranges(wanted, target)
            if meta.md5 is not None and await in_thread(lambda: target.md5(meta.size)) != meta.md5:
                raise self._corrupt(meta)
            modified = meta.modified_at.timestamp() if meta.modified_at else None
            await in_thread(lambda: target.finish(modified))
        finally:
            target.discard()

    async def _begin(self, wanted: Wanted) -> Target:
        making = asyncio.ensure_future(asyncio.to_thread(self.destination.begin, wanted.names, size=wanted.meta.size))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait([making])
            if making.exception() is None:
                making.result().discard()
            raise

    async def _ranges(self, wanted: Wanted, target: Target) -> None:
        received = 0

        async def fetch(span: ByteRange) -> None:
            nonlocal received
            async with self.window.slot(len(span)):
                content = await self._read(wanted, span.start, span.stop)
                await in_thread(lambda: target.write(span.start, content))
            received += len(span)
            self.reporter.step(wanted.relative, received, wanted.meta.size)

        size = wanted.meta.size
        try:
            async with asyncio.TaskGroup() as group:
                for at in range(0, size, PART):
                    group.create_task(fetch(ByteRange(at, min(at + PART, size))))
        except* Exception as errors:  # noqa: BLE001 - unwrapped, not handled
            raise first_of(errors) from None

    def _corrupt(self, meta: BlobMeta) -> IntegrityError:
        return IntegrityError(
            f"the bytes received of {self.store.address(meta.key)} do not have its MD5", remedy="Download it again"
        )


def _folder_of(names: tuple[str, ...]) -> str:
    return "".join(name + "/" for name in names[:-1])
