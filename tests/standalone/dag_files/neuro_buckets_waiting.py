"""A DAG that waits in the triggerer, and says in its log what came."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_neuro_buckets.sensors.blobs import BucketGlobSensor

BUCKET = os.environ["NEURO_BUCKETS_WATCHED"]


@task
def tell(found: Any) -> int:
    for uri in found["uris"]:
        logging.getLogger(__name__).info("What came is %s", uri)
    return int(found["count"])


with DAG("neuro_buckets_waiting", schedule=None):  # without retries: what fails is seen
    wait = BucketGlobSensor(
        task_id="wait",
        uri=f"blob:{BUCKET}/incoming/late/*.csv",
        deferrable=True,
        poke_interval=5,
        timeout=timedelta(hours=1),
    )
    tell(wait.output)
