"""One blob to one local file: verified beside its target, then renamed to it."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    IsADirectory,
    SourceChanged,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange, Proof
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRC_FROM, CRCS
from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer.checksum import (
    can_compare,
    is_content_of,
    likely_parts,
)
from airflow_provider_neuro_buckets.buckets.transfer.content import read_range
from airflow_provider_neuro_buckets.buckets.transfer.crcs import Crcs
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.digests import Digests
from airflow_provider_neuro_buckets.buckets.transfer.hands import Hands
from airflow_provider_neuro_buckets.buckets.transfer.judging import judge
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination, LocalTarget, Source
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved, may_pass
from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    IN_MEMORY,
    PART,
    SINGLE_READ,
    STREAMS,
    Existing,
    Freshness,
    freshness_of_file,
    plan_missing,
)
from airflow_provider_neuro_buckets.buckets.transfer.pouring import Pieces, pour_range
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedBlob:
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
    tries: Tries = ONLY_TRY
    hands: Hands = field(default_factory=Hands)

    async def fetch(self, wanted: WantedBlob) -> Moved | Left:
        """Download one blob; once more if it is replaced meanwhile, arrives broken, or is not what was asked for."""
        present = await self._present(wanted)
        if present is not None and await self.is_current(wanted, present):
            return Left.KEPT if self.existing is Existing.REPLACE else Left.UNCHANGED
        size = present.st_size if present is not None else 0
        self.reporter.start(wanted.relative, wanted.meta.size)
        try:
            moved = await self._once(wanted, size)
        except (Conflict, IntegrityError, InvalidAnswer) as error:
            log.warning("%s; read once more", error)
            wanted = WantedBlob(await self.store.head(wanted.meta.key), wanted.names, wanted.relative)
            moved = await self._once(wanted, size)
        self.reporter.complete(wanted.relative, wanted.meta.size)
        return moved

    # What is there already

    async def _present(self, wanted: WantedBlob) -> os.stat_result | None:
        """Return the state of the regular file that is at the target; `None` if it is of no use.

        :raises IsADirectory: there is a folder.
        """
        if self.existing is Existing.REPLACE and not self.tries.has_earlier:
            return None
        status = await in_thread(lambda: self.destination.status(wanted.names))
        if status is not None and stat.S_ISDIR(status.st_mode):
            path = self.destination.root.joinpath(*wanted.names)
            raise IsADirectory(
                f"{path} is a folder where a file should go", remedy="Remove it, or choose another folder"
            )
        return status if status is not None and stat.S_ISREG(status.st_mode) else None

    async def is_current(self, wanted: WantedBlob, present: os.stat_result) -> bool:
        """Whether the regular file that is at the target is what a download would make it."""
        meta = wanted.meta
        if present.st_size != meta.size:
            return False
        if self.existing is Existing.REPLACE:
            return await self._is_kept(wanted, present)
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

    async def _is_kept(self, wanted: WantedBlob, present: os.stat_result) -> bool:
        """Whether an earlier try has written a file, of the version that its blob still is."""
        freshness = self.tries.of_file(
            file_mtime=present.st_mtime,
            file_changed=present.st_ctime,
            blob_modified=wanted.meta.modified_at,
            skew=self.store.skew,
        )
        if freshness is Freshness.UNKNOWN:
            return await in_thread(lambda: self._holds(wanted))
        return freshness is Freshness.CURRENT

    def _holds(self, wanted: WantedBlob) -> bool:
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

    async def _once(self, wanted: WantedBlob, present: int) -> Moved:
        if self.tries.resumes(continues=self.existing.continues) and can_compare(wanted.meta):
            is_beginning = self.existing.continues and 0 < present < wanted.meta.size
            if wanted.meta.size > SINGLE_READ or is_beginning:
                moved = await self._continue(wanted, present if is_beginning else 0)
                if moved is not None:
                    return moved
        proof = await (self._small(wanted) if wanted.meta.size <= IN_MEMORY else self._large(wanted))
        return Moved(wanted.meta.size, proof)

    async def _continue(self, wanted: WantedBlob, present: int) -> Moved | None:
        """Fetch only what an earlier try did not, or what a file lacks that may be the beginning of the blob.

        What cannot be finished now is left beside the target for the next try.

        :returns: `None` if what was there turns out to be something else.
        """
        meta = wanted.meta
        version = f"{meta.etag} {meta.size}" if meta.size > SINGLE_READ else None
        async with self._target(wanted, version=version) as target:
            written = target.written
            if not written and present:
                if not await in_thread(lambda: self._copy(wanted, target, present)):
                    return None
                written = [ByteRange(0, present)]
            try:
                is_proven = await self._ranges(wanted, target, written)
            except BaseException as error:
                if may_pass(error) and (self.existing.continues or self.tries.has_later):
                    target.keep()
                raise
            if not is_proven and written:
                return None
            proof = Proof.CHECKSUM if is_proven else await judge(self.store, meta, target.read)
            await self._finish(meta, target)
        return Moved(meta.size - sum(map(len, written)), proof)

    def _copy(self, wanted: WantedBlob, target: LocalTarget, size: int) -> bool:
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

    async def _small(self, wanted: WantedBlob) -> Proof:
        meta = wanted.meta
        async with self.window.room(meta.size):
            async with self.window.request():
                content = await read_range(
                    self.store,
                    meta,
                    0,
                    meta.size,
                    received=lambda at: self.reporter.step(wanted.relative, at, meta.size),
                )

            def read(start: int, stop: int) -> memoryview:
                return memoryview(content)[start:stop]

            def write() -> None:
                self.destination.write_whole(wanted.names, content, _time_of(meta))

            def write_if_right() -> bool:
                is_right = is_content_of(meta, read)
                if is_right:
                    write()
                return is_right

            if can_compare(meta) and await self.hands.do(write_if_right):
                return Proof.CHECKSUM
            proof = await judge(self.store, meta, read)
            await self.hands.do(write)
            return proof

    async def _large(self, wanted: WantedBlob) -> Proof:
        async with self._target(wanted) as target:
            if await self._ranges(wanted, target, []):
                proof = Proof.CHECKSUM
            else:
                proof = await judge(self.store, wanted.meta, target.read)
            await self._finish(wanted.meta, target)
        return proof

    @asynccontextmanager
    async def _target(self, wanted: WantedBlob, *, version: str | None = None) -> AsyncIterator[LocalTarget]:
        def begin() -> LocalTarget:
            return self.destination.begin(wanted.names, size=wanted.meta.size, version=version)

        async with made_in_thread(begin, LocalTarget.discard) as target:
            yield target

    async def _finish(self, meta: BlobMeta, target: LocalTarget) -> None:
        await in_thread(lambda: target.finish(_time_of(meta)))

    async def _ranges(self, wanted: WantedBlob, target: LocalTarget, written: list[ByteRange]) -> bool:
        """Read what is not written yet, in ranges side by side; return whether the whole is proven to be the blob."""
        meta = wanted.meta
        received = sum(map(len, written))
        if received:
            self.reporter.step(wanted.relative, received, meta.size)
        digests = await self._digests(meta, target)
        part = digests.part if digests is not None else None

        loop = asyncio.get_running_loop()

        def take(at: int, piece: memoryview) -> None:
            target.write(at, piece)
            if digests is not None:
                digests.add(at, piece)
            loop.call_soon_threadsafe(step, piece.nbytes)

        def step(size: int) -> None:
            nonlocal received
            received += size
            self.reporter.step(wanted.relative, received, meta.size)

        async def fetch(span: ByteRange) -> None:
            async with self.window.slot(min(len(span), PART)):  # what waits to be written is never so much
                await pour_range(self.store, meta, Pieces(span.start, span.stop, take))

        missing = plan_missing(meta.size, written, part=part)
        await share(missing, fetch, workers=min(self.window.max_concurrency, STREAMS))

        def is_proven() -> bool:
            if digests is not None:
                for span in written:
                    digests.add_written(span.start, span.stop)
                if digests.is_of(meta):
                    return True
            return can_compare(meta) and is_content_of(meta, target.read)

        return await in_thread(is_proven)

    async def _digests(self, meta: BlobMeta, target: LocalTarget) -> Digests | Crcs | None:
        """Return what digests a blob as it arrives: its CRC, where there is one, is less work than MD5s.

        To ask for that is a request.
        """
        checksum = None
        if meta.size >= CRC_FROM:
            async with self.window.slot(0):
                checksum = await self.store.checksum(meta)
        kind = CRCS.get(checksum.algorithm) if checksum is not None else None
        if checksum is not None and kind is not None and kind.function is not None:
            return Crcs(size=meta.size, checksum=checksum, function=kind.function, read=target.read)
        part = next(iter(likely_parts(meta)), None)
        return Digests(size=meta.size, part=part, read=target.read) if part is not None else None


def _time_of(meta: BlobMeta) -> float | None:
    return meta.modified_at.timestamp() if meta.modified_at else None
