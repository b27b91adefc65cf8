"""From a job to shards: the source is listed once, as a stream, and dealt out to manifests."""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    StorageProgressDelete,
)
from airflow_provider_neuro_buckets.buckets.sharding.ends import BucketEnd
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.jobs import CopyJob, DeleteJob, Job, SyncJob
from airflow_provider_neuro_buckets.buckets.sharding.joining import OutOfOrder
from airflow_provider_neuro_buckets.buckets.sharding.manifests import head_of, key_of, put_lines
from airflow_provider_neuro_buckets.buckets.sharding.opened import OpenedJob, apart, open_job
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, open_bucket
from airflow_provider_neuro_buckets.buckets.sharding.spool import lines_of
from airflow_provider_neuro_buckets.buckets.sharding.surveying import Survey
from airflow_provider_neuro_buckets.buckets.sharding.values import Action, Plan, Shard
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.reporting import FolderReporter, Reporter

log = logging.getLogger(__name__)

UPLOADS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Draft:
    """A shard whose manifest is still a local file."""

    shard: Shard
    key: str
    path: Path

    def entries(self) -> Iterator[Entry]:
        return map(Entry.of, lines_of(self.path))


async def plan_shards(
    job: Job,
    *,
    work: BucketEnd,
    shards: int,
    progress: AbstractRecursiveFileProgress | None = None,
    removals: AbstractDeleteProgress | None = None,
    dry_run: bool = False,
) -> Plan:
    """List what is to be done, and write it to balanced manifests below a work prefix.

    Memory is bounded whatever the number of files; what is found waits in local temporary files. What lies below the
    work prefix itself is neither moved nor deleted. Each plan has a folder of its own there: to plan again disturbs no
    other.

    :param work: a folder in a bucket, for whatever the shards have to tell one another.
    :param shards: most shards of each action, from 1.
    :param progress: told how much there is, and with `dry_run` of each file as if it had been moved.
    :param removals: told of each file that is going to be deleted, as if it had been.
    :param dry_run: write nothing: the plan is what it would be, and has addresses at which nothing is.
    :raises ResourceNotFound: there is no source; or it is empty, and what the destination has beyond it would go.
    :raises NotADirectory: the source is a single blob or file, or the destination a file.
    :raises InvalidAddress: one end lies in the other, or in the work prefix.
    :raises ConfigurationError: `shards` is below 1, or `delete_extra` and some of the source cannot be read.
    """
    if shards < 1:
        raise ConfigurationError(f"shards={shards} is no number of shards", remedy="Pass 1 or more")
    place = await open_bucket(work)
    opened = await apart(await open_job(job), place)
    await opened.src.check()
    await opened.dst.check_target()
    reporter = FolderReporter(progress, opened.urls) if progress is not None else Reporter()
    home = f"{place.prefix}{uuid.uuid4().hex[:16]}/"
    with tempfile.TemporaryDirectory(prefix="shards-") as folder:
        survey = await _survey(job, opened, folder=Path(folder), shards=shards, reporter=reporter)
        drafts = list(_drafts(survey, place, home))
        _tell(drafts, opened, removals=removals, reporter=reporter if dry_run else Reporter())
        if not dry_run:
            await _upload(drafts, opened, place)
    return Plan(
        uri=str(place.remote.url(home)),
        shards=[draft.shard for draft in drafts],
        items=survey.transfers.items,
        bytes=survey.transfers.bytes,
        unchanged=survey.unchanged,
        extra=survey.removals.items,
    )


async def _survey(job: Job, opened: OpenedJob, *, folder: Path, shards: int, reporter: Reporter) -> Survey:
    """List the ends; once more where a provider lists keys in an order of its own."""

    def begin(name: str) -> Survey:
        (folder / name).mkdir()
        return Survey(folder=folder / name, shards=shards, reporter=reporter)

    survey = begin("listed")
    match job:
        case CopyJob():
            await survey.everything(opened.src)
        case DeleteJob():
            await survey.removal(opened.dst)
        case SyncJob(delete_extra=with_extra):
            try:
                await survey.difference(opened.src, opened.dst, with_extra=with_extra, sorts=False)
            except OutOfOrder as error:
                log.info("Listings are sorted first: %s", error)
                survey = begin("sorted")
                await survey.difference(opened.src, opened.dst, with_extra=with_extra, sorts=True)
            if survey.removals.items and not survey.seen:
                raise ResourceNotFound(
                    f"{opened.src.address()} is empty, and all of {opened.dst.address()} would be deleted",
                    remedy="Check the source; if it is right, delete the destination by itself",
                )
    return survey


def _drafts(survey: Survey, work: BucketPlace, home: str) -> Iterator[_Draft]:
    number = 0
    for action, dealer in ((Action.TRANSFER, survey.transfers), (Action.DELETE, survey.removals)):
        for path, items, size in dealer.shards():
            number += 1
            key = key_of(home, number)
            uri = str(work.remote.url(key))
            yield _Draft(Shard(uri=uri, number=number, action=action, items=items, bytes=size), key, path)


def _tell(
    drafts: list[_Draft], opened: OpenedJob, *, removals: AbstractDeleteProgress | None, reporter: Reporter
) -> None:
    for draft in drafts:
        if draft.shard.action is Action.TRANSFER and type(reporter) is not Reporter:
            for entry in draft.entries():
                reporter.start(entry.key, entry.size)
                reporter.complete(entry.key, entry.size)
        if draft.shard.action is Action.DELETE and removals is not None:
            for entry in draft.entries():
                removals.delete(StorageProgressDelete(uri=opened.dst.url(entry.key), is_dir=False))


async def _upload(drafts: list[_Draft], opened: OpenedJob, work: BucketPlace) -> None:
    async def upload(draft: _Draft) -> None:
        head = head_of(draft.shard.action, opened)
        await put_lines(work.remote.listing.store, draft.key, head, draft.path)

    await share(drafts, upload, workers=UPLOADS_AT_ONCE)
