"""DAGs that the tests run in real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Never

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.operators.buckets import BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketUploadDirOperator
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor, BucketGlobSensor

CONN = "{{ params.conn }}"
BUCKET = "{{ params.bucket }}"

PARAMS = {
    "conn": Param("neuro_buckets_default", type="string"),
    "bucket": Param("", type="string"),
    "src": Param("", type="string"),
    "sources": Param([], type="array"),
}


with DAG("one_upload", schedule=None, params=PARAMS):
    BucketUploadDirOperator(
        task_id="upload",
        neuro_buckets_conn_id=CONN,
        src="{{ params.src }}",
        dst="blob:{{ params.bucket }}/up",
        retries=1,
        retry_delay=0.0,
    )


class MendedAfterItFailed(BucketUploadDirOperator):
    """What cannot be uploaded is gone after the first try; and one of the other files has another content."""

    def execute(self, context: Any) -> dict[str, Any]:
        try:
            return super().execute(context)
        except TransferError:
            (Path(self.src) / "leads out").unlink()
            (Path(self.src) / "changing").write_bytes(b"new")
            raise


with DAG("retried_upload", schedule=None, params=PARAMS):
    MendedAfterItFailed(task_id="upload", src="{{ params.src }}", dst=f"blob:{BUCKET}/up", retries=1, retry_delay=0.0)

with DAG("rehearsed_assets", schedule=None, params=PARAMS):
    BucketUploadDirOperator(
        task_id="upload", src="{{ params.src }}", dst="blob:rehearsed/out", dry_run=True, assets=True
    )

with DAG("long_upload", schedule=None, params=PARAMS):
    BucketUploadDirOperator(task_id="upload", src="{{ params.src }}", dst=f"blob:{BUCKET}/")

with DAG("one_sensor", schedule=None, params=PARAMS):
    BucketBlobSensor(task_id="wait", neuro_buckets_conn_id=CONN, uri=f"blob:{BUCKET}/key", timeout=60)

with DAG("one_removal", schedule=None, params=PARAMS):
    BucketRmOperator(task_id="remove", neuro_buckets_conn_id=CONN, bucket_id_or_name=BUCKET, if_missing="fail")


class LateWhenDeferred(BucketBlobSensor):
    """Its blob comes when the sensor has let go of its worker."""

    def defer(self, **kwargs: Any) -> Never:
        NeuroBucketsHook().put_blob(*str(self.uri).removeprefix("blob:").split("/"), b"late")
        super().defer(**kwargs)


class LateWhenRescheduled(BucketGlobSensor):
    """Its blob comes after the first look."""

    def poke(self, context: Any) -> Any:
        answer = super().poke(context)
        if not answer:
            NeuroBucketsHook().put_blob(self.uri.removeprefix("blob:").partition("/")[0], "in/late.csv", b"late")
        return answer


with DAG("every_mode", schedule=None, params=PARAMS):
    # One after the other: tasks run one at a time here.
    LateWhenDeferred(
        task_id="deferred", uri=f"blob:{BUCKET}/deferred", deferrable=True, poke_interval=0.1, timeout=60
    ) >> BucketBlobSensor(task_id="poked", uri=f"blob:{BUCKET}/deferred", poke_interval=0.1, timeout=60)
    LateWhenRescheduled(
        task_id="rescheduled", uri=f"blob:{BUCKET}/in/*.csv", mode="reschedule", poke_interval=0.1, timeout=60
    )


@task
def sources(params: Any) -> list[str]:
    """Return the folders to upload."""
    return list(params["sources"])


@task
def in_a_task(bucket: str) -> list[str]:
    """Use the hook as a plain task does."""
    with NeuroBucketsHook() as hook:
        hook.put_blob(bucket, "by a task", b"1")
        return sorted(entry.key for entry in hook.list_blobs(f"blob:{bucket}", recursive=True))


@task
async def in_an_async_task(bucket: str) -> list[str]:
    """Use the client as a coroutine does."""
    async with NeuroBucketsHook().connect() as buckets:
        await buckets.put_blob(bucket, "by a coroutine", b"content")
        return sorted([entry.key async for entry in buckets.list_blobs(f"blob:{bucket}", recursive=True)])


@task
async def blocking_in_an_async_task(bucket: str) -> str:
    """Use the blocking hook where a loop is running."""
    return b"".join(NeuroBucketsHook().fetch_blob(bucket, "by a coroutine")).decode()


with DAG("mapped_and_tasks", schedule=None, params=PARAMS):
    uploads = BucketUploadDirOperator.partial(task_id="upload", dst=f"blob:{BUCKET}/").expand(src=sources())  # type: ignore[call-arg,misc]  # Airflow gives `params`
    uploads >> in_a_task(BUCKET) >> in_an_async_task(BUCKET) >> blocking_in_an_async_task(BUCKET)
