"""A partner delivers files: wait until all are there and nobody writes them any more, load them, put them away.

The wait is in the triggerer, so that no worker is held for hours. What was loaded is copied to an archive before it is
removed, so that a run that fails in between loses nothing, and the next delivery begins with an empty folder.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketCopyDirOperator, BucketDownloadDirOperator
from airflow_provider_neuro_buckets.sensors.blobs import BucketGlobSensor

BUCKET = "{{ params.bucket }}"
INCOMING = f"blob:{BUCKET}/incoming/"


@task
def deliver(bucket: str) -> None:
    """Stand for the partner, who knows nothing of this DAG."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    with NeuroBucketsHook() as hook:
        for shop in ("Graz", "Linz", "Wien"):
            hook.put_blob(bucket, f"incoming/{shop}.csv", f"shop,sold\n{shop},7\n".encode())


@task
def make_folder() -> str:
    """Make a folder of the worker."""
    return tempfile.mkdtemp(prefix="neuro-buckets-partner-")


@task
def load(folder: str) -> int:
    """Stand for the work: add up what was sold."""
    rows = (row for path in Path(folder).glob("*.csv") for row in csv.DictReader(path.read_text().splitlines()))
    return sum(int(row["sold"]) for row in rows)


@task
def remove_folder(folder: str) -> None:
    """Remove the worker's files."""
    shutil.rmtree(folder)


with DAG(
    "neuro_buckets_partner",
    schedule=None,
    params={"bucket": Param("partner", type="string", title="Bucket that is made for it")},
    default_args={"retries": 2},
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create", name=BUCKET)
    wait = BucketGlobSensor(
        task_id="wait",
        uri=f"{INCOMING}*.csv",
        min_count=3,
        min_size=1,  # an empty file is no delivery
        stable_for=2,  # seconds; for a partner that replaces files, some minutes
        deferrable=True,
        poke_interval=5,
        timeout=8 * 60 * 60,
    )
    folder = make_folder()
    download = BucketDownloadDirOperator(task_id="download", src=INCOMING, dst=folder)
    loaded = load(folder)
    archive = BucketCopyDirOperator(task_id="archive", src=INCOMING, dst=f"blob:{BUCKET}/archive/{{{{ ds }}}}/")
    put_away = BucketBlobRmOperator(task_id="put_away", uri=INCOMING, recursive=True)

    create >> deliver(BUCKET) >> wait >> download >> loaded >> archive >> put_away
    loaded >> remove_folder(folder).as_teardown(setups=folder)
    # The example cleans up after itself; a real one keeps its archive.
    remove = BucketRmOperator(task_id="remove", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)
    put_away >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
