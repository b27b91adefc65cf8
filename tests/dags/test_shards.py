"""Transfers in shards, in real Airflow: mapped tasks, all in one process; on workers: `make test-distributed`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.utils import db
from fsspec.implementations.memory import MemoryFileSystem

from airflow_here import attach, before, dags_in, run_here
from platform_rig import Platform

pytestmark = [
    # As of the other DAGs.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using `httpx` with"),
]

EXAMPLES = Path(__file__).parents[2] / "example_dags"
CASES = Path(__file__).parent / "dag_files"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
BUNDLES = [
    {"name": f"shards of {path.name}", "classpath": LOCAL, "kwargs": {"path": str(path)}} for path in (EXAMPLES, CASES)
]
BLOBS = {f"raw/{number}/{number}.csv": f"{number}\n".encode() * number for number in range(10)}


@pytest.fixture(scope="module", autouse=True)
def database() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(BUNDLES))
        db.initdb()
        yield


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run: the states of each task in the order of its mapping, and its results likewise."""

    state: str
    states: dict[str, list[str]]
    results: dict[str, list[Any]]
    said: str


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    files = (EXAMPLES / "neuro_buckets_sync.py", CASES / "neuro_buckets_shards.py")
    return {dag.dag_id: dag for path in files for dag in dags_in(path).dags.values()}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], dags: dict[str, Any]) -> Any:
    """Run a DAG by its id, with its params."""

    def run(dag_id: str, **params: Any) -> Run:
        capfd.readouterr()
        ended = run_here(dags[dag_id], **params)
        states: dict[str, list[str]] = {}
        results: dict[str, list[Any]] = {}
        for task in sorted(ended.get_task_instances(), key=lambda task: task.map_index):
            states.setdefault(task.task_id, []).append(str(task.state))
            found = task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index, key="return_value")
            results.setdefault(task.task_id, []).append(found)
        return Run(str(ended.state), states, results, "".join(capfd.readouterr()))

    return run


@pytest.fixture
def other(platform: Platform) -> Iterator[str]:
    """The name of another fresh bucket."""
    with platform.fresh_bucket() as name:
        yield name


def moved(platform: Platform, bucket: str) -> set[str]:
    """Return the keys of a bucket, without what the tasks told one another."""
    return {key for key in platform.keys(bucket) if not key.startswith(".neuro-buckets/")}


def left(platform: Platform, bucket: str) -> list[str]:
    """Return the names of what the tasks have left behind."""
    return [key.rpartition("/")[2] for key in platform.keys(bucket) if key.startswith(".neuro-buckets/")]


def content(platform: Platform, bucket: str, key: str) -> bytes:
    async def read(buckets: Any) -> bytes:
        return b"".join([chunk async for chunk in buckets.fetch_blob(bucket, key)])

    return platform.ask(read)


