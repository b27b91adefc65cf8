"""Mapping over folders: one task for each folder of a bucket, however many there are; and a removal that is rehearsed.

The folders of `in/` are found when the DAG runs, and each is copied to `archive/` by a task of its own, which can fail
and be retried alone. A report goes up and comes back as a file. Then the folders are removed; with the param `rehearse`
the log only tells what would be. The bucket is deleted in the end: choose a name for this job alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import (
    BucketBlobRmOperator,
    BucketGlobBlobsOperator,
    BucketListBlobsOperator,
    BucketPutBlobOperator,
)
from airflow_provider_neuro_buckets.operators.buckets import (
    BucketCreateOperator,
    BucketDiskUsageOperator,
    BucketRmOperator,
)
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadFileOperator,
    BucketUploadFileOperator,
)

BUCKET = "{{ params.bucket }}"
REPORT = f"blob:{BUCKET}/reports/latest.json"


def to_archive(folder: str) -> dict[str, str]:
    """Say where a folder goes, for one of the mapped tasks."""
    return {"src": folder, "dst": folder.replace("/in/", "/archive/")}


@task
def write_report(copied: list[dict[str, Any]], usage: dict[str, Any]) -> str:
    """Write what was done to a file of the worker."""
    folder = Path(tempfile.mkdtemp(prefix="neuro-buckets-mapped-"))
    (folder / "report.json").write_text(json.dumps({"files": sum(one["files"] for one in copied), "bucket": usage}))
    return str(folder)


@task
def read_report(folder: str) -> dict[str, Any]:
    """Read the copy of the report that has come back."""
    report: dict[str, Any] = json.loads((Path(folder) / "copy.json").read_text())
    return report


@task
def remove_folder(folder: str) -> None:
    """Remove the worker's files."""
    shutil.rmtree(folder)


with DAG(
    "neuro_buckets_mapped",
    schedule=None,
    params={
        "bucket": Param("mapped", type="string", title="Bucket for this job alone"),
        "rehearse": Param(default=False, type="boolean", title="Only tell what would be removed"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create_bucket", name=BUCKET)
    put = BucketPutBlobOperator.partial(task_id="put_blobs", bucket_id_or_name=BUCKET).expand_kwargs(
        [
            {"key": f"in/{city}/{number}.csv", "body": f"city,number\n{city},{number}\n"}
            for city in ("Graz", "São Paulo", "百色")
            for number in range(2)
        ]
    )
    folders = BucketListBlobsOperator(task_id="find_folders", uri=f"blob:{BUCKET}/in/", returns="uris")
    copy = BucketCopyDirOperator.partial(task_id="archive").expand_kwargs(folders.output.map(to_archive))
    archived = BucketGlobBlobsOperator(task_id="find_archived", uri=f"blob:{BUCKET}/archive/**/*.csv")
    usage = BucketDiskUsageOperator(task_id="count", bucket_id_or_name=BUCKET)

    folder = write_report(copy.output, usage.output)
    upload = BucketUploadFileOperator(task_id="upload_report", src=f"{folder}/report.json", dst=REPORT)
    download = BucketDownloadFileOperator(task_id="download_report", src=REPORT, dst=f"{folder}/copy.json")
    report = read_report(folder)

    clean = BucketBlobRmOperator(
        task_id="remove_folders",
        uri=f"blob:{BUCKET}/in/",
        recursive=True,
        dry_run="{{ params.rehearse }}",
    )
    remove = BucketRmOperator(task_id="remove_bucket", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)

    create >> put >> folders
    copy >> [archived, usage]
    folder >> upload >> download >> report >> clean
    report >> remove_folder(folder).as_teardown(setups=folder)
    [clean, archived] >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
