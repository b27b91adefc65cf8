"""Local files to blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import BucketsError
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, ByteRange, MultipartUpload
from airflow_provider_neuro_buckets.buckets.transfer.crew import Folders, first_of, in_thread, parent_of, work_off
from airflow_provider_neuro_buckets.buckets.transfer.local import Source, read_whole
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Outcome
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, Existing, blob_is_current, plan_parts
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, Entered, LocalFile, Unusable, Walk
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

There = dict[str, tuple[int, datetime | None]]
"""Size and time of the blobs that a destination has already."""


@dataclass(slots=True, kw_only=True)
class Upload:
    """One upload of a file or a folder; used once.

    :ivar root: the local end; a file's `relative` is below it, or empty when the root is the file.
    :ivar prefix: the remote end: a key, or a folder's prefix with ``/`` at its end (empty for the bucket).
    """

    root: Path
    prefix: str
    store: BlobStore
    existing: Existing
    window: Window
    reporter: Reporter
    outcome: Outcome = field(default_factory=Outcome)
    _there: There = field(default_factory=dict)
    _found: int = 0
    _found_bytes: int = 0

    async def run(self, walk: Walk, listing: Listing) -> None:
        """Upload what a walk finds; failures are in `outcome`."""
        if self.existing.skips_current:
            await self._list(listing)
        folders = Folders(self.reporter.leave)

        async def work(step: LocalFile | EmptyFolder) -> None:
            await self._attempt(step)
            folders.done(parent_of(step.relative) if isinstance(step, LocalFile) else step.relative)

        await work_off(self._steps(walk, folders), work, workers=self.window.max_concurrency)

    async def _list(self, listing: Listing) -> None:
        """One listing of the destination instead of a look-up for each file."""
        async with aclosing(listing.entries(self.prefix)) as entries:
            async for entry in entries:
                self._there[entry.key] = (entry.size, entry.modified_at)

    async def _steps(self, walk: Walk, folders: Folders) -> AsyncIterator[LocalFile | EmptyFolder]:
        current: str | None = None
        async for step in walk.steps():
            if self.outcome.hopeless is not None:
                return
            if isinstance(step, Entered):
                folders.enter(step.relative)
                self.reporter.enter(step.relative)
                if current is not None:
                    folders.done(current)
                current = step.relative
            elif isinstance(step, Unusable):
                self._reject(step)
            else:
                folders.add(current or "")
                self._found += isinstance(step, LocalFile)
                self._found_bytes += step.size if isinstance(step, LocalFile) else 0
                self.reporter.found(self._found, self._found_bytes, complete=False)
                yield step
        if current is not None:
            folders.done(current)
        self.reporter.found(self._found, self._found_bytes, complete=True)

    def _reject(self, step: Unusable) -> None:
        path = str(self.root / step.relative)
        if step.error is not None:
            self.outcome.failed(path, step.error)
            self.reporter.fail(step.relative, str(step.error))
        else:
            self.outcome.skipped[path] = step.reason
            self.reporter.fail(step.relative, step.reason)

    async def _attempt(self, step: LocalFile | EmptyFolder) -> None:
        if self.outcome.hopeless is not None:
            return
        try:
            await (self.file(step) if isinstance(step, LocalFile) else self._mark(step))
        except (BucketsError, OSError) as error:
            self.outcome.failed(str(self.root / step.relative), error)
            self.reporter.fail(step.relative, str(error))

    async def _mark(self, folder: EmptyFolder) -> None:
        key = self.prefix + folder.relative
        if key not in self._there:
            async with self.window.slot(0):
                await self.store.write(key, b"")

    def is_current(self, file: LocalFile, there: tuple[int, datetime | None] | None) -> bool:
        """Whether the blob is what an upload would make it."""
        if not self.existing.skips_current or there is None:
            return False
        return blob_is_current(
            file_size=file.size,
            file_mtime=file.mtime,
            blob_size=there[0],
            blob_modified=there[1],
            skew=self.store.skew,
        )

    async def file(self, file: LocalFile) -> None:
        """Upload one file."""
        key = self.prefix + file.relative
        if self.is_current(file, self._there.get(key)):
            self.outcome.unchanged += 1
            return
        self.reporter.start(file.relative, file.size)
        path = self.root / file.relative if file.relative else self.root
        size = await (self._small(path, key, file) if file.size <= PART else self._large(path, key, file))
        self.reporter.complete(file.relative, size)
        self.outcome.moved(size)

    async def _small(self, path: Path, key: str, file: LocalFile) -> int:
        async with self.window.slot(file.size):
            content = await asyncio.to_thread(read_whole, path)
            await self.store.write(key, content)
        self.reporter.step(file.relative, len(content), len(content))
        return len(content)

    async def _large(self, path: Path, key: str, file: LocalFile) -> int:
        source = await in_thread(lambda: Source(path))
        try:
            parts = plan_parts(source.size, limits=self.store.limits)
            async with self.store.multipart(key) as upload:
                await self._parts(source, upload, parts, file.relative)
                await asyncio.to_thread(source.check)
                await upload.complete()
            return source.size
        finally:
            source.close()

    async def _parts(self, source: Source, upload: MultipartUpload, parts: list[ByteRange], relative: str) -> None:
        sent = 0

        async def send(number: int, span: ByteRange) -> None:
            nonlocal sent
            async with self.window.slot(len(span)):
                await upload.put_part(number, await in_thread(lambda: source.read(span.start, span.stop)))
            sent += len(span)
            self.reporter.step(relative, sent, source.size)

        try:
            async with asyncio.TaskGroup() as group:
                for number, span in enumerate(parts, start=1):
                    group.create_task(send(number, span))
        except* Exception as errors:  # noqa: BLE001 - unwrapped, not handled
            raise first_of(errors) from None
