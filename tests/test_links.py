"""The link of each task to its bucket or blob in the web console, and that finding it costs no request."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from airflow.sdk import DAG, BaseOperatorLink

from airflow_here import DagSerialization, before
from airflow_provider_neuro_buckets.links import BucketLink
from airflow_provider_neuro_buckets.operators.base import BucketsOperator
from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.credentials import (
    PersistentCredentialsCreateOperator,
    PersistentCredentialsRmOperator,
)
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketDownloadFileOperator,
    BucketUploadDirOperator,
    BucketUploadFileOperator,
)
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor, BucketGlobSensor
from platform_rig import closed_port

CONSOLE = "https://console.example.org/{project_name}/{bucket}/{key}"
HOME = "https://console.example.org/ml/lake"


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that is not there: a link that asked it would fail, or take seconds."""
    fields = {
        "conn_type": "neuro_buckets",
        "host": f"http://127.0.0.1:{closed_port()}/api/v1",
        "password": "token-of-nobody",
        "extra": {"console_url": CONSOLE, "project_name": "ml"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(fields))


def link(operator: Any) -> str:
    return BucketLink().get_link(operator, ti_key=cast("Any", None))


LEADS_TO: list[tuple[BucketsOperator, str]] = [
    (BucketCreateOperator(task_id="t", name="lake"), f"{HOME}/"),
    (BucketRmOperator(task_id="t", bucket_id_or_name="blob:lake"), f"{HOME}/"),
    (BucketPutBlobOperator(task_id="t", bucket_id_or_name="lake", key="key", body=""), f"{HOME}/"),
    (BucketBlobRmOperator(task_id="t", uri="blob:lake/raw/a%20b"), f"{HOME}/raw/a%20b"),
    (BucketUploadDirOperator(task_id="t", src="/data", dst="blob:lake/raw/"), f"{HOME}/raw/"),
    (BucketUploadFileOperator(task_id="t", src="/data", dst="blob:lake/raw"), f"{HOME}/raw"),
    (BucketDownloadDirOperator(task_id="t", src="blob:lake/raw/", dst="/data"), f"{HOME}/raw/"),
    (BucketDownloadFileOperator(task_id="t", src="blob:lake/raw", dst="/data"), f"{HOME}/raw"),
    (BucketCopyDirOperator(task_id="t", src="blob:other/", dst="blob:lake/raw"), f"{HOME}/raw"),
    (PersistentCredentialsCreateOperator(task_id="t", bucket_ids=["lake", "other"]), f"{HOME}/"),
    (BucketBlobSensor(task_id="t", uri=["blob:lake/a", "blob:lake/b"]), f"{HOME}/a"),
    (BucketGlobSensor(task_id="t", uri="blob:lake/raw/*.csv"), f"{HOME}/raw/"),
]


@pytest.mark.parametrize(("operator", "page"), LEADS_TO, ids=lambda given: type(given).__name__)
def test_a_task_leads_to_what_it_is_about(operator: BucketsOperator, page: str) -> None:
    assert link(operator) == page


def test_a_task_that_is_about_no_bucket_has_no_link() -> None:
    assert link(PersistentCredentialsRmOperator(task_id="t", credential_id_or_name="reader")) == ""
    assert link(BucketCreateOperator(task_id="t", name=None)) == ""


@pytest.mark.parametrize("conn_id", ["no_such_connection", "broken"])
def test_a_task_that_failed_for_its_connection_has_no_link(conn_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps({"conn_type": "neuro_buckets", "extra": {"nonsense": "1"}}))
    assert link(BucketBlobRmOperator(task_id="t", uri="blob:lake/a", neuro_buckets_conn_id=conn_id)) == ""


def test_a_task_without_a_link_keeps_the_links_that_others_gave_it() -> None:
    class Own(BaseOperatorLink):
        name = "Own"

        def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
            return "https://example.org"

    class Operator(BucketCreateOperator):
        operator_extra_links = (*BucketCreateOperator.operator_extra_links, Own())

    leading, leadless = Operator(task_id="t", name="lake"), Operator(task_id="t", name=None)
    for task in (leading, leadless):
        task.pre_execute({})
    assert [one.name for one in leading.operator_extra_links] == ["Bucket", "Own"]
    assert [one.name for one in leadless.operator_extra_links] == ["Own"]


def test_the_scheduler_keeps_the_links_name_for_the_browser() -> None:
    with DAG("dag", schedule=None) as dag:
        BucketBlobRmOperator(task_id="one", uri="blob:lake/a")
        BucketBlobRmOperator.partial(task_id="many").expand(uri=["blob:lake/a", "blob:lake/b"])
    back = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    # Airflow 3.0 asks no mapped task for them.
    for task in [back.task_dict["one"]] if before(3, 1) else back.task_dict.values():
        assert task.extra_links == ["Bucket"]
