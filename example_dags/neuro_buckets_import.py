"""A bucket that exists at a provider becomes one of the platform's, is looked at, and is forgotten again.

The provider's keys lie in an Airflow connection, `their_storage` unless you name another: login and password, and the
endpoint of what is not AWS in its extra. No task shows them; the platform gives them to whoever may read the bucket.
Forgetting a bucket removes nothing at the provider.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_neuro_buckets.operators.blobs import BucketListBlobsOperator
from airflow_provider_neuro_buckets.operators.buckets import (
    BucketDiskUsageOperator,
    BucketImportOperator,
    BucketRmOperator,
)

NAME = "{{ params.name }}"

with DAG(
    "neuro_buckets_import",
    schedule=None,
    params={
        "provider": Param("aws", type="string", title="Provider"),
        "their_bucket": Param("their-bucket", type="string", title="Name of the bucket there"),
        "name": Param("imported", type="string", title="Name that the platform gives it"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    make_known = BucketImportOperator(
        task_id="import_bucket",
        provider="{{ params.provider }}",
        provider_bucket_name="{{ params.their_bucket }}",
        name=NAME,
        credentials={
            "access_key_id": "{{ conn.their_storage.login }}",
            "secret_access_key": "{{ conn.their_storage.password }}",
            "region_name": "{{ conn.their_storage.extra_dejson.get('region_name', 'us-east-1') }}",
            "endpoint_url": "{{ conn.their_storage.extra_dejson.get('endpoint_url', 'https://s3.amazonaws.com') }}",
        },
    )
    look = BucketListBlobsOperator(task_id="list", uri=f"blob:{NAME}")
    count = BucketDiskUsageOperator(task_id="count", bucket_id_or_name=NAME)
    forget = BucketRmOperator(task_id="forget_bucket", bucket_id_or_name=NAME)

    make_known >> [look, count] >> forget.as_teardown(setups=make_known, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
