"""The example with paths, and results of tasks that Airflow keeps in a bucket: each in a fresh process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_here import needs
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


TOLD = "import airflow_provider_neuro_buckets.fs.path"
"""What an older Airflow must have in its local settings."""

KEPT = """
import json, sys
from types import SimpleNamespace
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend as Backend
row = Backend.serialize_value({"sold": 1}, key="return_value", task_id="t", dag_id="d", run_id="r")
print("\\n" + json.dumps({"row": row, "value": Backend.deserialize_value(SimpleNamespace(value=row))}))
"""


@pytest.fixture
def in_a_bucket(bucket: str) -> dict[str, str]:
    """What lets Airflow keep the results of tasks in a bucket."""
    return {
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"blob://neuro_buckets_default@{bucket}/xcom",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION": "gzip",
    }


@pytest.fixture(
    params=[
        "in the database",
        pytest.param("in a bucket", marks=needs(3, 1, reason="asks no backend where all tasks run in one process")),
    ]
)
def results_in(request: pytest.FixtureRequest, in_a_bucket: dict[str, str]) -> dict[str, str]:
    """Where Airflow keeps the results of tasks."""
    return in_a_bucket if request.param == "in a bucket" else {}


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


def test_a_result_is_kept_in_a_bucket_whose_paths_the_local_settings_tell_of(
    platform: Platform, bucket: str, tmp_path: Path, in_a_bucket: dict[str, str]
) -> None:
    (tmp_path / "airflow_local_settings.py").write_text(TOLD)
    done = subprocess.run(
        [sys.executable, "-c", KEPT],
        env={**os.environ, **in_a_bucket, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    (key,) = platform.keys(bucket)
    assert key.startswith("xcom/d/r/t/")
    assert f"blob://neuro_buckets_default@{bucket}/{key}" in told["row"]
    assert told["value"] == {"sold": 1}
