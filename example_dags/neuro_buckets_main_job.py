"""The main job: a folder goes into a bucket, is waited for, shared by a link, comes back, and everything is removed.

Runs on any platform and on a bucket of any provider; `make demo` runs it against a local platform. The folder is the
param `data`; by default it is the source of the installed Airflow, thousands of files. A bucket named by the param
`bucket` that exists already is used, and deleted in the end like the others: choose a name for the job alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import airflow
from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketMakeSignedUrlOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketDownloadDirOperator, BucketUploadDirOperator
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor, BucketGlobSensor

BUCKET = "{{ params.bucket }}"
FOLDER = f"blob:{BUCKET}/data/"


@task
def choose_blob(data: str, folder: str) -> dict[str, str]:
    """Choose a file of the folder to wait for, and a pattern that it matches."""
    file = min(path for path in Path(data).rglob("*") if path.is_file() and not path.is_symlink())
    pattern = f"**/*{file.suffix}" if file.suffix[1:].isalnum() else "**"
    # In an address a key is percent-encoded; a pattern is taken as it stands.
    return {"file": str(file), "uri": folder + quote(str(file.relative_to(data))), "pattern": folder + pattern}


@task
def get_by_link(url: str, file: str) -> dict[str, Any]:
    """GET the blob with nothing but the link."""
    with urlopen(url, timeout=30) as answer:  # noqa: S310 - the link comes from the platform
        content = answer.read()
    if content != Path(file).read_bytes():
        raise ValueError(f"the link gives other bytes than {file} has")
    return {"files": 1, "bytes": len(content)}


@task
def make_folder() -> str:
    """Make a folder of the worker for the download."""
    return tempfile.mkdtemp(prefix="neuro-buckets-main-job-")


@task
def compare(data: str, copy: str) -> dict[str, Any]:
    """Compare both trees byte for byte."""
    before, after = (
        {path.relative_to(root) for path in Path(root).rglob("*") if path.is_file()} for root in (data, copy)
    )
    if before != after:
        raise ValueError(f"only in one of the trees: {sorted(map(str, before ^ after))[:10]}")
    size = 0
    for path in before:
        content = (Path(data) / path).read_bytes()
        if content != (Path(copy) / path).read_bytes():
            raise ValueError(f"{path} came back with other bytes")
        size += len(content)
    return {"files": len(before), "bytes": size}


@task
def remove_folder(copy: str) -> None:
    """Remove the worker's copy."""
    shutil.rmtree(copy)


with DAG(
    "neuro_buckets_main_job",
    schedule=None,
    params={
        "data": Param(str(Path(airflow.__file__).parent), type="string", title="Folder to upload"),
        "bucket": Param("main-job", type="string", title="Bucket for this job alone"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    data = "{{ params.data }}"

    create = BucketCreateOperator(task_id="create_bucket", name=BUCKET)
    upload = BucketUploadDirOperator(task_id="upload", src=data, dst=FOLDER, update=True)

    chosen = choose_blob(data, FOLDER)
    wait_for_blob = BucketBlobSensor(task_id="wait_for_blob", uri=chosen["uri"], poke_interval=5, timeout=60)
    wait_for_pattern = BucketGlobSensor(task_id="wait_for_pattern", uri=chosen["pattern"], poke_interval=5, timeout=60)

    link = BucketMakeSignedUrlOperator(task_id="make_link", uri=chosen["uri"], expires_in_seconds=300)
    got = get_by_link(link.output, chosen["file"])

    folder = make_folder()
    download = BucketDownloadDirOperator(task_id="download", src=FOLDER, dst=folder)
    compared = compare(data, folder)

    remove_blobs = BucketBlobRmOperator(task_id="remove_blobs", uri=FOLDER, recursive=True)
    remove_bucket = BucketRmOperator(task_id="remove_bucket", bucket_id_or_name=BUCKET)

    create >> upload >> [wait_for_blob, wait_for_pattern] >> link >> got >> download >> compared
    compared >> remove_folder(folder).as_teardown(setups=folder)
    # Teardowns run whatever happened before, and do not hide that it happened.
    compared >> remove_blobs.as_teardown(setups=create, on_failure_fail_dagrun=True)
    remove_blobs >> remove_bucket.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
