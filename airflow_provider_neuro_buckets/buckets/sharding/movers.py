"""Who moves a single item of a shard: the engine's own hands, given items of a manifest instead of a listing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, FolderPlace, Place
from airflow_provider_neuro_buckets.buckets.sharding.streams import ReadingMover, WritingMover
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer import copying, download
from airflow_provider_neuro_buckets.buckets.transfer.copying import NAMELESS, Copier, WantedCopy
from airflow_provider_neuro_buckets.buckets.transfer.download import WantedFolder, item_of
from airflow_provider_neuro_buckets.buckets.transfer.fetch import Fetcher
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved
from airflow_provider_neuro_buckets.buckets.transfer.plan import Existing
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.tries import Tries
from airflow_provider_neuro_buckets.buckets.transfer.upload import Upload
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, LocalFile

NOTHING = Moved(0, Proof.SIZE)


class Mover(Protocol):
    """Moves items from one end to the other, many at once."""

    @property
    def workers(self) -> int:
        """How many at once."""
        ...

    async def move(self, entry: Entry) -> Moved | Left:
        """Move one item. Atomic: until it is there, its destination is what it was."""
        ...


@dataclass(frozen=True, slots=True)
class CopyMover:
    """From bucket to bucket."""

    src: BucketPlace
    dst: BucketPlace
    copier: Copier

    @property
    def workers(self) -> int:
        """How many at once."""
        return self.dst.window.max_concurrency

    async def move(self, entry: Entry) -> Moved | Left:
        """Copy one blob."""
        key = self.dst.prefix + entry.key
        meta = entry.meta(self.src.prefix)
        if key:
            return await self.copier.copy(WantedCopy(meta, key, entry.key), None)
        if entry.size:
            raise copying.refusal(self.copier.src.store.address(meta.key), NAMELESS)
        return NOTHING  # the marker of the folder itself: a bucket needs none


@dataclass(frozen=True, slots=True)
class DownloadMover:
    """From a bucket to a local folder."""

    src: BucketPlace
    fetcher: Fetcher

    @property
    def workers(self) -> int:
        """How many at once."""
        return self.src.window.most_files

    async def move(self, entry: Entry) -> Moved | Left:
        """Download one blob."""
        meta = entry.meta(self.src.prefix)
        item = item_of(meta, entry.key)
        if item is None:
            return NOTHING
        if isinstance(item, str):
            raise download.refusal(self.fetcher.store.address(meta.key), item)
        if isinstance(item, WantedFolder):
            await in_thread(lambda: self.fetcher.destination.make_folder(item.names))
            return NOTHING
        return await self.fetcher.fetch(item)


@dataclass(slots=True)
class UploadMover:
    """From a local folder to a bucket."""

    upload: Upload
    within: str
    _spared: int = 0

    @property
    def workers(self) -> int:
        """How many at once."""
        return self.upload.window.most_files

    async def move(self, entry: Entry) -> Moved | Left:
        """Upload one file."""
        if entry.problem is not None:
            raise ConfigurationError(entry.problem)
        if entry.is_folder:
            await self.upload.mark(EmptyFolder(entry.key))
            return NOTHING
        if entry.modified is None or entry.changed is None:
            raise ConfigurationError(f"{entry.key!r} has no times, as local files do", remedy="Plan again")
        moved = await self.upload.move(LocalFile(entry.key, entry.size, entry.modified, entry.changed, self.within))
        return Moved(moved.bytes - self._newly_spared(), moved.proof) if isinstance(moved, Moved) else moved

    def _newly_spared(self) -> int:
        """Return the bytes of parts that were there already; whichever file they were of, the sum is right."""
        before, self._spared = self._spared, -self.upload.outcome.bytes
        return self._spared - before


@asynccontextmanager
async def mover(src: Place, dst: Place, *, reporter: Reporter, tries: Tries) -> AsyncIterator[Mover]:
    """Make what moves items from one end to the other; one of them is in a bucket.

    :param tries: which try of the shard this is.
    """
    match src, dst:
        case BucketPlace(), BucketPlace():
            copier = Copier(
                src=src.remote.listing,
                dst=dst.remote.listing,
                existing=Existing.REPLACE,
                window=dst.window,
                reporter=reporter,
                refusals=dst.refusals,
                tries=tries,
            )
            yield CopyMover(src, dst, copier)
        case FolderPlace(), BucketPlace():
            upload = Upload(
                root=src.path,
                prefix=dst.prefix,
                store=dst.remote.listing.store,
                existing=Existing.REPLACE,
                window=dst.window,
                reporter=reporter,
                tries=tries,
            )
            yield UploadMover(upload, await in_thread(lambda: os.path.realpath(src.path)))
        case BucketPlace(), FolderPlace():
            async with made_in_thread(lambda: Destination(dst.path, resumes=True), Destination.close) as destination:
                fetcher = Fetcher(
                    store=src.remote.listing.store,
                    destination=destination,
                    existing=Existing.REPLACE,
                    window=src.window,
                    reporter=reporter,
                    tries=tries,
                )
                yield DownloadMover(src, fetcher)
        case FilesystemPlace(), BucketPlace():
            yield ReadingMover(src, dst, reporter)
        case BucketPlace(), FilesystemPlace():
            yield WritingMover(src, dst, reporter)
        case _:
            raise ConfigurationError(f"neither {src.address()} nor {dst.address()} is in a bucket")
