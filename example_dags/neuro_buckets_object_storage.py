"""Files in a bucket as paths: tables are written and read with pandas, straight from the bucket, with no local copy.

A table appears when its file is closed, whole; a task that fails in between leaves nothing. Paths are handed from task
to task like any value. It needs pandas and pyarrow.

Large results can go the same way without a task knowing it, in Airflow's own XCom backend on a bucket::

    AIRFLOW__CORE__XCOM_BACKEND=airflow.providers.common.io.xcom.backend.XComObjectStorageBackend
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=blob://neuro_buckets_default@bucket/xcom
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=1048576
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator

BUCKET = "{{ params.bucket }}"
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


@task
def write_sales(day: str, bucket: str) -> ObjectStoragePath:
    """Stand for the work: write a table of one day."""
    import pandas as pd  # noqa: PLC0415 - when the task runs, not when the DAG is read

    path = ObjectStoragePath(f"blob://neuro_buckets_default@{bucket}") / "sales" / f"{day}.parquet"
    sales = pd.DataFrame({"day": day, "shop": [f"shop {number % 7}" for number in range(10_000)], "sold": 1})
    with path.open("wb") as file:
        sales.to_parquet(file)
    return path


@task
def add_up(paths: list[ObjectStoragePath]) -> dict[str, Any]:
    """Read what is needed of all tables, and write what comes of it beside them."""
    import pandas as pd  # noqa: PLC0415 - as above

    sold = pd.concat(pd.read_parquet(str(path), columns=["shop", "sold"]) for path in paths)
    folder = paths[0].parent
    with (folder / "by shop.csv.gz").open("wt", compression="infer") as file:
        sold.groupby("shop").sum().to_csv(file)
    return {
        "sold": int(sold["sold"].sum()),
        "tables": sorted(path.name for path in folder.glob("*.parquet")),
        "files": sorted(path.name for path in folder.iterdir()),
    }


with DAG(
    "neuro_buckets_object_storage",
    schedule=None,
    params={"bucket": Param("object-storage", type="string", title="Bucket for the tables")},
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create_bucket", name=BUCKET)
    written = write_sales.partial(bucket=BUCKET).expand(day=DAYS)
    added = add_up(written)
    # The example cleans up after itself; a real one keeps its tables.
    remove = BucketRmOperator(task_id="remove_bucket", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)
    create >> written
    added >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
