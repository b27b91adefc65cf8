"""Local files to blobs."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    BucketsError,
    ConfigurationError,
    IntegrityError,
    ResourceNotFound,
    SourceChanged,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    BlobStore,
    ByteRange,
    Bytes,
    Capability,
    MultipartUpload,
    Stored,
)
from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer.checksum import can_compare, is_content_of
from airflow_provider_neuro_buckets.buckets.transfer.crew import Folders, parent_of, share, work_off
from airflow_provider_neuro_buckets.buckets.transfer.digests import Digests
from airflow_provider_neuro_buckets.buckets.transfer.hands import Hands
from airflow_provider_neuro_buckets.buckets.transfer.local import Source, read_whole
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved, Outcome, may_pass
from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    PART,
    Existing,
    Freshness,
    freshness_of_blob,
    plan_parts,
)
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, Entered, LocalFile, Unusable, Walk
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Upload:
    """One upload of a file or a folder; used once.

    :ivar root: the local end; a file's `relative` is below it, or empty when the root is the file.
    :ivar prefix: the remote end: a key, or a folder's prefix with ``/`` at its end (empty for the bucket).
    :ivar there: the blobs that are at the destination already, as far as they matter.
    """

    root: Path
    prefix: str
    store: BlobStore
    existing: Existing
    window: Window
    reporter: Reporter
    tries: Tries = ONLY_TRY
    outcome: Outcome = field(default_factory=Outcome)
    there: dict[str, BlobMeta] = field(default_factory=dict)
    hands: Hands = field(default_factory=Hands)
    _found: int = 0
    _found_bytes: int = 0

    async def run(self, walk: Walk, listing: Listing) -> None:
        """Upload what a walk finds; failures are in `outcome`."""
        if self.existing.skips_current or self.tries.has_earlier:
            await self._list(listing)
        folders = Folders(self.reporter.leave)

        async def work(step: LocalFile | EmptyFolder) -> None:
            await self._attempt(step)
            folders.done(parent_of(step.relative) if isinstance(step, LocalFile) else step.relative)

        await work_off(self._steps(walk, folders), work, workers=self.window.most_files)

    async def _list(self, listing: Listing) -> None:
        """One listing of the destination instead of a look-up for each file."""
        async with aclosing(listing.metas(self.prefix)) as metas:
            async for meta in metas:
                self.there[meta.key] = meta

    async def _steps(self, walk: Walk, folders: Folders) -> AsyncGenerator[LocalFile | EmptyFolder, None]:
        current: str | None = None
        async with aclosing(walk.steps()) as steps:
            async for step in steps:
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
            await (self.file(step) if isinstance(step, LocalFile) else self.mark(step))
        except (BucketsError, OSError) as error:
            self.outcome.failed(str(self.root / step.relative), error)
            self.reporter.fail(step.relative, str(error))

    async def mark(self, folder: EmptyFolder) -> None:
        """Make the marker of an empty folder, unless it is there."""
        key = self.prefix + folder.relative
        if key not in self.there:
            async with self.window.slot(0):
                await self.store.write(key, b"")

    async def file(self, file: LocalFile) -> None:
        """Upload one file, and count it."""
        self.outcome.done(await self.move(file))

    async def move(self, file: LocalFile) -> Moved | Left:
        """Upload one file; once more if the storage received other bytes than were sent."""
        key = self.prefix + file.relative
        path = self.root / file.relative if file.relative else self.root
        if await self.is_current(path, file, self.there.get(key)):
            return Left.UNCHANGED if self.existing.skips_current else Left.KEPT
        self.reporter.start(file.relative, file.size)
        try:
            stored = await self._send(path, key, file)
        except IntegrityError as error:
            log.warning("%s; sent once more", error)
            stored = await self._send(path, key, file)
        self.reporter.complete(file.relative, stored.size)
        return Moved(stored.size, stored.proof)

    async def is_current(self, path: Path, file: LocalFile, there: BlobMeta | None) -> bool:
        """Whether the blob is what an upload would make it."""
        if there is None or there.size != file.size:
            return False
        freshness = self._freshness(file, there)
        if freshness is Freshness.UNKNOWN and can_compare(there):
            return await in_thread(lambda: _holds(path, there, file.within))
        return freshness is Freshness.CURRENT

    def _freshness(self, file: LocalFile, there: BlobMeta) -> Freshness:
        """Tell by the times whether a blob of the file's size is the file as it is now."""
        if not self.existing.skips_current:
            return self.tries.of_blob(file_changed=file.changed, blob_modified=there.modified_at, skew=self.store.skew)
        return freshness_of_blob(
            file_size=file.size,
            file_mtime=file.mtime,
            blob_size=there.size,
            blob_modified=there.modified_at,
            skew=self.store.skew,
        )

    async def _send(self, path: Path, key: str, file: LocalFile) -> Stored:
        if file.size <= PART:
            stored = await self._small(path, key, file)
            if stored is not None:
                return stored
        return await self._large(path, key, file)

    async def _small(self, path: Path, key: str, file: LocalFile) -> Stored | None:
        """Upload a file in one request; `None` if it has grown beyond what there is room for."""
        async with self.window.room(file.size):
            content = await self.hands.do(lambda: read_whole(path, at_most=file.size, within=file.within))
            if content is None:
                return None
            async with self.window.request():
                stored = await self.store.write(key, content)
        self.reporter.step(file.relative, len(content), len(content))
        return stored

    async def _large(self, path: Path, key: str, file: LocalFile) -> Stored:
        async with made_in_thread(lambda: Source.open(path, within=file.within), Source.close) as source:
            if not source.size:  # it was emptied since it was found, and nothing has no parts
                return await self._empty(source, key)
            parts = plan_parts(source.size, limits=self.store.limits)
            if self._resumes() and Capability.RESUME in self.store.capabilities:
                # What was taken up may be gone by now, or of other content after all.
                with suppress(ResourceNotFound, BadRequest):
                    return await self._resumed(source, key, parts, file)
            async with AsyncExitStack() as stack:
                async with self.window.slot(0):
                    upload = await stack.enter_async_context(self.store.multipart(key))
                return await self._whole(source, upload, parts, file.relative)

    async def _empty(self, source: Source, key: str) -> Stored:
        await in_thread(source.check)
        async with self.window.slot(0):
            return await self.store.write(key, b"")

    def _resumes(self) -> bool:
        return self.tries.resumes(continues=self.existing.continues)

    async def _resumed(self, source: Source, key: str, parts: list[ByteRange], file: LocalFile) -> Stored:
        """Send the parts that an upload which was cut off has not sent; if this one is, leave them for the next."""
        is_next = self.existing.continues or self.tries.has_earlier
        version = f"{file.size} {file.mtime} {file.changed}"
        note = self.tries.note_of(key, version)

        async def part(number: int) -> Bytes | None:
            if number > len(parts):
                return None
            span = parts[number - 1]
            return await in_thread(lambda: source.read(span.start, span.stop))

        async with AsyncExitStack() as stack:
            async with self.window.slot(len(parts[0])):
                upload = await stack.enter_async_context(self.store.resume(key, part if is_next else None, note=note))
            self.tries.begins(key, version, upload.note)
            is_left = False
            try:
                stored = await self._whole(source, upload, parts, file.relative)
            except BaseException as error:
                if is_left := may_pass(error) and (self.existing.continues or self.tries.has_later):
                    upload.keep()
                raise
            finally:
                self.tries.ends(key, is_left=is_left)
        self.outcome.spared(upload.spared)
        return stored

    async def _whole(self, source: Source, upload: MultipartUpload, parts: list[ByteRange], relative: str) -> Stored:
        digest = await self._parts(source, upload, parts, relative)
        await in_thread(source.check)
        async with self.window.slot(0):
            return await upload.complete(md5=digest)

    async def _parts(
        self, source: Source, upload: MultipartUpload, parts: list[ByteRange], relative: str
    ) -> str | None:
        """Send the parts; return the MD5 of the whole where the provider keeps it for whoever reads."""
        sent = 0
        is_kept = Capability.KEEPS_MD5 in self.store.capabilities
        digests = Digests(size=source.size, part=source.size, read=source.read) if is_kept else None

        def read(start: int, buffer: bytearray) -> None:
            source.read_into(start, buffer)
            if digests is not None:
                digests.add(start, buffer)

        async def send(part: tuple[int, ByteRange]) -> None:
            nonlocal sent
            number, span = part
            async with self.window.buffer(len(span)) as buffer:
                await in_thread(lambda: read(span.start, buffer))
                await upload.put_part(number, buffer)
            sent += len(span)
            self.reporter.step(relative, sent, source.size)

        await share(enumerate(parts, start=1), send, workers=min(self.window.max_concurrency, len(parts)))
        md5s = digests.of_parts() if digests is not None else None
        return md5s[0].hex() if md5s else None


def _holds(path: Path, there: BlobMeta, within: str | None) -> bool:
    """Whether a file has the bytes of a blob. Blocking."""
    try:
        source = Source.open(path, within=within)
    except (FileNotFoundError, ConfigurationError):
        return False  # the upload will say so
    try:
        return source.size == there.size and is_content_of(there, source.read)
    except SourceChanged:
        return False
    finally:
        source.close()
