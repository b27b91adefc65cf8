from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-")

# Airflow reads its environment when it is first imported, which is after this file.
os.environ |= {
    "AIRFLOW_HOME": AIRFLOW_HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[1] / "dags"),
}


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def database() -> None:
    """Airflow's own database, which it needs to run a DAG."""
    from airflow.utils import db  # loads after the environment is set

    db.initdb()


@pytest.fixture
def hook(neuro_buckets_local: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Looks into the platform from outside of the DAG, with the connection that the DAG uses."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", neuro_buckets_local.connection)
    return NeuroBucketsHook()


@pytest.fixture
def bucket(hook: Any) -> Iterator[str]:
    """The name of a fresh bucket."""
    hook.create("sales-test")
    yield "sales-test"
    hook.rm("sales-test", force=True)
