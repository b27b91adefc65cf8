"""A trained model goes into a bucket, and a link to it to somebody without an account: it is good for ten minutes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import BucketMakeSignedUrlOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketUploadDirOperator

BUCKET = "{{ params.bucket }}"
RELEASE = f"blob:{BUCKET}/churn/{{{{ params.version }}}}/"


@task
def train() -> str:
    """Stand for the training: write a model, and what is known about it, into a folder of the worker."""
    folder = Path(tempfile.mkdtemp(prefix="neuro-buckets-model-"))
    (folder / "model.json").write_text(json.dumps({"weights": [0.1, 0.2, 0.7]}))
    (folder / "README.md").write_text("# Churn\n")
    return str(folder)


@task
def fetch_as_anybody(url: str) -> dict[str, Any]:
    """Stand for whoever gets the link: GET the model with nothing else."""
    with urlopen(url, timeout=30) as answer:  # noqa: S310 - the link comes from the platform
        model: dict[str, Any] = json.load(answer)
    return model


@task
def remove_folder(folder: str) -> None:
    """Remove the worker's files."""
    shutil.rmtree(folder)


with DAG(
    "neuro_buckets_model",
    schedule=None,
    params={
        "bucket": Param("models", type="string", title="Bucket for the models"),
        "version": Param("v1", type="string", title="Folder of this version"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create", name=BUCKET)
    folder = train()
    upload = BucketUploadDirOperator(task_id="upload", src=folder, dst=RELEASE)
    link = BucketMakeSignedUrlOperator(task_id="sign", uri=f"{RELEASE}model.json", expires_in_seconds=600)
    fetched = fetch_as_anybody(link.output)

    create >> upload >> link
    upload >> remove_folder(folder).as_teardown(setups=folder)
    # The example cleans up after itself; a real one keeps its models.
    remove = BucketRmOperator(task_id="remove", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)
    fetched >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
