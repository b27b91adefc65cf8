"""Scheduling by assets: one DAG writes a blob, another runs whenever it has, with no clock and no sensor.

`assets=True` makes an asset of the address that a task writes. The address of the second task has the run in it, so no
scheduler knows it beforehand: the task adds what it wrote to an alias, and whoever waits for the alias runs as well.
Events tell Airflow only of what Airflow wrote; for blobs that others write there is the watcher of another example.
"""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_neuro_buckets.operators.blobs import BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketCopyDirOperator

BUCKET = os.environ.get("NEURO_BUCKETS_ASSETS", "neuro-buckets-assets")
REPORT = Asset(f"blob://{BUCKET}/latest/report.json")
ARCHIVE = AssetAlias("neuro_buckets_archive")


@task
def make_report() -> str:
    """Stand for the work."""
    return json.dumps({"rows": 3})


@task
def read_report(triggering_asset_events: Any = None) -> dict[str, int]:
    """Stand for whoever waits for the report: read it, and count what started this run."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    content = b"".join(NeuroBucketsHook().fetch_blob(BUCKET, "latest/report.json"))
    events = triggering_asset_events or {}
    return {**json.loads(content), "events": sum(len(of_asset) for of_asset in events.values())}


with DAG("neuro_buckets_assets", schedule=None, doc_md=__doc__, tags=["neuro-buckets"]) as dag:
    create = BucketCreateOperator(task_id="create", name=BUCKET)
    publish = BucketPutBlobOperator(
        task_id="publish",
        bucket_id_or_name=BUCKET,
        key="latest/report.json",
        body=make_report(),
        assets=True,
    )
    archive = BucketCopyDirOperator(
        task_id="archive",
        src=f"blob:{BUCKET}/latest/",
        dst=f"blob:{BUCKET}/archive/{{{{ run_id }}}}/",
        assets=True,
        outlets=[ARCHIVE],
    )
    create >> publish >> archive

with DAG("neuro_buckets_assets_reader", schedule=[REPORT], doc_md=__doc__, tags=["neuro-buckets"]):
    read_report()


if __name__ == "__main__":
    dag.test()
