"""`bucket_sync_group` on two workers: Airflow with CeleryExecutor and Redis, on a real platform."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from distributed.gate import Gate, gated
from distributed.running import Distributed
from platform_rig import Platform

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

DAG_ID = "neuro_buckets_distributed"
WORKERS = ("first", "second")
CONCURRENCY = 2
SHARDS, BLOBS = 8, 400


@dataclass(frozen=True, slots=True)
class Lake:
    """A bucket with blobs in `raw/`, and one to copy them to, both behind a gate."""

    platform: Platform
    gate: Gate
    src: str
    dst: str

    def ends(self, folder: str) -> dict[str, str]:
        return {"src": f"blob:{self.src}/raw", "dst": f"blob:{self.dst}/{folder}"}

    def digests(self, address: str) -> dict[str, str]:
        """Return the key below an address and the MD5 of each blob there."""

        async def read(buckets: Buckets) -> dict[str, str]:
            _, prefix = await buckets.locate(address)
            bucket = address.removeprefix("blob:").partition("/")[0]
            found = {}
            async for entry in buckets.list_blobs(f"{address}/", recursive=True, limit=None):
                content = b"".join([chunk async for chunk in buckets.fetch_blob(bucket, entry.key)])
                found[entry.key.removeprefix(f"{prefix}/")] = hashlib.md5(content).hexdigest()
            return found

        return self.platform.ask(read)


@pytest.fixture(scope="module")
def lake(neuro_buckets_local: RunningPlatform) -> Iterator[Lake]:
    platform = Platform(neuro_buckets_local)
    with ExitStack() as stack:
        src, dst = (stack.enter_context(platform.fresh_bucket()) for _ in range(2))
        platform.put(src, **{f"raw/{number % 7}/{number}.csv": f"{number}\n".encode() * 99 for number in range(BLOBS)})
        yield Lake(platform, stack.enter_context(gated(platform, src)), src, dst)


@pytest.fixture(scope="module")
def airflow(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distributed]:
    bundle = {
        "name": "distributed",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(Path(__file__).parent / "dag_files")},
    }
    connection = json.loads(lake.gate.connection)
    connection["extra"]["max_concurrency"] = 4  # so that a shard is not done before its worker is killed
    settings = {
        "AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": json.dumps(connection),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
    }
    home = tmp_path_factory.mktemp("distributed")
    with Distributed.running(home, settings, workers=WORKERS, concurrency=CONCURRENCY) as running:
        yield running


def transfers(airflow: Distributed, run_id: str) -> list[dict[str, Any]]:
    """Return the mapped tasks that move a shard."""
    return [task for task in airflow.tasks(DAG_ID, run_id) if task["task_id"] == "move.transfer"]


def busy(airflow: Distributed, run_id: str) -> Counter[str]:
    """Return how many tasks each worker runs."""
    return Counter(task["hostname"] for task in transfers(airflow, run_id) if task["state"] == "running")


def fully_busy(airflow: Distributed, run_id: str) -> bool:
    return busy(airflow, run_id) == dict.fromkeys(WORKERS, CONCURRENCY)


def concluded(airflow: Distributed, run_id: str) -> dict[str, Any]:
    """Return what the last task of a run has returned."""
    path = (
        f"/dags/{DAG_ID}/dagRuns/{quote(run_id)}/taskInstances/move.conclude/xcomEntries/return_value?deserialize=true"
    )
    value: dict[str, Any] = airflow.get(path)["value"]
    return value


def test_both_workers_move_shards(airflow: Distributed, lake: Lake) -> None:
    lake.gate.close_after(0)  # so that neither has done everything before the other has begun
    run_id = airflow.run(DAG_ID, **lake.ends("plain"))
    airflow.until_in(DAG_ID, run_id, "both workers are busy", lambda: fully_busy(airflow, run_id))
    lake.gate.open()
    assert airflow.ended(DAG_ID, run_id) == "success", airflow.said()
    moved = transfers(airflow, run_id)
    assert len(moved) == SHARDS
    assert {task["hostname"] for task in moved} == set(WORKERS)
    assert {task["try_number"] for task in moved} == {1}
    assert (concluded(airflow, run_id)["files"], concluded(airflow, run_id)["verified"]) == (BLOBS, BLOBS)
    assert lake.digests(f"blob:{lake.dst}/plain") == lake.digests(f"blob:{lake.src}/raw")
    assert "files" in airflow.log(DAG_ID, run_id, moved[0])


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(airflow: Distributed, lake: Lake) -> None:
    lake.gate.close_after(BLOBS // 4)
    run_id = airflow.run(DAG_ID, **lake.ends("killed"))
    airflow.until_in(
        DAG_ID, run_id, "both workers have moved some", lambda: lake.gate.held and fully_busy(airflow, run_id)
    )
    under_way = {task["map_index"] for task in transfers(airflow, run_id) if task["hostname"] == "first"}
    airflow.kill_worker("first")
    assert len(lake.digests(f"blob:{lake.dst}/killed")) < BLOBS
    lake.gate.open()
    assert airflow.ended(DAG_ID, run_id) == "success", airflow.said()
    moved = transfers(airflow, run_id)
    again = {task["map_index"]: task["hostname"] for task in moved if task["try_number"] > 1}
    assert again
    assert again.keys() <= under_way
    assert set(again.values()) == {"second"}
    assert {task["state"] for task in moved} == {"success"}
    assert (concluded(airflow, run_id)["files"], concluded(airflow, run_id)["verified"]) == (BLOBS, BLOBS)
    assert lake.digests(f"blob:{lake.dst}/killed") == lake.digests(f"blob:{lake.src}/raw")
