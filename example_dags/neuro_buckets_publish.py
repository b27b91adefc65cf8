"""Publishing: results are made in a staging bucket, and copied to the bucket that others read once they are complete.

The storage copies by itself where it can, with no byte through the worker; the two buckets may as well be of different
providers. Each blob appears whole, and after a failure a retry goes on where the copy stopped. But the folder fills
while it is copied, so its address is handed on when the task is done.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketCopyDirOperator
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor

STAGING = "{{ params.staging }}"
RELEASES = "{{ params.releases }}"
RESULTS = f"blob:{STAGING}/results/"
RELEASE = f"blob:{RELEASES}/{{{{ params.version }}}}/"
COMPLETE = "_COMPLETE"


@task
def make_results(staging: str) -> int:
    """Stand for the work: put some results, and last of all a blob that says that they are complete."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    with NeuroBucketsHook() as hook:
        for number in range(10):
            hook.put_blob(staging, f"results/part-{number:02}.csv", b"a,b\n" * 1000)
        hook.put_blob(staging, f"results/{COMPLETE}", b"")
    return 10


@task
def read_release(releases: str, version: str) -> dict[str, int]:
    """Stand for whoever reads the release."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as above

    entries = list(NeuroBucketsHook().list_blobs(f"blob:{releases}/{version}/", recursive=True))
    return {"files": len(entries), "bytes": sum(entry.size for entry in entries)}


with DAG(
    "neuro_buckets_publish",
    schedule=None,
    params={
        "staging": Param("publish-staging", type="string", title="Bucket for results that are being made"),
        "releases": Param("publish-releases", type="string", title="Bucket that others read"),
        "version": Param("v1", type="string", title="Folder of this release"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create_staging = BucketCreateOperator(task_id="create_staging", name=STAGING)
    create_releases = BucketCreateOperator(task_id="create_releases", name=RELEASES)
    complete = BucketBlobSensor(task_id="wait_until_complete", uri=RESULTS + COMPLETE, poke_interval=5, timeout=60)
    publish = BucketCopyDirOperator(task_id="publish", src=RESULTS, dst=RELEASE, update=True)
    empty_staging = BucketBlobRmOperator(task_id="empty_staging", uri=RESULTS, recursive=True)
    read = read_release(RELEASES, "{{ params.version }}")

    create_staging >> make_results(STAGING) >> complete
    [complete, create_releases] >> publish >> [empty_staging, read]
    # The example cleans up after itself; a real one keeps its releases.
    for name, made, last in (
        (STAGING, create_staging, empty_staging),
        (RELEASES, create_releases, read),
    ):
        remove = BucketRmOperator(
            task_id=f"remove_{made.task_id[7:]}", bucket_id_or_name=name, force=True, allow_whole_bucket=True
        )
        last >> remove.as_teardown(setups=made, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
