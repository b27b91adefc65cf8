"""What the hook tells Airflow's lineage of its transfers, through Airflow's own collector."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_here import lineage
from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound
from airflow_provider_neuro_buckets.hooks import lineage as module
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> lineage.HookLineageCollector:
    """Airflow's collector, as it is where a plugin reads lineage."""
    collecting = lineage.HookLineageCollector()
    monkeypatch.setattr(module, "get_hook_lineage_collector", lambda: collecting)
    return collecting


def told(collector: lineage.HookLineageCollector) -> tuple[set[str], set[str]]:
    found = collector.collected_assets
    return {info.asset.uri for info in found.inputs}, {info.asset.uri for info in found.outputs}


def test_each_transfer_tells_both_its_ends_and_a_folder_is_one_asset(
    bucket: str, tmp_path: Path, collector: lineage.HookLineageCollector
) -> None:
    (tmp_path / "up").mkdir()
    for name in ("a", "b"):
        (tmp_path / "up" / name).write_bytes(b"1")
    with NeuroBucketsHook() as hook:
        hook.upload_dir(tmp_path / "up", f"blob:{bucket}/dir/")
        assert told(collector) == ({f"file://{tmp_path}/up"}, {f"blob://{bucket}/dir"})
        hook.upload_file(str(tmp_path / "up" / "a"), f"blob:{bucket}/one")
        hook.copy_blob(f"blob:{bucket}/one", f"blob:{bucket}/two")
        hook.copy_dir(f"blob:{bucket}/dir", f"blob:{bucket}/copy")
        hook.download_file(f"blob:{bucket}/two", tmp_path / "two")
        hook.download_dir(f"blob:{bucket}/copy", tmp_path / "down")
    read, written = told(collector)
    assert read == {
        f"file://{tmp_path}/up",
        f"file://{tmp_path}/up/a",
        *(f"blob://{bucket}/{key}" for key in ("one", "dir", "two", "copy")),
    }
    assert written == {
        f"file://{tmp_path}/two",
        f"file://{tmp_path}/down",
        *(f"blob://{bucket}/{key}" for key in ("dir", "one", "two", "copy")),
    }


def test_an_end_that_is_too_long_for_an_asset_fails_no_transfer(
    bucket: str, tmp_path: Path, collector: lineage.HookLineageCollector
) -> None:
    """A letter of another script takes six characters of a URL, of which an asset has 1,500."""
    folder = tmp_path.joinpath(*["\u0434" * 100] * 4)
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"1")
    with NeuroBucketsHook() as hook:
        hook.upload_file(folder / "file", f"blob:{bucket}/one")
        assert hook.head_blob(bucket, "one").size == 1
    assert told(collector) == (set(), {f"blob://{bucket}/one"})


def test_a_dry_run_tells_nothing(bucket: str, tmp_path: Path, collector: lineage.HookLineageCollector) -> None:
    (tmp_path / "up").mkdir()
    with NeuroBucketsHook() as hook:
        hook.upload_dir(tmp_path / "up", f"blob:{bucket}/dir/", dry_run=True)
    assert told(collector) == (set(), set())


def test_a_blob_by_bucket_and_key_is_the_same_asset_as_by_address(
    bucket: str, collector: lineage.HookLineageCollector
) -> None:
    with NeuroBucketsHook() as hook:
        hook.put_blob(bucket, "a b?", b"1")
        assert b"".join(hook.fetch_blob(bucket, "a b?")) == b"1"
    assert told(collector) == ({f"blob://{bucket}/a%20b%3F"}, {f"blob://{bucket}/a%20b%3F"})


def test_a_transfer_that_fails_tells_nothing(bucket: str, collector: lineage.HookLineageCollector) -> None:
    with pytest.raises(ResourceNotFound):
        NeuroBucketsHook().upload_dir("/nowhere", f"blob:{bucket}/dir")
    assert not collector.has_collected
