"""The ends of a job, opened; and that none of them lies in another."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.sharding.jobs import DeleteJob, Job
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, FolderPlace, Place, open_place
from airflow_provider_neuro_buckets.buckets.transfer.copying import are_one_bucket


@dataclass(frozen=True, slots=True)
class OpenedJob:
    """Where a job begins and ends; a deletion begins where it ends."""

    src: Place
    dst: Place

    def urls(self, key: str) -> tuple[URL, URL]:
        """Return the addresses of a file at both ends."""
        return self.src.url(key), self.dst.url(key)


async def open_job(job: Job) -> OpenedJob:
    """Open the ends of a job; nothing is asked about what lies in them."""
    if isinstance(job, DeleteJob):
        place = await open_place(job.end)
        return OpenedJob(place, place)
    dst = await open_place(job.dst)
    return OpenedJob(await open_place(job.src), dst.without_links() if isinstance(dst, FolderPlace) else dst)


async def apart(opened: OpenedJob, work: BucketPlace) -> OpenedJob:
    """Return a job in which nobody sees the work prefix.

    :raises InvalidAddress: one end lies in the other, or in the work prefix, or that is a whole bucket.
    """
    if not work.prefix:
        raise InvalidAddress(f"{work.address()} is a whole bucket", remedy="Name a folder in it for the work")
    src, dst = opened.src, opened.dst
    if src is not dst and await _overlap(src, dst):
        raise InvalidAddress(
            f"{src.address()} and {dst.address()} lie in one another", remedy="Choose folders apart from each other"
        )
    return OpenedJob(await _without(src, work), await _without(dst, work))


async def _overlap(one: Place, other: Place) -> bool:
    if not isinstance(one, BucketPlace) or not isinstance(other, BucketPlace):
        return False
    is_inner = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    return is_inner and await are_one_bucket(one.remote.listing, other.remote.listing)


async def _without(place: Place, work: BucketPlace) -> Place:
    if not isinstance(place, BucketPlace) or not await _overlap(place, work):
        return place
    if place.prefix.startswith(work.prefix):
        raise InvalidAddress(
            f"{place.address()} lies in the work prefix {work.address()}", remedy="Choose another work prefix"
        )
    return place.hiding(work.prefix)
