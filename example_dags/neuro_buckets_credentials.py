"""A connection for somebody else: to one bucket, read-only, without a token. It is used, and then taken back.

Here it goes into a file that nobody else may read. In a DAG of yours `save` puts it into your secrets backend, from
which other Airflows, or other teams, take it like any connection.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.credentials import (
    PersistentCredentialsCreateOperator,
    PersistentCredentialsRmOperator,
)

BUCKET = "shared-with-others"
NAME = "reader-of-shared"
FILE = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "neuro-buckets-reader.json"


def save(connection: str) -> None:
    """Keep the connection where only this user can read it."""
    FILE.unlink(missing_ok=True)
    with os.fdopen(os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(connection)


@task
def put_blob() -> None:
    """Put something into the bucket, as its owner."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    NeuroBucketsHook().put_blob(BUCKET, "hello.txt", b"hello")


@task
def use_connection() -> dict[str, Any]:
    """Read with the connection alone, as whoever got it would; writing is refused."""
    from airflow_provider_neuro_buckets.buckets import PermissionDenied  # noqa: PLC0415 - as above
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as above

    os.environ["AIRFLOW_CONN_SHARED"] = FILE.read_text()
    with NeuroBucketsHook("shared") as hook:
        content = b"".join(hook.fetch_blob(BUCKET, "hello.txt"))
        try:
            hook.put_blob(BUCKET, "hello.txt", b"something else")
        except PermissionDenied:
            return {"read": content.decode(), "may_write": False}
    raise ValueError("read-only credentials have written")


@task
def forget_connection() -> None:
    """Remove the file."""
    FILE.unlink(missing_ok=True)


with DAG("neuro_buckets_credentials", schedule=None, doc_md=__doc__, tags=["neuro-buckets"]) as dag:
    create = BucketCreateOperator(task_id="create_bucket", name=BUCKET)
    mint = PersistentCredentialsCreateOperator(
        task_id="mint_credentials", bucket_ids=[BUCKET], name=NAME, read_only=True, save_connection=save
    )
    used = use_connection()
    remove_credentials = PersistentCredentialsRmOperator(task_id="remove_credentials", credential_id_or_name=NAME)
    remove_bucket = BucketRmOperator(
        task_id="remove_bucket", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True
    )

    create >> put_blob() >> mint >> used
    # Teardowns run whatever happened before, and do not hide that it happened.
    used >> forget_connection().as_teardown(setups=mint)
    used >> remove_credentials.as_teardown(setups=mint, on_failure_fail_dagrun=True)
    remove_credentials >> remove_bucket.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
