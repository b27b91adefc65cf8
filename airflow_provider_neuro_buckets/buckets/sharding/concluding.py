"""The end of a job in shards: one report, and nothing left behind that nobody needs."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    ResourceNotFound,
    TransferError,
)
from airflow_provider_neuro_buckets.buckets.removal import BATCH
from airflow_provider_neuro_buckets.buckets.sharding.checkpoints import kept
from airflow_provider_neuro_buckets.buckets.sharding.ledger import Ledger
from airflow_provider_neuro_buckets.buckets.sharding.manifests import DONE, REPORT, RESULT, fetch, key_of
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool, lines_of
from airflow_provider_neuro_buckets.buckets.sharding.values import Action, Plan, Report, Shard, ShardReport
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.transfer.content import put_content
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from airflow_provider_neuro_buckets.buckets.uri import blob_uri

log = logging.getLogger(__name__)

SHOWN = 20
"""Failures in the message of the error."""
READ_AT_ONCE = 8
LARGEST_FINAL = 4 * 1024 * 1024
"""Bytes of a report without failures, and more."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What has come of a shard. `failures` are those of its last try, in a local file, if there are any."""

    shard: Shard
    report: ShardReport
    failures: Path | None

    @property
    def is_done(self) -> bool:
        return self.report.items == self.shard.items


@dataclass(frozen=True, slots=True)
class _Home:
    """The folder of a plan. `key` ends with ``/``."""

    store: BlobStore
    key: str
    window: Window

    def manifest(self, shard: Shard) -> str:
        return key_of(self.key, shard.number)


async def conclude(plan: Plan, *, work: Buckets) -> Report:
    """Check what all shards have done against the plan, write one report, and clean up behind those that ended well.

    What belongs to a shard that did not is kept: once it has run again, so can this. The report is written each time,
    at the same address, and stays.

    :param work: an open client of the bucket that the plan is in.
    :raises TransferError: some items failed or were never tried: it names the first, the report all. Its `report` is
        the :class:`Report`.
    """
    _check(plan)
    bucket, key = await work.locate(plan.uri)
    home = _Home((await work.opener.open(bucket)).store, key, work.window)
    uri = str(blob_uri(bucket.uri, key + REPORT))
    report, first = await _final(home), dict[str, Exception]()
    if report is None:
        with tempfile.TemporaryDirectory(prefix="shards-") as folder:
            outcomes = await _outcomes(plan, home, Path(folder))
            report = _sum(plan, outcomes, uri)
            await put_content(home.store, key + REPORT, _json(report, outcomes))
            first = dict(islice(_failures(outcomes), SHOWN))
        done = [outcome.shard for outcome in outcomes if outcome.is_done]
        await _clean(home, done, [DONE, ""])
    if report.failed or report.unfinished:
        raise TransferError(
            f"{report.failed} of {plan.items + plan.extra} files failed, and {report.unfinished} were not tried; the"
            f" report is {uri}",
            remedy="Run the shards that failed again: they go on where they stopped",
            failures=first,
            report=report,
            shown=SHOWN,
        )
    await _clean(home, plan.shards, [DONE, RESULT, ""])
    return report


def _check(plan: Plan) -> None:
    planned = {action: sum(one.items for one in plan.shards if one.action is action) for action in Action}
    if (planned[Action.TRANSFER], planned[Action.DELETE]) != (plan.items, plan.extra):
        raise ConfigurationError(
            f"the shards of {plan.uri} have not the items of the plan", remedy="Pass the plan as it was returned"
        )


async def _final(home: _Home) -> Report | None:
    """Return the report of a job that has been concluded, and ended well; then nothing else is left of it."""
    try:
        meta = await home.store.head(home.key + REPORT)
    except ResourceNotFound:
        return None
    content = await kept(home.store, meta.key, home.window) if meta.size <= LARGEST_FINAL else None
    if content is None:
        return None
    report = Report.of(json.loads(content))
    return None if report.failed or report.unfinished else report


async def _outcomes(plan: Plan, home: _Home, folder: Path) -> list[_Outcome]:
    found: dict[int, _Outcome] = {}

    async def look(shard: Shard) -> None:
        found[shard.number] = await _outcome(shard, home, folder)

    await share(plan.shards, look, workers=READ_AT_ONCE)
    return [found[shard.number] for shard in plan.shards]


async def _outcome(shard: Shard, home: _Home, folder: Path) -> _Outcome:
    """Return what has come of a shard: what it has noted last tells what is done, its result what failed."""
    key, path = home.manifest(shard), folder / str(shard.number)
    noted = await kept(home.store, key + DONE, home.window)
    result: ShardReport | None = None
    try:
        await fetch(home.store, key + RESULT, path)
        result = ShardReport.of(json.loads(next(lines_of(path), b"null")))
    except ResourceNotFound:
        pass
    if noted is not None:
        report = Ledger(shard, failures=Spool(path), kept=noted).report()
        if result is not None and result.items == report.items:
            return _Outcome(shard, result, path)
        return _Outcome(shard, report, None)  # a try that was cut off: nobody knows what it would have failed to do
    if result is not None:
        return _Outcome(shard, result, path)
    return _Outcome(shard, ShardReport(number=shard.number, action=shard.action), None)


def _sum(plan: Plan, outcomes: Sequence[_Outcome], uri: str) -> Report:
    transfers = [one.report for one in outcomes if one.shard.action is Action.TRANSFER]
    return Report(
        uri=uri,
        items=sum(one.items for one in transfers),
        bytes=sum(one.bytes for one in transfers),
        moved=sum(one.moved for one in transfers),
        verified=sum(one.verified for one in transfers),
        unchanged=plan.unchanged,
        deleted=sum(one.report.items for one in outcomes if one.shard.action is Action.DELETE),
        failed=sum(one.report.failed for one in outcomes),
        unfinished=sum(max(one.shard.items - one.report.items - one.report.failed, 0) for one in outcomes),
    )


async def _json(report: Report, outcomes: Sequence[_Outcome]) -> AsyncGenerator[bytes, None]:
    """Yield the report as JSON: the sums, each shard, and each failure."""
    head = report.as_json() | {"shards": [one.report.as_json() for one in outcomes]}
    yield json.dumps(head, indent=1).encode().removesuffix(b"\n}") + b',\n "failures": ['
    separator = b"\n  "
    for outcome in outcomes:
        for line in _failure_lines(outcome):
            yield separator + line
            separator = b",\n  "
    yield b"\n ]\n}\n"


def _failure_lines(outcome: _Outcome) -> Iterator[bytes]:
    return islice(lines_of(outcome.failures), 1, None) if outcome.failures is not None else iter(())


def _failures(outcomes: Sequence[_Outcome]) -> Iterator[tuple[str, Exception]]:
    for outcome in outcomes:
        for line in _failure_lines(outcome):
            failure = json.loads(line)
            yield failure["key"], BucketsError(failure["error"])


async def _clean(home: _Home, shards: Sequence[Shard], suffixes: Sequence[str]) -> None:
    """Remove what belongs to some shards. That some of it stays is no failure of the job."""
    keys = [home.manifest(shard) + suffix for shard in shards for suffix in suffixes]
    for begin in range(0, len(keys), BATCH):
        try:
            failed = await home.store.delete(keys[begin : begin + BATCH])
        except BucketsError as error:
            failed = {home.key: error}
        for key, reason in failed.items():
            log.warning("%s was not removed: %s", home.store.address(key), reason)
