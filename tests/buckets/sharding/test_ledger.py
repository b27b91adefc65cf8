from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    InvalidAnswer,
    PermissionDenied,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.sharding import Action, Shard
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.ledger import SHOWN, Ledger
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool, lines_of
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved


def shard_of(items: int) -> Shard:
    return Shard(uri="blob:b/work/1", number=1, action=Action.TRANSFER, items=items, bytes=10 * items)


def ledger_of(tmp_path: Path, items: int, kept: bytes | None = None) -> Ledger:
    return Ledger(shard_of(items), failures=Spool(tmp_path / "failures"), kept=kept)


def item(number: int) -> tuple[int, Entry]:
    return number, Entry(f"key-{number}", 10)


def manifest_of(tmp_path: Path, items: int) -> Path:
    spool = Spool(tmp_path / "manifest")
    for line in [b"{}", *(item(number)[1].line() for number in range(items))]:
        spool.add(line)
    spool.flush()
    return spool.path


async def test_the_next_try_goes_on_where_one_stopped(tmp_path: Path) -> None:
    first = ledger_of(tmp_path, 20)
    first.done(item(3), Moved(7, Proof.CHECKSUM))
    first.done(item(9), Moved(10, Proof.SIZE))
    first.done(item(19), Left.KEPT)
    first.fail(item(4), Unavailable("not now"))
    next_one = ledger_of(tmp_path, 20, first.content())
    report = next_one.report()
    assert (report.items, report.bytes, report.moved, report.verified, report.failed) == (3, 30, 17, 2, 0)
    left = [number async for number, _ in next_one.unfinished(manifest_of(tmp_path, 20))]
    assert left == [number for number in range(20) if number not in {3, 9, 19}]
    assert next_one.tries.has_earlier
    assert not first.tries.has_earlier


def test_all_failures_are_written_and_the_first_are_kept(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 1000)
    for number in range(1000):
        ledger.fail(item(number), InvalidAnswer(f"no {number}"))
    spool = ledger._failures
    spool.flush()
    written = [json.loads(line) for line in lines_of(spool.path)]
    assert written == [{"key": f"key-{number}", "error": f"no {number}"} for number in range(1000)]
    assert list(ledger.first) == [f"key-{number}" for number in range(SHOWN)]
    assert ledger.stopped() is None


async def test_a_token_that_is_not_accepted_stops_the_shard(tmp_path: Path) -> None:
    ledger, error = ledger_of(tmp_path, 5), AuthenticationError("no")
    seen = []
    async for number, _ in ledger.unfinished(manifest_of(tmp_path, 5)):
        seen.append(number)
        if number == 2:
            ledger.fail(item(number), error)
        else:
            ledger.done(item(number), Moved(10, Proof.SIZE))
    assert seen == [0, 1, 2]
    assert ledger.stopped() is error


def test_rights_that_are_missing_for_everything_stop_the_shard(tmp_path: Path) -> None:
    ledger, error = ledger_of(tmp_path, 5), PermissionDenied("no")
    for number in range(5):
        ledger.fail(item(number), error)
    assert ledger.stopped() is error


@pytest.mark.parametrize("other", [None, Unavailable("not now")])
def test_rights_that_are_missing_for_some_do_not(tmp_path: Path, other: BucketsError | None) -> None:
    ledger = ledger_of(tmp_path, 5)
    ledger.fail(item(0), PermissionDenied("no"))
    if other is None:
        ledger.done(item(1), Moved(10, Proof.SIZE))
    else:
        ledger.fail(item(1), other)
    assert ledger.stopped() is None


@pytest.mark.parametrize("kept", [b"no JSON", b"[]", b'{"done": "~~"}', b'{"bytes": "1", "done": ""}'])
def test_books_that_cannot_be_read_are_an_error(tmp_path: Path, kept: bytes) -> None:
    for content in (gzip.compress(kept), kept, b""):
        with pytest.raises(InvalidAnswer, match="an earlier try has noted"):
            ledger_of(tmp_path, 20, content)


def test_books_of_another_shard_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidAnswer, match="of another shard"):
        ledger_of(tmp_path, 20, ledger_of(tmp_path, 200).content())
