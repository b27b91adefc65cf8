"""What is worth another try, and when: the errors of this provider in a retry policy of Airflow 3.3 or newer.

Requests are tried again by the provider itself, within seconds. A task's own retries are for what lasts longer, and no
two failures last equally long. Where no retry can help, with a wrong token, a missing permission or a connection that
cannot be used, operators and hook fail the task at once, with or without a policy.

On an older Airflow, which has no retry policies, the tasks have their usual retries.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.buckets.errors import (
    QuotaExceeded,
    ResourceNotFound,
    Throttled,
    TransferError,
    Unavailable,
)
from airflow_provider_neuro_buckets.operators.blobs import BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator

RETRIES: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(minutes=1)}
try:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:
    pass  # before Airflow 3.3
else:
    RETRIES["retry_policy"] = ExceptionRetryPolicy(
        rules=[  # the first that fits counts, and fits all errors derived from it
            RetryRule(Throttled, retry_delay=timedelta(minutes=10), reason="the storage asks for fewer requests"),
            RetryRule(Unavailable, retry_delay=timedelta(minutes=2), reason="the platform may be back soon"),
            RetryRule(TransferError, retry_delay=timedelta(seconds=10), reason="the rest of the files may go through"),
            RetryRule([ResourceNotFound, QuotaExceeded], RetryAction.FAIL, reason="time alone does not mend it"),
        ]
    )

BUCKET = "{{ params.bucket }}"


@task
def count_rows(bucket: str, key: str) -> int:
    """Stand for the work on a blob; what the hook raises is for the policy to judge."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    return sum(chunk.count(b"\n") for chunk in NeuroBucketsHook().fetch_blob(bucket, key))


with DAG(
    "neuro_buckets_retries",
    schedule=None,
    default_args=RETRIES,
    params={
        "bucket": Param("retries-example", type="string", title="Bucket to make, and to remove in the end"),
        "key": Param("report.csv", type="string", title="Blob to read: one that is not there fails at once"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create_bucket", name=BUCKET)
    write = BucketPutBlobOperator(task_id="write", bucket_id_or_name=BUCKET, key="report.csv", body="a,b\n1,2\n3,4")
    count = count_rows(BUCKET, "{{ params.key }}")
    remove = BucketRmOperator(task_id="remove_bucket", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)

    create >> write >> count >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
