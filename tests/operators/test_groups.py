"""The group of tasks that moves a folder in shards, as a DAG is parsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath

from airflow_here import DagSerialization
from airflow_provider_neuro_buckets.operators.groups import bucket_sync_group

ENDS: dict[str, Any] = {"src": "blob:lake/raw", "dst": "blob:mirror/raw"}
CONFIRMED: dict[str, Any] = {"mode": "sync", "delete_extra": True, "allow_delete": True}


@pytest.fixture
def dag() -> Iterator[DAG]:
    with DAG("dag", schedule=None) as dag:
        yield dag


def below(dag: DAG) -> dict[str, set[str]]:
    """Return which tasks come right after each."""
    return {name: set(task.downstream_task_ids) for name, task in dag.task_dict.items()}


def test_a_plan_is_followed_by_transfers_and_a_conclusion(dag: DAG) -> None:
    group = bucket_sync_group("move", **ENDS)
    assert group.group_id == "move"
    assert below(dag) == {
        "move.plan": {"move.transfer", "move.conclude"},
        "move.transfer": {"move.conclude"},
        "move.conclude": set(),
    }
    assert [task.is_mapped for task in dag.tasks] == [False, True, False]
    assert dag.task_dict["move.conclude"].trigger_rule == "all_done"


def test_what_is_extra_is_deleted_only_after_the_transfers(dag: DAG) -> None:
    bucket_sync_group("move", **ENDS, **CONFIRMED)
    follows = below(dag)
    assert follows["move.transfer"] == {"move.extra", "move.conclude"}
    assert follows["move.extra"] == {"move.delete"}
    assert follows["move.delete"] == {"move.conclude"}
    assert dag.task_dict["move.extra"].trigger_rule == "none_failed"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"mode": "sync", "delete_extra": True},
            "^move: delete_extra=True would .* dry_run=True .* allow_delete",
        ),
        ({"mode": "sync", "delete_extra": True, "dry_run": "{{ params.dry }}"}, "allow_delete=True"),
        ({"delete_extra": True, "allow_delete": True}, "move: delete_extra=True is for mode='sync'"),
        ({"mode": "move"}, "mode='move'"),
    ],
)
def test_a_deletion_that_nobody_confirmed_is_refused_when_the_dag_is_parsed(
    dag: DAG, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        bucket_sync_group("move", **ENDS, **wrong)
    assert dag.tasks == []


def test_a_rehearsal_needs_no_confirmation_nor_does_that_of_a_whole_dag(dag: DAG) -> None:
    bucket_sync_group("move", **ENDS, mode="sync", delete_extra=True, dry_run=True)
    dag.default_args["dry_run"] = True
    bucket_sync_group("again", **ENDS, mode="sync", delete_extra=True)
    plans: list[Any] = [dag.task_dict["move.plan"], dag.task_dict["again.plan"]]
    assert [plan.is_dry_run for plan in plans] == [True, True]


def test_only_what_moves_or_deletes_takes_slots_of_the_pool(dag: DAG) -> None:
    bucket_sync_group("move", **ENDS, **CONFIRMED, pool="lake", pool_slots=2, max_active_tis_per_dagrun=3, queue="far")
    tasks: dict[str, Any] = dag.task_dict
    assert {name for name, task in tasks.items() if task.pool == "lake"} == {"move.transfer", "move.delete"}
    assert tasks["move.transfer"].pool_slots == 2
    assert tasks["move.transfer"].max_active_tis_per_dagrun == 3
    assert {name for name, task in tasks.items() if task.queue == "far"} == tasks.keys()


def test_a_lost_worker_fails_no_task_unless_the_dag_says_how_often_it_may_be_tried() -> None:
    with DAG("usual", schedule=None) as usual:
        bucket_sync_group("move", **ENDS)
    with DAG("patient", schedule=None, default_args={"retries": 7, "retry_delay": timedelta(seconds=1)}) as patient:
        bucket_sync_group("move", **ENDS)
        bucket_sync_group("once", **ENDS, retries=0)
    assert usual.task_dict["move.transfer"].retries == 2
    assert patient.task_dict["move.transfer"].retries == 7
    assert patient.task_dict["move.transfer"].retry_delay == timedelta(seconds=1)
    assert patient.task_dict["once.transfer"].retries == 0
    assert patient.task_dict["move.conclude"].retries == 0


def test_default_connections_of_a_dag_are_left_to_it() -> None:
    with DAG("dag", schedule=None, default_args={"neuro_buckets_conn_id": "special"}) as dag:
        bucket_sync_group("move", **ENDS)
        bucket_sync_group("other", **ENDS, neuro_buckets_conn_id="other")
    plans: list[Any] = [dag.task_dict["move.plan"], dag.task_dict["other.plan"]]
    assert [plan.neuro_buckets_conn_id for plan in plans] == ["special", "other"]


def test_assets_are_those_of_the_ends_in_buckets(dag: DAG) -> None:
    bucket_sync_group("move", src="s3://aws_default@old/raw", dst="blob:lake/raw", assets=True)
    conclude: Any = dag.task_dict["move.conclude"]
    assert [asset.uri for asset in conclude.outlets] == ["blob://lake/raw"]
    assert conclude.inlets == []


@pytest.mark.parametrize("src", ["/shared/lake", ObjectStoragePath("file:///shared/lake"), "{{ params.src }}"])
def test_a_dag_with_a_group_can_be_stored_and_read_back(src: Any) -> None:
    with DAG("dag", schedule=None) as dag:
        bucket_sync_group("move", src=src, dst="blob:lake/raw", **CONFIRMED)
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert set(DagSerialization.from_dict(stored).task_dict) == set(dag.task_dict)
