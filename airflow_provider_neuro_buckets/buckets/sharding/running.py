"""One shard, done by one worker."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, TransferError
from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.removal import BATCHES_IN_FLIGHT
from airflow_provider_neuro_buckets.buckets.sharding.checkpoints import keeping, kept
from airflow_provider_neuro_buckets.buckets.sharding.jobs import Job
from airflow_provider_neuro_buckets.buckets.sharding.ledger import Item, Ledger
from airflow_provider_neuro_buckets.buckets.sharding.manifests import DONE, RESULT, fetch_manifest, head_of, put_lines
from airflow_provider_neuro_buckets.buckets.sharding.movers import mover
from airflow_provider_neuro_buckets.buckets.sharding.opened import OpenedJob, open_job
from airflow_provider_neuro_buckets.buckets.sharding.places import Place
from airflow_provider_neuro_buckets.buckets.sharding.removers import batch_of, remover
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool
from airflow_provider_neuro_buckets.buckets.sharding.values import Action, Shard, ShardReport
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.transfer.crew import work_off
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Moved
from airflow_provider_neuro_buckets.buckets.transfer.reporting import FolderReporter, Reporter

_GONE = Moved(0, Proof.SIZE)


async def run_shard(
    shard: Shard, job: Job, *, work: Buckets, progress: AbstractRecursiveFileProgress | None = None
) -> ShardReport:
    """Do what the manifest of a shard lists; what an earlier try has done, here or elsewhere, is not done again.

    Which items are done is written beside the manifest every few seconds and whenever a try ends, also if it is
    cancelled. One try of a shard at a time: of two that overlap, one may repeat what the other has done.

    :param job: the one that was planned; the client of each end may be another.
    :param work: an open client of the bucket that the manifest is in.
    :param progress: told of what is left to do.
    :raises TransferError: some items failed, the others are done; its `report` is the :class:`ShardReport`.
    :raises ResourceNotFound: there is no such manifest: its plan was concluded.
    :raises ConfigurationError: the shard belongs to another job.
    :raises BucketsError: what stopped the whole shard, such as a token that is not accepted.
    """
    bucket, key = await work.locate(shard.uri)
    store = (await work.opener.open(bucket)).store
    opened = await open_job(job)
    with tempfile.TemporaryDirectory(prefix="shard-") as folder:
        manifest, failures = Path(folder) / "manifest", Spool(Path(folder) / "failures")
        await fetch_manifest(store, key, manifest, head=head_of(shard.action, opened))
        ledger = Ledger(shard, failures=failures, kept=await kept(store, key + DONE, work.window))
        reporter = FolderReporter(progress, opened.urls) if progress is not None else Reporter()
        left = ledger.report()
        reporter.found(shard.items - left.items, shard.bytes - left.bytes, complete=True)
        async with keeping(ledger, store, key + DONE):
            if shard.action is Action.TRANSFER:
                await _transfer(opened, ledger, manifest, reporter)
            else:
                await _remove(opened.dst, ledger, manifest, reporter)
        failures.flush()
        report = ledger.report()
        await put_lines(store, key + RESULT, json.dumps(report.as_json()).encode(), failures.path)
    _check(shard, ledger)
    return report


async def _transfer(opened: OpenedJob, ledger: Ledger, manifest: Path, reporter: Reporter) -> None:
    async with mover(opened.src, opened.dst, reporter=reporter, tries=ledger.tries) as hands:

        async def work(item: Item) -> None:
            if ledger.prospects.hopeless is not None:
                return
            _, entry = item
            try:
                ledger.done(item, await hands.move(entry))
            except (BucketsError, OSError) as error:
                ledger.fail(item, error)
                reporter.fail(entry.key, str(error))

        await work_off(ledger.unfinished(manifest), work, workers=hands.workers)


async def _remove(place: Place, ledger: Ledger, manifest: Path, reporter: Reporter) -> None:
    async with remover(place) as hands:

        async def work(batch: list[Item]) -> None:
            if ledger.prospects.hopeless is not None:
                return
            failed = await hands.remove([entry.key for _, entry in batch])
            for item in batch:
                _, entry = item
                if error := failed.get(entry.key):
                    ledger.fail(item, error)
                    reporter.fail(entry.key, str(error))
                else:
                    ledger.done(item, _GONE)
                    reporter.complete(entry.key, entry.size)

        batches = _batches(ledger.unfinished(manifest), batch_of(place))
        await work_off(batches, work, workers=BATCHES_IN_FLIGHT)


async def _batches(items: AsyncGenerator[Item, None], size: int) -> AsyncGenerator[list[Item], None]:
    batch: list[Item] = []
    async with aclosing(items):
        async for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _check(shard: Shard, ledger: Ledger) -> None:
    """Tell what could not be done.

    :raises BucketsError: what stopped all of it.
    :raises TransferError: what failed of it.
    """
    if isinstance(stopped := ledger.stopped(), BucketsError):
        raise stopped
    if ledger.failed:
        raise TransferError(
            f"{ledger.failed} of {shard.items} items of shard {shard.number} failed",
            remedy="What was done stays done: run it again to finish the rest",
            failures=ledger.first,
            report=ledger.report(),
        )
