"""The example with paths, and results of tasks that Airflow keeps in a bucket: each in a fresh process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_rig import Platform

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "neuro_buckets_object_storage.py"

SCRIPT = """
import json, runpy, sys
from airflow.utils import db
db.initdb()
import airflow_provider_neuro_buckets.fs.path  # an old universal_pathlib must be told of it
dag = runpy.run_path(sys.argv[1])["dag"]
from airflow_here import run_here
ended = run_here(dag, bucket=sys.argv[2])
states = {task.task_id: str(task.state) for task in ended.get_task_instances()}
(added,) = [task for task in ended.get_task_instances() if task.task_id == "add_up"]
from airflow.models.xcom import XComModel
from sqlalchemy import select
from airflow.utils.session import create_session
with create_session() as session:
    rows = session.scalars(select(XComModel.value).where(XComModel.key == "return_value")).all()
from types import SimpleNamespace
from airflow.sdk.execution_time.xcom import XCom  # as a task reads it: with the backend that is configured
kept = added.xcom_pull(task_ids="add_up")
total = XCom.deserialize_value(SimpleNamespace(value=kept)) if isinstance(kept, str) else kept
print("\\n" + json.dumps({"state": str(ended.state), "states": states, "rows": [str(row) for row in rows],
    "added": total}))
"""


@pytest.fixture(params=["in the database", "in a bucket"])
def results_in(request: pytest.FixtureRequest, bucket: str) -> dict[str, str]:
    """Where Airflow keeps the results of tasks."""
    if request.param == "in the database":
        return {}
    return {
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"blob://neuro_buckets_default@{bucket}/xcom",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION": "gzip",
    }


def test_tables_are_written_read_and_added_up_wherever_results_are_kept(
    platform: Platform, bucket: str, tmp_path: Path, results_in: dict[str, str]
) -> None:
    before = platform.buckets()
    home = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE.parent),
        "PYTHONPATH": str(Path(__file__).parents[1]),  # of `airflow_here`
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(EXAMPLE), f"tables-{bucket}"[:40]],
        env={**os.environ, **home, **results_in, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert set(told["states"].values()) == {"success"}, done.stdout[-6000:]
    assert told["added"] == {
        "sold": 30_000,
        "tables": ["2026-01-01.parquet", "2026-01-02.parquet", "2026-01-03.parquet"],
        "files": ["2026-01-01.parquet", "2026-01-02.parquet", "2026-01-03.parquet", "by shop.csv.gz"],
    }
    assert platform.buckets() == before
    assert platform.running.token not in done.stdout + done.stderr
    kept = platform.keys(bucket)
    if not results_in:
        assert kept == []
        return
    assert len(kept) >= 5  # of each task that has a result
    assert all(key.startswith("xcom/neuro_buckets_object_storage/") and key.endswith(".gz") for key in kept)
    assert all(f"blob://neuro_buckets_default@{bucket}/xcom/" in row for row in told["rows"])
