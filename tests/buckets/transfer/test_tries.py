"""What the times tell of what an earlier try has moved, and what becomes of a large file that was cut off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import Unavailable
from airflow_provider_neuro_buckets.buckets.transfer import temporary
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, Freshness, plan_ranges
from airflow_provider_neuro_buckets.buckets.transfer.tries import Tries
from buckets.transfer.asking import download_one
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import failing, remote
from conformance.rigs.base import Rig

BEGAN = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEXT = Tries(has_earlier=True, began=BEGAN)
CURRENT, STALE, UNKNOWN = Freshness.CURRENT, Freshness.STALE, Freshness.UNKNOWN


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("written", "changed", "skew", "expected"),
    [
        (10, -100, 0, CURRENT),
        (10, 5, 0, CURRENT),
        (10, 20, 0, STALE),
        (10, 9, 0, UNKNOWN),
        (-10, -100, 0, STALE),
        (1, -100, 0, UNKNOWN),
        (-10, -100, 60, CURRENT),
        (10, -100, -60, STALE),
    ],
)
def test_a_blob_is_kept_if_it_was_written_since_the_first_try_began_and_since_its_file_was_touched(
    written: float, changed: float, skew: float, expected: Freshness
) -> None:
    found = NEXT.of_blob(file_changed=at(changed).timestamp(), blob_modified=at(written), skew=skew)
    assert found is expected


@pytest.mark.parametrize(
    ("mtime", "changed", "modified", "expected"),
    [
        (-100, 10, -100, CURRENT),
        (-100, -10, -100, STALE),
        (-100, 10, -50, UNKNOWN),
        (1000, 10, -100, UNKNOWN),
        (9, 10, 9, UNKNOWN),
        (5, 10, 5, CURRENT),
    ],
)
def test_a_file_is_kept_if_it_has_the_time_of_its_blob_and_was_written_since_the_first_try_began(
    mtime: float, changed: float, modified: float, expected: Freshness
) -> None:
    found = NEXT.of_file(
        file_mtime=at(mtime).timestamp(), file_changed=at(changed).timestamp(), blob_modified=at(modified), skew=0
    )
    assert found is expected


@pytest.mark.parametrize(
    ("made", "modified", "expected"),
    [(10, -100, CURRENT), (10, 20, STALE), (-10, -100, STALE), (10, 9, UNKNOWN), (1, -100, UNKNOWN)],
)
def test_a_copy_is_kept_if_it_was_made_since_the_first_try_began_and_since_its_source_was_written(
    made: float, modified: float, expected: Freshness
) -> None:
    found = NEXT.of_copy(source_modified=at(modified), copy_modified=at(made), source_skew=0, copy_skew=0)
    assert found is expected


def test_where_nobody_knows_when_the_first_try_began_times_tell_nothing() -> None:
    later = Tries(has_earlier=True)
    assert later.of_blob(file_changed=0, blob_modified=at(0), skew=0) is UNKNOWN
    assert later.of_file(file_mtime=0, file_changed=0, blob_modified=at(0), skew=0) is UNKNOWN
    assert later.of_copy(source_modified=at(0), copy_modified=at(9), source_skew=0, copy_skew=0) is UNKNOWN


async def cut_off(aws: Rig, path: Path, tries: Tries) -> None:
    """Try a download of which the third range does not arrive."""
    with pytest.raises(Unavailable):
        await download_one(
            remote(aws, "k", failing("read", Unavailable("down"), at=2))[0], path, tries=tries, concurrency=1
        )


async def test_a_large_download_is_gone_on_with_by_the_next_try_and_the_last_one_leaves_nothing(
    aws: Rig, tmp_path: Path
) -> None:
    content = bytes(range(256)) * (4 * PART // 256) + b"and more"
    await aws.put("k", content)
    plant(tmp_path, {"f": content[:100]})  # a beginning that is not gone on with: that is what continue_ asks for
    await cut_off(aws, tmp_path / "f", Tries(has_later=True))
    assert [name for name in snapshot(tmp_path) if temporary.is_temporary(name)]
    there, store = remote(aws, "k")
    report = await download_one(there, tmp_path / "f", existing=Existing.REPLACE, tries=Tries(has_earlier=True))
    third = [span.start for span in plan_ranges(0, len(content), part=len(content))][2]
    assert min(store.starts("read")) == third
    assert (report.bytes, snapshot(tmp_path)) == (len(content) - third, {"f": content})
    (tmp_path / "f").unlink()
    await cut_off(aws, tmp_path / "f", Tries(has_earlier=True))
    assert snapshot(tmp_path) == {}
