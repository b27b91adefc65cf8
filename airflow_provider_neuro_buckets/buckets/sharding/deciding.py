"""Whether a destination is what a transfer would make it: decided as `update` does, of what two listings tell."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, FolderPlace, Place
from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer.checksum import have_same_content
from airflow_provider_neuro_buckets.buckets.transfer.copying import Copier
from airflow_provider_neuro_buckets.buckets.transfer.download import WantedFolder, item_of
from airflow_provider_neuro_buckets.buckets.transfer.fetch import Fetcher
from airflow_provider_neuro_buckets.buckets.transfer.plan import Existing, Freshness, by_lead, freshness_of_file
from airflow_provider_neuro_buckets.buckets.transfer.rehearsal import DRY
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.upload import Upload
from airflow_provider_neuro_buckets.buckets.transfer.walk import LocalFile


class Decider(Protocol):
    """Tells of a file that both ends have whether it may be left alone."""

    async def is_current(self, src: Entry, dst: Entry) -> bool:
        """Whether the destination is up to date."""
        ...


@dataclass(frozen=True, slots=True)
class CopyDecider:
    """From bucket to bucket."""

    src: BucketPlace
    dst: BucketPlace
    copier: Copier

    async def is_current(self, src: Entry, dst: Entry) -> bool:
        """Whether the destination is up to date."""
        return await self.copier.is_current(src.meta(self.src.prefix), dst.meta(self.dst.prefix))


@dataclass(frozen=True, slots=True)
class UploadDecider:
    """From a local folder to a bucket."""

    src: FolderPlace
    dst: BucketPlace
    upload: Upload
    within: str

    async def is_current(self, src: Entry, dst: Entry) -> bool:
        """Whether the destination is up to date."""
        if src.is_folder:
            return True
        file = LocalFile(src.key, src.size, src.modified or 0.0, src.changed or 0.0, self.within)
        return await self.upload.is_current(self.src.path / src.key, file, dst.meta(self.dst.prefix))


@dataclass(frozen=True, slots=True)
class DownloadDecider:
    """From a bucket to a local folder."""

    src: BucketPlace
    fetcher: Fetcher

    async def is_current(self, src: Entry, dst: Entry) -> bool:
        """Whether the destination is up to date. Only where the times do not tell, the disk is asked once more."""
        wanted = item_of(src.meta(self.src.prefix), src.key)
        if wanted is None or isinstance(wanted, WantedFolder):
            return True
        if isinstance(wanted, str):
            return False
        freshness = freshness_of_file(
            file_size=dst.size,
            file_mtime=dst.modified or 0.0,
            file_changed=dst.changed or 0.0,
            blob_size=src.size,
            blob_modified=wanted.meta.modified_at,
            skew=self.fetcher.store.skew,
        )
        if freshness is not Freshness.UNKNOWN:
            return freshness is Freshness.CURRENT
        present = await in_thread(lambda: self.fetcher.destination.status(wanted.names))
        return present is not None and await self.fetcher.is_current(wanted, present)


@dataclass(frozen=True, slots=True)
class StreamDecider:
    """From or to a filesystem of another kind.

    :ivar skew: what makes a time of the destination one of the clock of the source, in seconds, as far as it is known.
    """

    skew: float

    async def is_current(self, src: Entry, dst: Entry) -> bool:
        """Whether the destination is up to date: of equal checksums, or later."""
        if src.size != dst.size:
            return False
        is_same = have_same_content(src.meta(), dst.meta())
        if is_same is None and {src.md5, src.etag} & {dst.md5, dst.etag} - {None}:
            is_same = True
        if is_same is None and src.modified is not None and dst.modified is not None:
            is_same = by_lead(dst.modified + self.skew - src.modified) is Freshness.CURRENT
        return is_same is True


@asynccontextmanager
async def decider(src: Place, dst: Place) -> AsyncIterator[Decider]:
    """Make what decides between two ends, one of which is in a bucket. Nothing is written, nor made."""
    match src, dst:
        case BucketPlace(), BucketPlace():
            yield CopyDecider(src, dst, _copier(src, dst))
        case FolderPlace(), BucketPlace():
            upload = Upload(
                root=src.path,
                prefix=dst.prefix,
                store=dst.remote.listing.store,
                existing=Existing.UPDATE,
                window=dst.window,
                reporter=Reporter(),
            )
            yield UploadDecider(src, dst, upload, await in_thread(lambda: os.path.realpath(src.path)))
        case BucketPlace(), FolderPlace():
            async with made_in_thread(lambda: DRY.destination(dst.path), DRY.destination.close) as destination:
                fetcher = Fetcher(
                    store=src.remote.listing.store,
                    destination=destination,
                    existing=Existing.UPDATE,
                    window=src.window,
                    reporter=Reporter(),
                )
                yield DownloadDecider(src, fetcher)
        case _:
            yield StreamDecider(_skew(dst) - _skew(src))


def _copier(src: BucketPlace, dst: BucketPlace) -> Copier:
    return Copier(
        src=src.remote.listing,
        dst=dst.remote.listing,
        existing=Existing.UPDATE,
        window=dst.window,
        reporter=Reporter(),
        refusals=dst.refusals,
    )


def _skew(place: FolderPlace | BucketPlace | FilesystemPlace) -> float:
    """Return what to add to a time of a place to make it one of the local clock."""
    return place.remote.listing.store.skew if isinstance(place, BucketPlace) else 0.0
