"""Who deletes the items of a shard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.removal import BATCH
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, FolderPlace, Place
from airflow_provider_neuro_buckets.buckets.stores.keys import unsayable
from airflow_provider_neuro_buckets.buckets.threads import in_thread, made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names


class Remover(Protocol):
    """Deletes items of one end."""

    async def remove(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Delete some; return those that could not be, with the reason. What is not there counts as deleted."""
        ...


@dataclass(frozen=True, slots=True)
class BlobRemover:
    """Deletes blobs, in one request as far as the provider allows."""

    place: BucketPlace

    async def remove(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Delete some."""
        begin = len(self.place.prefix)
        batch = [self.place.prefix + key for key in keys]
        failed: dict[str, BucketsError] = unsayable(batch)
        try:
            failed |= await self.place.remote.listing.store.delete([key for key in batch if key not in failed])
        except BucketsError as error:
            failed |= dict.fromkeys(batch, error)
        return {key[begin:]: error for key, error in failed.items()}


@dataclass(frozen=True, slots=True)
class FileRemover:
    """Deletes files of a local folder; nothing outside of it, and no folder."""

    destination: Destination

    async def remove(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Delete some."""
        return await in_thread(lambda: self._remove(keys))

    def _remove(self, keys: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        for key in keys:
            names = local_names(key)
            if isinstance(names, str):
                failed[key] = _refusal(key, names)
            elif not key.endswith("/"):
                try:
                    self.destination.remove(names)
                except (BucketsError, OSError) as error:
                    failed[key] = error
        return failed


@dataclass(frozen=True, slots=True)
class FilesystemRemover:
    """Deletes files of a filesystem, one by one."""

    place: FilesystemPlace

    async def remove(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Delete some."""
        failed: dict[str, Exception] = {}
        for key in keys:
            if isinstance(reason := local_names(key), str):
                failed[key] = _refusal(key, reason)
                continue
            path = self.place.path_of(key)
            try:
                await self.place.do(lambda path=path: self.place.fs.rm_file(path))  # type: ignore[misc]  # bound now
            except FileNotFoundError:
                continue
            except OSError as error:
                failed[key] = error
        return failed


def _refusal(key: str, reason: str) -> InvalidAddress:
    return InvalidAddress(f"{key!r} was not deleted: {reason}", remedy="Delete it by itself")


def batch_of(place: Place) -> int:
    """Return how many items are to be deleted at a time."""
    return 1 if isinstance(place, FilesystemPlace) else BATCH


@asynccontextmanager
async def remover(place: Place) -> AsyncIterator[Remover]:
    """Make what deletes items of a place."""
    match place:
        case BucketPlace():
            yield BlobRemover(place)
        case FolderPlace():
            async with made_in_thread(lambda: Destination(place.path, resumes=True), Destination.close) as destination:
                yield FileRemover(destination)
        case FilesystemPlace():
            yield FilesystemRemover(place)
