"""One blob to one local file: verified beside its target, then renamed to it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    Conflict,
    IntegrityError,
    IsADirectory,
    SourceChanged,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange, nobody
from airflow_provider_neuro_buckets.buckets.transfer.checksum import can_compare, is_content_of
from airflow_provider_neuro_buckets.buckets.transfer.content import read_range, vouches_for_md5
from airflow_provider_neuro_buckets.buckets.transfer.crew import in_thread, made_in_thread, share
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination, Source, Target
from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    SINGLE_READ,
    Existing,
    Freshness,
    freshness_of_file,
    plan_ranges,
)
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.window import Window


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob to fetch, and where it goes below the destination. `relative` is its path for reports."""

    meta: BlobMeta
    names: tuple[str, ...]
    relative: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches blobs of one store into one destination."""

    store: BlobStore
    destination: Destination
    existing: Existing
    window: Window
    reporter: Reporter

    async def fetch(self, wanted: Wanted) -> int | None:
        """Download one blob; once more if it is replaced meanwhile or arrives broken.

        :returns: bytes that were moved; `None` if the file was up to date.
        """
        present = await self._present(wanted)
        if present is not None and await self._is_current(wanted, present):
            return None
        size = present.st_size if present is not None else 0
        self.reporter.start(wanted.relative, wanted.meta.size)
        try:
            moved = await self._once(wanted, size)
        except (Conflict, IntegrityError):
            wanted = Wanted(await self.store.head(wanted.meta.key), wanted.names, wanted.relative)
            moved = await self._once(wanted, size)
        self.reporter.complete(wanted.relative, wanted.meta.size)
        return moved

    # What is there already

    async def _present(self, wanted: Wanted) -> os.stat_result | None:
        """Return the state of the regular file that is at the target; `None` if it is of no use.

        :raises IsADirectory: there is a folder.
        """
        if self.existing is Existing.REPLACE:
            return None
        status = await in_thread(lambda: self.destination.status(wanted.names))
        if status is not None and stat.S_ISDIR(status.st_mode):
            path = self.destination.root.joinpath(*wanted.names)
            raise IsADirectory(
                f"{path} is a folder where a file should go", remedy="Remove it, or choose another folder"
            )
        return status if status is not None and stat.S_ISREG(status.st_mode) else None

    async def _is_current(self, wanted: Wanted, present: os.stat_result) -> bool:
        meta = wanted.meta
        if present.st_size != meta.size:
            return False
        freshness = freshness_of_file(
            file_size=present.st_size,
            file_mtime=present.st_mtime,
            file_changed=present.st_ctime,
            blob_size=meta.size,
            blob_modified=meta.modified_at,
            skew=self.store.skew,
        )
        if freshness is Freshness.CURRENT and (self.existing.skips_current or not can_compare(meta)):
            return True
        if self.existing.continues or freshness is Freshness.UNKNOWN:
            return await in_thread(lambda: self._holds(wanted))
        return False

    def _holds(self, wanted: Wanted) -> bool:
        """Whether the file that is there has the blob's bytes. Blocking."""
        if not can_compare(wanted.meta):
            return False
        try:
            source = self.destination.existing(wanted.names)
        except (FileNotFoundError, ConfigurationError):
            return False
        try:
            return source.size == wanted.meta.size and is_content_of(wanted.meta, source.read)
        except SourceChanged:
            return False
        finally:
            source.close()

    # Fetching

    async def _once(self, wanted: Wanted, present: int) -> int:
        if self.existing.continues and 0 < present < wanted.meta.size and can_compare(wanted.meta):
            moved = await self._continue(wanted, present)
            if moved is not None:
                return moved
        await (self._small(wanted) if wanted.meta.size <= SINGLE_READ else self._large(wanted))
        return wanted.meta.size

    async def _continue(self, wanted: Wanted, present: int) -> int | None:
        """Fetch only what a file lacks that may be the beginning of the blob; `None` if it turns out not to be."""
        meta = wanted.meta
        async with self._target(wanted) as target:
            if not await in_thread(lambda: self._copy(wanted, target, present)):
                return None
            self.reporter.step(wanted.relative, present, meta.size)
            await self._ranges(wanted, target, present)
            if not await in_thread(lambda: is_content_of(meta, target.read)):
                return None
            await self._finish(meta, target)
        return meta.size - present

    def _copy(self, wanted: Wanted, target: Target, size: int) -> bool:
        """Copy the file that is there; `False` if it is gone or shorter by now. Blocking."""
        try:
            source: Source = self.destination.existing(wanted.names)
        except (FileNotFoundError, ConfigurationError):
            return False
        try:
            target.copy(source, size)
        except SourceChanged:
            return False
        finally:
            source.close()
        return True

    async def _small(self, wanted: Wanted) -> None:
        meta = wanted.meta
        async with self.window.slot(meta.size):
            content = await self._read(wanted, 0, meta.size)

            def write() -> None:
                self.destination.write_whole(wanted.names, content, _time_of(meta))

            def write_checked() -> None:
                if meta.md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != meta.md5:
                    raise self._corrupt(meta)
                write()

            try:
                await in_thread(write_checked)
            except IntegrityError:
                if await vouches_for_md5(self.store, meta):
                    raise
                await in_thread(write)

    async def _large(self, wanted: Wanted) -> None:
        meta = wanted.meta
        async with self._target(wanted) as target:
            await self._ranges(wanted, target, 0)
            is_whole = meta.md5 is None or await in_thread(lambda: is_content_of(meta, target.read))
            if not is_whole and await vouches_for_md5(self.store, meta):
                raise self._corrupt(meta)
            await self._finish(meta, target)

    @asynccontextmanager
    async def _target(self, wanted: Wanted) -> AsyncIterator[Target]:
        def begin() -> Target:
            return self.destination.begin(wanted.names, size=wanted.meta.size)

        async with made_in_thread(begin, Target.discard) as target:
            yield target

    async def _finish(self, meta: BlobMeta, target: Target) -> None:
        await in_thread(lambda: target.finish(_time_of(meta)))

    async def _ranges(self, wanted: Wanted, target: Target, start: int) -> None:
        """Read from `start` to the end, in ranges side by side."""
        received = start

        async def fetch(span: ByteRange) -> None:
            nonlocal received
            async with self.window.slot(len(span)):
                content = await self._read(wanted, span.start, span.stop)
                await in_thread(lambda: target.write(span.start, content))
            received += len(span)
            self.reporter.step(wanted.relative, received, wanted.meta.size)

        await share(plan_ranges(start, wanted.meta.size), fetch, workers=self.window.max_concurrency)

    async def _read(self, wanted: Wanted, start: int, stop: int) -> bytearray:
        """Read a range into memory; of a blob that is read at once, tell each step."""

        def step(received: int) -> None:
            self.reporter.step(wanted.relative, received, stop)

        is_whole = (start, stop) == (0, wanted.meta.size)
        return await read_range(self.store, wanted.meta, start, stop, received=step if is_whole else nobody)

    def _corrupt(self, meta: BlobMeta) -> IntegrityError:
        return IntegrityError(
            f"the bytes received of {self.store.address(meta.key)} do not have its MD5", remedy="Download it again"
        )


def _time_of(meta: BlobMeta) -> float | None:
    return meta.modified_at.timestamp() if meta.modified_at else None
