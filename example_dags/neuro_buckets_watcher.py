"""Event-driven: this DAG runs when a file arrives, without a schedule and without a sensor that waits for it.

The asset's watcher runs in the triggerer and emits an event for each new blob, also for those that came while it was
down. Several events may start one run, so the task goes through all of them. It needs a bucket of the name below, and
an Airflow with a triggerer; the watcher runs as long as the DAG is not paused.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_neuro_buckets.triggers.blobs import NewBlobsTrigger

BUCKET = os.environ.get("NEURO_BUCKETS_WATCHED", "watched")

incoming = Asset(
    "neuro_buckets_incoming",
    uri=f"blob://{BUCKET}/incoming",
    watchers=[
        AssetWatcher(
            name="neuro_buckets_incoming",
            trigger=NewBlobsTrigger(
                uri=f"blob:{BUCKET}/incoming/**/*.csv",
                poke_interval=10,  # every task that watches this prefix shares one listing
                max_events_per_poll=100,
                min_size=1,
            ),
        )
    ],
)


def blobs_of(events: Any) -> list[dict[str, Any]]:
    """Return the blobs that the events of a run tell of."""
    return [event.extra["payload"] for of_asset in events.values() for event in of_asset]


@task
def process(triggering_asset_events: Any = None) -> dict[str, int]:
    """Stand for the work: read each blob that is new."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    blobs = blobs_of(triggering_asset_events or {})
    size = 0
    with NeuroBucketsHook() as hook:
        for blob in blobs:
            size += sum(map(len, hook.fetch_blob(BUCKET, blob["key"])))
    return {"blobs": len(blobs), "bytes": size}


with DAG("neuro_buckets_watcher", schedule=[incoming], doc_md=__doc__, tags=["neuro-buckets"]) as dag:
    process()


if __name__ == "__main__":
    dag.test()