def test_the_example_mirrors_a_lake_and_leaves_nothing(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_sync", lake="sync-lake", mirror="sync-mirror")
    assert done.state == "success", done.said
    (copied,), (synced,) = done.results["copy.conclude"], done.results["sync.conclude"]
    assert (copied["files"], copied["unchanged"], copied["deleted"]) == (12, 0, 0)
    assert (synced["files"], synced["unchanged"], synced["deleted"]) == (1, 10, 1)
    assert len(done.results["copy.transfer"]) == 4
    assert done.results["count"][0]["files"] == 11 + 2  # a report of each group
    assert platform.buckets() == before
    assert platform.running.token not in done.said


@pytest.mark.usefixtures("platform")
def test_a_rehearsal_of_the_example_moves_and_deletes_nothing_the_second_time(run: Any) -> None:
    done = run("neuro_buckets_sync", lake="sync-lake", mirror="sync-mirror", rehearse=True)
    assert done.state == "success", done.said
    assert done.results["count"][0]["files"] == 12 + 1
    assert "raw/12.csv would be deleted" in done.said
    assert "raw/01.csv (" in done.said
    (synced,) = done.results["sync.conclude"]
    assert (synced["files"], synced["unchanged"], synced["deleted"], synced["dry_run"]) == (1, 10, 1, True)
    assert done.states["sync.transfer"] == done.states["sync.delete"] == ["skipped"]


def test_a_copy_is_cut_into_shards_that_say_how_much_they_moved(
    run: Any, platform: Platform, bucket: str, other: str
) -> None:
    platform.put(bucket, **BLOBS)
    done = run("copied", src=f"blob:{bucket}/raw", dst=f"blob:{other}/copy")
    assert done.state == "success", done.said
    (shards,), parts, (end,) = (done.results[f"move.{task}"] for task in ("plan", "transfer", "conclude"))
    assert [shard["number"] for shard in shards] == [part["number"] for part in parts] == [1, 2, 3]
    assert all(set(shard) == {"uri", "number", "action", "items", "bytes"} for shard in shards)
    total = sum(map(len, BLOBS.values()))
    assert sum(part["items"] for part in parts) == end["files"] == len(BLOBS)
    assert sum(part["bytes"] for part in parts) == end["bytes"] == total
    assert (end["uri"], end["verified"]) == (f"blob:{other}/copy", len(BLOBS))
    assert moved(platform, other) == {key.replace("raw/", "copy/") for key in BLOBS}
    assert content(platform, other, "copy/9/9.csv") == BLOBS["raw/9/9.csv"]
    assert left(platform, other) == ["report.json"]
    assert left(platform, bucket) == []
    assert "3 files" in done.said
    assert platform.running.token not in done.said


def test_a_run_that_finds_nothing_to_do_ends_well(run: Any, platform: Platform, bucket: str, other: str) -> None:
    platform.put(bucket, **BLOBS)
    ends = {"src": f"blob:{bucket}/raw", "dst": f"blob:{other}/raw"}
    assert run("synced", **ends).results["move.conclude"][0]["files"] == len(BLOBS)
    again = run("synced", **ends)
    assert again.state == "success", again.said
    assert again.results["move.plan"] == [[]]
    assert again.states["move.transfer"] == ["skipped"]
    (end,) = again.results["move.conclude"]
    assert (end["files"], end["unchanged"]) == (0, len(BLOBS))


def test_what_only_the_destination_has_is_deleted_once_all_is_moved(
    run: Any, platform: Platform, bucket: str, other: str
) -> None:
    platform.put(bucket, **BLOBS)
    platform.put(other, **{"raw/extra.csv": b"1", "elsewhere": b"2"})
    ends = {"src": f"blob:{bucket}/raw", "dst": f"blob:{other}/raw"}
    told = run("rehearsed", **ends)
    assert told.state == "success", told.said
    assert "raw/extra.csv would be deleted" in told.said
    assert moved(platform, other) == {"raw/extra.csv", "elsewhere"}
    assert left(platform, other) == []
    done = run("mirrored", **ends)
    assert done.state == "success", done.said
    assert done.results["move.conclude"][0]["deleted"] == 1
    assert moved(platform, other) == {*BLOBS, "elsewhere"}
    assert left(platform, other) == ["report.json"]


def test_what_fails_is_named_by_the_conclusion_and_nothing_is_deleted_then(
    run: Any, platform: Platform, other: str, tmp_path: Path
) -> None:
    (tmp_path / "good.csv").write_bytes(b"1")
    (tmp_path / "leads out.csv").symlink_to("/etc/hostname")
    platform.put(other, **{"raw/extra.csv": b"1"})
    done = run("synced", src=str(tmp_path), dst=f"blob:{other}/raw")
    assert done.state == "failed"
    assert done.states["move.conclude"] == ["failed"]
    assert sorted(done.states["move.transfer"]) == ["failed", "success"]
    assert "leads out.csv" in done.said
    assert moved(platform, other) == {"raw/good.csv", "raw/extra.csv"}


def test_a_folder_that_all_workers_see_goes_up_and_comes_down(run: Any, bucket: str, tmp_path: Path) -> None:
    for key, body in BLOBS.items():
        path = tmp_path / "up" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    up = run("copied", src=str(tmp_path / "up"), dst=f"blob:{bucket}/lake")
    assert up.state == "success", up.said
    down = run("copied", src=f"blob:{bucket}/lake", dst=(tmp_path / "down").as_uri())
    assert down.state == "success", down.said
    found = {str(path.relative_to(tmp_path / "down")): path for path in (tmp_path / "down").rglob("*.csv")}
    assert {key: path.read_bytes() for key, path in found.items()} == BLOBS


def test_a_path_of_another_provider_is_an_end_too(run: Any, platform: Platform, bucket: str) -> None:
    platform.put(bucket, **BLOBS)
    attach("memory", "in_memory", fs=MemoryFileSystem())  # what a provider with a filesystem and a connection does
    there = f"memory://in_memory@shards-{bucket}/lake"
    out = run("copied", src=f"blob:{bucket}/raw", dst=there)
    assert out.state == "success", out.said
    back = run("copied", src=there, dst=f"blob:{bucket}/back")
    assert back.state == "success", back.said
    assert moved(platform, bucket) == {*BLOBS, *(key.replace("raw/", "back/", 1) for key in BLOBS)}
    assert content(platform, bucket, "back/9/9.csv") == BLOBS["raw/9/9.csv"]


def test_each_end_may_have_a_connection_of_its_own(
    run: Any, platform: Platform, bucket: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, **BLOBS)
    monkeypatch.setenv("AIRFLOW_CONN_OURS", platform.running.connection)
    reader = json.loads(platform.running.connection) | {"password": platform.running.readonly_token}
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", json.dumps(reader))
    monkeypatch.delenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT")
    ends = {"src": f"blob:{bucket}/raw", "dst": f"blob:{other}/raw"}
    done = run("between_connections", **ends, src_conn="theirs", dst_conn="ours")
    assert done.state == "success", done.said
    assert moved(platform, other) == set(BLOBS)
    wrong = run("between_connections", **ends, src_conn="ours", dst_conn="nobody")
    assert wrong.state == "failed"
    assert "there is no Airflow connection 'nobody'" in wrong.said


def test_the_work_may_lie_inside_of_what_is_moved(run: Any, platform: Platform, bucket: str, tmp_path: Path) -> None:
    platform.put(bucket, **BLOBS)
    done = run("into_the_source", src=f"blob:{bucket}", dst=str(tmp_path / "down"), work=f"blob:{bucket}/raw/.work")
    assert done.state == "success", done.said
    assert {str(path.relative_to(tmp_path / "down")) for path in (tmp_path / "down").rglob("*.csv")} == set(BLOBS)
    assert not list((tmp_path / "down").rglob(".work"))


def test_more_shards_than_airflow_maps_are_refused_in_one_sentence(
    run: Any, platform: Platform, bucket: str, other: str
) -> None:
    platform.put(bucket, **BLOBS)
    done = run("too_many_shards", src=f"blob:{bucket}/raw", dst=f"blob:{other}/raw")
    assert done.state == "failed"
    assert "shards=2000 is more than Airflow maps a task over, [core] max_map_length=1024" in done.said
    assert done.states["move.conclude"] == ["failed"]
    assert "move.plan has left no 'plan', so there is nothing to conclude" in done.said
    assert before(3, 1) or "XComNotFound" not in done.said  # Airflow 3.0 logs what it cannot render
    assert moved(platform, other) == set()


def test_a_folder_is_deleted_in_shards_and_a_whole_bucket_only_if_that_is_confirmed(
    run: Any, platform: Platform, bucket: str
) -> None:
    platform.put(bucket, **BLOBS, other=b"1")
    done = run("deleted", src=f"blob:{bucket}/raw")
    assert done.state == "success", done.said
    assert done.results["conclude"][0]["deleted"] == len(BLOBS)
    assert moved(platform, bucket) == {"other"}
    refused = run("deleted", src=f"blob:{bucket}")
    assert refused.state == "failed"
    assert "allow_whole_bucket=True" in refused.said
    assert moved(platform, bucket) == {"other"}
    confirmed = run("deleted", src=f"blob:{bucket}", sure="True")
    assert confirmed.state == "success", confirmed.said
    assert moved(platform, bucket) == set()
