"""A group that moves a folder in shards; its ends are given to its run."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_neuro_buckets.operators.groups import bucket_sync_group

with DAG(
    "neuro_buckets_distributed",
    schedule=None,
    params={"src": "", "dst": "", "shards": 8, "conn": "neuro_buckets_default"},
    default_args={"retry_delay": timedelta(seconds=1)},
):
    bucket_sync_group(
        "move",
        src="{{ params.src }}",
        dst="{{ params.dst }}",
        shards="{{ params.shards }}",
        neuro_buckets_conn_id="{{ params.conn }}",
    )
