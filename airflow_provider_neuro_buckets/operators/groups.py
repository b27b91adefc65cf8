"""A folder of any size, moved by all workers: one line of a DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import TaskGroup, XComArg

from airflow_provider_neuro_buckets.operators.base import one_of
from airflow_provider_neuro_buckets.operators.shards import (
    EXTRA,
    PLAN,
    BucketConcludeShardsOperator,
    BucketShardOperator,
    BucketTransferShardOperator,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

RETRIES = 2
"""Of each task that moves something, unless the DAG says otherwise: a worker may be lost."""


def bucket_sync_group(
    group_id: str,
    *,
    src: str | ObjectStoragePath,
    dst: str | ObjectStoragePath,
    shards: int | str = 16,
    mode: Literal["copy", "sync"] = "copy",
    delete_extra: bool = False,
    allow_delete: bool = False,
    dry_run: bool | str = False,
    work: str | None = None,
    neuro_buckets_conn_id: str | None = None,
    src_conn_id: str | None = None,
    dst_conn_id: str | None = None,
    pool: str | None = None,
    pool_slots: int | None = None,
    max_active_tis_per_dagrun: int | None = None,
    assets: bool = False,
    **task_args: Any,
) -> TaskGroup:
    """Make a group of tasks that moves a folder in shards, on as many workers as Airflow has.

    ::

        bucket_sync_group("to_azure", src="blob:lake/raw", dst="blob:azure-lake/raw", shards=64, mode="sync")
        bucket_sync_group("bring_in", src="s3://aws_default@old-lake/raw", dst="blob:lake/raw", pool="lake")

    ``plan`` lists, ``transfer`` is mapped over the shards, and ``conclude`` compares totals, writes one report and
    fails with what has failed. With `delete_extra` the tasks ``extra`` and ``delete`` stand between them: nothing is
    deleted before all has been moved. If there is nothing to do, the group ends well.

    :param src: an address, a folder that all workers see, or another provider's storage; see `BucketShardOperator`,
        also for `dst`, `mode`, `work` and the connections. One of both ends is an address.
    :param shards: most tasks at once, up to ``[core] max_map_length``.
    :param delete_extra: delete what only `dst` has; with ``mode="sync"``.
    :param allow_delete: confirms `delete_extra`; look at what it would delete with `dry_run` first.
    :param dry_run: list, tell the first of what would be moved and deleted in the log of ``plan``, and change nothing.
    :param pool: of the tasks that move or delete, likewise `pool_slots` and `max_active_tis_per_dagrun`: how many of
        them, and of other groups with the same pool, run at once. Limits of a connection are shared by its slots.
    :param assets: make assets of the addresses, as transfers do: those who wait for `dst` run after ``conclude``.
    :param task_args: of all tasks of the group, such as `queue` or `retries`: 2 of those, unless the DAG has others.
    :raises ValueError: `delete_extra` was neither confirmed nor is it a dry run, or `mode` is not ``sync``.
    """
    one_of(("copy", "sync"), mode=mode)
    with TaskGroup(group_id) as group:
        defaults = {**group.dag.default_args, **group.default_args, **task_args}
        if delete_extra and mode != "sync":
            raise ValueError(f"{group_id}: delete_extra=True is for mode='sync'")
        if delete_extra and not (allow_delete or True in {dry_run, defaults.get("dry_run")}):
            raise ValueError(
                f"{group_id}: delete_extra=True would delete what only {dst} has; "
                "look at it with dry_run=True first, then confirm it with allow_delete=True"
            )
        ends = _given(
            src=src,
            dst=dst,
            src_conn_id=src_conn_id,
            dst_conn_id=dst_conn_id,
            neuro_buckets_conn_id=neuro_buckets_conn_id,
            dry_run=dry_run or None,
        )
        task_args = {"retries": RETRIES, **_given(retries=defaults.get("retries")), **task_args}
        common = {**task_args, **ends}
        slots = _given(pool=pool, pool_slots=pool_slots, max_active_tis_per_dagrun=max_active_tis_per_dagrun)
        plan = BucketShardOperator(
            task_id="plan", shards=shards, mode=mode, delete_extra=delete_extra, work=work, **common
        )
        move = BucketTransferShardOperator.partial(task_id="transfer", **common, **slots).expand(shard=plan.output)
        done = [move]
        if delete_extra:
            delete = BucketTransferShardOperator.partial(task_id="delete", **common, **slots)
            extra = _after_all_is_moved(XComArg(plan, EXTRA), task_args)
            move >> extra
            done.append(delete.expand(shard=extra))
        # What it tells would be the same another time.
        conclude = BucketConcludeShardsOperator(
            task_id="conclude", plan=XComArg(plan, PLAN), assets=assets, **{**common, "retries": 0}
        )
        done >> conclude
    return group


def _after_all_is_moved(extra: Any, task_args: dict[str, Any]) -> Any:
    """Make the task that hands on the shards that delete: a task is mapped over what another returns alone."""
    from airflow.sdk import task  # noqa: PLC0415 - loads decorators: where there is something to delete

    @task(task_id="extra", trigger_rule="none_failed", **task_args)
    def hand_on(shards: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return shards

    return hand_on(extra)


def _given(**arguments: Any) -> dict[str, Any]:
    """Return those that are not `None`: of the others the DAG has defaults."""
    return {name: value for name, value in arguments.items() if value is not None}
