"""A DAG that uploads a folder, and says in its log after every file how far it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param

from airflow_provider_neuro_buckets.operators.transfers import BucketUploadDirOperator

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress


class Talkative(BucketUploadDirOperator):
    """It tells at once what others tell every few seconds."""

    def moving(self, verb: str, address: str, **_: Any) -> AbstractRecursiveFileProgress:
        from airflow_provider_neuro_buckets.hooks.progress import LogProgress  # noqa: PLC0415 - when the task runs

        return LogProgress(self.log, f"{verb} {address}", every_seconds=0)


with DAG("neuro_buckets_moving", schedule=None, params={"src": Param("", type="string")}):
    Talkative(
        task_id="upload",
        src="{{ params.src }}",
        dst=f"blob:{os.environ['NEURO_BUCKETS_WATCHED']}/reports/",
    )
