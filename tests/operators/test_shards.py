"""One shard in one task: killed and tried again, and what it tells; whole groups run in `tests/dags/test_shards.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_neuro_buckets.buckets.sharding import BucketEnd, CopyJob, FolderEnd, Plan, plan_shards
from airflow_provider_neuro_buckets.operators.shards import (
    BucketConcludeShardsOperator,
    BucketShardOperator,
    BucketTransferShardOperator,
)
from operators.killing import Task, stalling, wait_until
from operators.test_lineage import ends, numbers, told
from platform_rig import Platform, WatchedPlatform

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that are moved in parts."""
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(8):
        with (folder / f"{number}.bin").open("wb") as file:
            file.truncate(32 * MIB)
    return folder


def planned(platform: Platform, src: Path, dst: str) -> Plan:
    """Return a plan with one shard."""

    async def plan(buckets: Any) -> Plan:
        job = CopyJob(FolderEnd(src), BucketEnd(buckets, dst))
        return await plan_shards(job, work=BucketEnd(buckets, f"{dst.partition('/')[0]}/.work"), shards=1)

    return platform.ask(plan)


def test_a_killed_shard_stops_within_seconds_and_its_next_try_goes_on(watched: WatchedPlatform, folder: Path) -> None:
    with watched.fresh_bucket() as bucket:
        args: dict[str, Any] = {"src": str(folder), "dst": f"blob:{bucket}/raw"}
        plan = planned(watched, folder, args["dst"])
        args["shard"] = plan.shards[0].as_json()
        first = BucketTransferShardOperator(task_id="move", **args)
        with stalling(watched, bucket):
            task = Task(first)
            wait_until(lambda: watched.unfinished(bucket))
            first.on_kill()
            error = task.ended()
        assert isinstance(error, AirflowException)
        assert not isinstance(error, AirflowFailException)
        assert "move was stopped" in str(error)
        done = BucketTransferShardOperator(task_id="move", **args).execute({})
        assert (done["items"], done["bytes"], done["failed"]) == (8, 8 * 32 * MIB, 0)
        assert set(done) == {"number", "action", "items", "bytes", "moved", "verified", "failed"}
        concluded = BucketConcludeShardsOperator(task_id="end", src=args["src"], dst=args["dst"], plan=plan.as_json())
        assert concluded.execute({})["files"] == 8
        assert watched.unfinished(bucket) == []
        assert {key.rpartition("/")[2] for key in watched.keys(bucket) if "/raw/" not in f"/{key}"} == {"report.json"}


def test_a_conclusion_names_what_was_never_tried_and_no_retry_mends_that(
    platform: Platform, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "file.csv").write_bytes(b"1")
    plan = planned(platform, tmp_path, f"blob:{bucket}/raw")
    ends = {"src": str(tmp_path), "dst": f"blob:{bucket}/raw"}
    with pytest.raises(AirflowFailException, match="1 "):
        BucketConcludeShardsOperator(task_id="end", plan=plan.as_json(), **ends).execute({})


def test_a_shard_of_other_ends_is_refused(platform: Platform, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(b"1")
    shard = planned(platform, tmp_path, f"blob:{bucket}/raw").shards[0].as_json()
    other = BucketTransferShardOperator(task_id="move", src=str(tmp_path), dst=f"blob:{bucket}/other", shard=shard)
    with pytest.raises(AirflowFailException, match="not made for this"):
        other.execute({})
    nothing = BucketTransferShardOperator(task_id="move", src=str(tmp_path), dst=f"blob:{bucket}/raw", shard={})
    with pytest.raises(AirflowFailException, match="is no shard"):
        nothing.execute({})


def test_a_rehearsed_shard_moves_nothing(platform: Platform, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(b"1")
    shard = planned(platform, tmp_path, f"blob:{bucket}/raw").shards[0].as_json()
    operator = BucketTransferShardOperator(
        task_id="move", src=str(tmp_path), dst=f"blob:{bucket}/raw", shard=shard, dry_run=True
    )
    assert operator.execute({})["items"] == 0
    assert not [key for key in platform.keys(bucket) if key.startswith("raw/")]


@pytest.fixture
def mistakes(bucket: str) -> list[tuple[dict[str, Any], str]]:
    """Arguments that do not go together, and what is said of them."""
    inside = f"blob:{bucket}/raw"
    return [
        ({"src": inside}, "mode='copy' with dst=None"),
        ({"src": inside, "dst": f"blob:{bucket}/x", "mode": "delete"}, "mode='delete' with dst="),
        ({"src": inside, "dst": f"blob:{bucket}/x", "delete_extra": True}, "delete_extra is for mode='sync'"),
        ({"src": "/here", "dst": "/there"}, "neither src=/here nor dst=/there is in a bucket"),
        ({"src": f"blob:{bucket}", "mode": "delete"}, "Confirm it with allow_whole_bucket=True"),
        ({"src": inside, "dst": f"blob:{bucket}/raw/x"}, "lie in one another"),
        ({"src": "nonsense://here", "dst": inside}, "Airflow has no storage for nonsense://here"),
        ({"src": None, "dst": inside}, "Airflow has no storage for None"),
        ({"src": "", "dst": inside}, "'' is not a local path"),
    ]


def test_arguments_that_do_not_go_together_fail_a_plan_at_once(
    platform: Platform, bucket: str, mistakes: list[tuple[dict[str, Any], str]]
) -> None:
    platform.put(bucket, **{"raw/1": b"1"})
    for arguments, says in mistakes:
        with pytest.raises(AirflowFailException) as raised:
            BucketShardOperator(task_id="plan", **arguments).execute({})
        assert says in str(raised.value)
    assert platform.keys(bucket) == ["raw/1"]


def test_the_conclusion_tells_openlineage_both_ends_whatever_storage_they_are_in() -> None:
    done = {"files": 2, "bytes": 3}
    for src, expected in {
        "blob:lake/raw/": ("blob://lake", "raw"),
        "s3://aws_default@old-lake/raw/": ("s3://old-lake", "raw"),
        "gs://old-lake": ("gs://old-lake", "/"),
        "/shared/raw": ("file", "/shared/raw"),
        "file:///shared/raw": ("file", "/shared/raw"),
    }.items():
        operator = BucketConcludeShardsOperator(task_id="end", src=src, dst="blob:mirror/raw", plan={})
        operator.result(**done)
        assert ends(told(operator)) == ([expected], [("blob://mirror", "raw")])
        assert numbers(told(operator)) == (3, 2)


def test_the_link_leads_to_the_end_in_whose_bucket_the_work_lies(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(platform.running.connection)
    connection["extra"]["console_url"] = "https://console.example.org/{bucket}?at={key}"
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(connection))
    (link,) = BucketShardOperator.operator_extra_links
    cases: list[tuple[dict[str, Any], str]] = [
        ({"src": "/shared", "dst": "blob:lake/raw"}, "https://console.example.org/lake?at=raw"),
        ({"src": "blob:lake/raw", "dst": "s3://elsewhere/raw"}, "https://console.example.org/lake?at=raw"),
        ({"src": "/here", "dst": "/there"}, ""),
    ]
    for arguments, expected in cases:
        operator = BucketShardOperator(task_id="plan", **arguments)
        assert link.get_link(operator, ti_key=None) == expected  # type: ignore[arg-type]  # it is not asked
