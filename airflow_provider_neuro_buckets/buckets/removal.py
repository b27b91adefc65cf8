"""Removing blobs: one, a folder, a whole bucket; in batches, while the listing runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from airflow_provider_neuro_buckets.buckets.collecting import seldom
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    IsADirectory,
    PermissionDenied,
    ResourceNotFound,
    TransferError,
)
from airflow_provider_neuro_buckets.buckets.failures import first_failure
from airflow_provider_neuro_buckets.buckets.listing import Listing, as_folder
from airflow_provider_neuro_buckets.buckets.models import BucketEntry
from airflow_provider_neuro_buckets.buckets.progress import AbstractDeleteProgress, StorageProgressDelete
from airflow_provider_neuro_buckets.buckets.stores.keys import unsayable
from airflow_provider_neuro_buckets.buckets.uri import blob_uri

BATCH = 250
BATCHES_IN_FLIGHT = 16
"""As many keys at once as in 4 batches of 1,000, which is the most that S3 takes: a service goes through a batch one
after another, and through batches side by side."""


class NoDeleteProgress(AbstractDeleteProgress):
    """Listens to nothing."""

    def delete(self, data: StorageProgressDelete) -> None:
        """Take no note."""


async def remove_path(
    listing: Listing,
    path: str,
    *,
    recursive: bool,
    progress: AbstractDeleteProgress | None = None,
    dry_run: bool = False,
) -> int:
    """Remove the blob at `path`; with `recursive` also all below it. Returns how many blobs went.

    :param path: a key; with a ``/`` at its end only the folder is meant. Empty: the whole bucket.
    :param dry_run: remove nothing; count, and tell `progress`, as if it had been.
    :raises ResourceNotFound: there is neither a blob nor a folder.
    :raises IsADirectory: a folder, and not `recursive`; a blob of the same name stays as well.
    :raises PermissionDenied: the caller may delete nothing here; nothing more was tried.
    :raises TransferError: some blobs could not be deleted; the others are gone.
    """
    address = listing.store.address(path)
    is_folder = await listing.is_dir(path)
    if is_folder and not recursive:
        raise IsADirectory(f"{address} is a folder", remedy="Pass recursive=True to remove it with all below it")
    is_blob = bool(path) and not path.endswith("/") and await _exists(listing, path)
    if not is_blob and not is_folder:
        raise ResourceNotFound(f"there is no blob and no folder {address}", remedy="Check the address")
    removal = (_Rehearsal if dry_run else _Removal)(listing, progress or NoDeleteProgress())
    if is_blob:
        await removal.run(_once(listing, path))
    if is_folder:
        async with aclosing(listing.entries(as_folder(path))) as entries:
            await removal.run(entries)
    removal.check()
    if is_folder:
        removal.observer.delete(StorageProgressDelete(uri=blob_uri(listing.bucket.uri, path), is_dir=True))
    return removal.gone


async def _exists(listing: Listing, key: str) -> bool:
    try:
        await listing.store.head(key)
    except ResourceNotFound:
        return False
    return True


async def _once(listing: Listing, key: str) -> AsyncIterator[BucketEntry]:
    yield BucketEntry(key=key, bucket=listing.bucket)


class _Removal:
    """Deletes entries in batches, a few batches at once."""

    def __init__(self, listing: Listing, observer: AbstractDeleteProgress) -> None:
        self._listing = listing
        self._failures: dict[str, Exception] = {}
        self.observer = observer
        self.gone = 0

    async def run(self, entries: AsyncIterator[BucketEntry]) -> None:
        """Delete all entries that can be deleted."""
        slots = asyncio.Semaphore(BATCHES_IN_FLIGHT)
        with seldom:
            async with first_failure(), asyncio.TaskGroup() as group:
                async for batch in _batches(entries):
                    await slots.acquire()
                    group.create_task(self._delete(batch)).add_done_callback(lambda _: slots.release())

    def check(self) -> None:
        """Tell what could not be deleted.

        :raises TransferError: there is something.
        """
        if self._failures:
            raise TransferError(
                f"{len(self._failures)} blobs of {self._listing.bucket.uri} could not be deleted",
                remedy="See each reason below",
                failures=self._failures,
            )

    async def _ask(self, batch: list[str]) -> Mapping[str, BucketsError]:
        return await self._listing.store.delete(batch)

    async def _delete(self, batch: list[str]) -> None:
        failed = unsayable(batch)  # a listing may tell of those; the others can still be deleted
        if sayable := [key for key in batch if key not in failed] if failed else batch:
            failed |= await self._ask(sayable)
        if len(failed) == len(batch) and isinstance(error := failed[batch[0]], AuthenticationError | PermissionDenied):
            raise error
        for key in batch:
            if key in failed:
                self._failures[self._listing.store.address(key)] = failed[key]
            else:
                self.gone += 1
                uri = blob_uri(self._listing.bucket.uri, key)
                self.observer.delete(StorageProgressDelete(uri=uri, is_dir=False))


class _Rehearsal(_Removal):
    """Deletes nothing; every entry counts as if it had gone."""

    async def _ask(self, batch: list[str]) -> Mapping[str, BucketsError]:  # noqa: ARG002 - that of a removal
        return {}


async def _batches(entries: AsyncIterator[BucketEntry]) -> AsyncIterator[list[str]]:
    batch: list[str] = []
    async for entry in entries:
        batch.append(entry.key)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
