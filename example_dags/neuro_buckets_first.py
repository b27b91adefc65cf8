"""A first DAG: it makes a bucket, puts a blob into it, waits for the blob and reads it."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_neuro_buckets.operators.blobs import BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor

BUCKET = "first"


@task
def read() -> str:
    """Read the blob, with the hook."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    return b"".join(NeuroBucketsHook().fetch_blob(BUCKET, "hello.txt")).decode()


with DAG("neuro_buckets_first", schedule=None, doc_md=__doc__, tags=["neuro-buckets"]) as dag:
    create = BucketCreateOperator(task_id="create", name=BUCKET)
    put = BucketPutBlobOperator(task_id="put", bucket_id_or_name=BUCKET, key="hello.txt", body="Hello from {{ ds }}\n")
    wait = BucketBlobSensor(task_id="wait", uri=f"blob:{BUCKET}/hello.txt", timeout=60)

    create >> put >> wait >> read()


if __name__ == "__main__":
    dag.test()
