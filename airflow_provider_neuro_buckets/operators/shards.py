"""Operators for folders that are too large for one worker: one plans shards, many move them, one concludes.

`bucket_sync_group` puts them together; by themselves they are for whoever wants other tasks in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.providers.common.compat.sdk import AirflowFailException, XComNotFound

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, TransferError
from airflow_provider_neuro_buckets.operators.base import one_of, whole_number, yes_or_no
from airflow_provider_neuro_buckets.operators.ends import ShardsOperator, is_in_bucket, removal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from jinja2 import Environment

    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.buckets.sharding import End, Job, Plan, Report
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

PLAN = "plan"
"""Key of the XCom with a whole plan, beside the shards that are a task's result."""
EXTRA = "extra"
"""Key of the XCom with the shards that delete what only the destination has."""
WORK = ".neuro-buckets/"
"""The folder of a bucket for what the tasks tell one another."""


class BucketShardOperator(ShardsOperator):
    """List a folder once, and write what is to be done to manifests: balanced shards for tasks that are mapped over.

    ::

        plan = BucketShardOperator(task_id="plan", src="blob:lake/raw", dst="blob:copy/raw", shards=32)
        move = BucketTransferShardOperator.partial(task_id="move", src="blob:lake/raw", dst="blob:copy/raw")
        moved = move.expand(shard=plan.output)

    Memory is bounded whatever the number of blobs. A retry plans anew; what an earlier try has written disturbs nobody.

    XCom: the shards as a list, ``{"uri", "number", "action", "items", "bytes"}`` each; empty if nothing is to be done,
    and in a dry run. Under the key ``plan`` all that the conclusion needs, totals included, and under ``extra`` the
    shards that delete what only `dst` has.

    :param src: what is moved: a ``blob:`` address, a path or ``file:`` URL of a folder that all workers see, or an
        `ObjectStoragePath` of another provider or its URL, such as ``s3://conn_id@bucket/key``. One end is an address.
    :param dst: where to; with ``mode="delete"`` nowhere.
    :param src_conn_id: the connection of `src`, if not `neuro_buckets_conn_id`; of an `ObjectStoragePath`, that of its
        provider. Likewise `dst_conn_id`.
    :param shards: most of them: up to ``[core] max_map_length``, 1,024 unless Airflow is told otherwise.
    :param mode: ``copy`` moves everything; ``sync`` what `dst` lacks, or has in another size or content, or older;
        ``delete`` deletes what lies below `src`.
    :param delete_extra: find also what only `dst` has, with ``mode="sync"``. An empty `src` empties no `dst`.
    :param work: address of a folder for manifests, checkpoints and the report, in a bucket of the connection of `dst`,
        or of `src` if `dst` is in no bucket; default: ``.neuro-buckets/`` in that very bucket. Whatever lies there is
        neither moved nor deleted, and each plan has a folder of its own in it, so no two runs ever meet.
    :param allow_whole_bucket: confirms that ``mode="delete"`` may empty a whole bucket.
    :raises AirflowFailException: more shards than `max_map_length`; or ends, a mode or a work prefix that do not go
        together.
    :raises ResourceNotFound: there is no source; or it is empty, and all of `dst` would be extra.
    """

    template_fields: Sequence[str] = (
        *ShardsOperator.template_fields,
        "shards",
        "delete_extra",
        "work",
        "allow_whole_bucket",
    )

    def __init__(
        self,
        *,
        shards: int | str = 16,
        mode: Literal["copy", "sync", "delete"] = "copy",
        delete_extra: bool | str = False,
        work: str | None = None,
        allow_whole_bucket: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("copy", "sync", "delete"), mode=mode)
        self.shards = shards
        self.mode = mode
        self.delete_extra = delete_extra
        self.work = work
        self.allow_whole_bucket = allow_whole_bucket

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Plan the shards."""
        from airflow_provider_neuro_buckets.buckets.sharding import Action, BucketEnd, plan_shards  # noqa: PLC0415 - runs
        from airflow_provider_neuro_buckets.hooks.progress import FoundProgress  # noqa: PLC0415 - as above

        with self.buckets() as hook:
            shards, work = self._most(), self._work(hook)
            told = self.moving("Moving", "") if self.rehearses() else FoundProgress(self.log, f"Found at {self.src}")

            async def plan_them(buckets: Buckets, src: End, dst: End | None) -> Plan:
                return await plan_shards(
                    self._job(src, dst),
                    work=BucketEnd(buckets, work),
                    shards=shards,
                    progress=told,
                    removals=self.deleting() if self.rehearses() else None,
                    dry_run=self.rehearses(),
                )

            plan = self.ask(hook, plan_them)
        self._tell(plan)
        by_action: dict[Action, list[dict[str, Any]]] = {Action.TRANSFER: [], Action.DELETE: []}
        for shard in () if self.rehearses() else plan.shards:
            by_action[shard.action].append(shard.as_json())
        context["ti"].xcom_push(PLAN, {**plan.as_json(), "shards": [*chain(*by_action.values())]})
        context["ti"].xcom_push(EXTRA, by_action[Action.DELETE])
        return by_action[Action.DELETE if self.mode == "delete" else Action.TRANSFER]

    def _job(self, src: End, dst: End | None) -> Job:
        from airflow_provider_neuro_buckets.buckets.sharding import CopyJob, SyncJob  # noqa: PLC0415 - when it runs

        if (self.mode == "delete") == (dst is not None):
            raise ConfigurationError(
                f"mode={self.mode!r} with dst={self.dst!r}", remedy="Name a dst to copy or sync to, and none to delete"
            )
        if dst is None:
            return removal(src)
        delete_extra = yes_or_no(self.delete_extra, "delete_extra")
        if self.mode == "copy" and delete_extra:
            raise ConfigurationError("delete_extra is for mode='sync'", remedy="Set the mode, or leave it out")
        return SyncJob(src, dst, delete_extra=delete_extra) if self.mode == "sync" else CopyJob(src, dst)

    def _most(self) -> int:
        from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - when it runs

        shards, most = whole_number(self.shards, "shards"), conf.getint("core", "max_map_length", fallback=1024)
        if shards > most:
            raise ConfigurationError(
                f"shards={shards} is more than Airflow maps a task over, [core] max_map_length={most}",
                remedy="Ask for fewer shards, or raise max_map_length",
            )
        return shards

    def _work(self, hook: NeuroBucketsHook) -> str:
        """Return the address of the work prefix, once it is sure that no bucket is emptied by mistake."""
        from airflow_provider_neuro_buckets.buckets.uri import blob_uri  # noqa: PLC0415 - when it runs

        if not is_in_bucket(self.home):
            raise ConfigurationError(
                f"neither src={self.src!s} nor dst={self.dst!s} is in a bucket", remedy="Make one end a blob: address"
            )
        bucket, key = hook.locate(self.home)
        if self.mode == "delete" and not key and not yes_or_no(self.allow_whole_bucket, "allow_whole_bucket"):
            raise ConfigurationError(
                f"{self.src} is the whole bucket {bucket.uri}, of which every blob would be deleted",
                remedy="Confirm it with allow_whole_bucket=True, or name a folder",
            )
        return self.work or str(blob_uri(bucket.uri, WORK))

    def _tell(self, plan: Plan) -> None:
        self.log.info(
            "%s%d files to move, %.1f MB; %d up to date; %d to delete; in %d shards at %s",
            "Dry run: " if self.rehearses() else "",
            plan.items,
            plan.bytes / 1e6,
            plan.unchanged,
            plan.extra,
            len(plan.shards),
            plan.uri,
        )


class BucketTransferShardOperator(ShardsOperator):
    """Do one shard of a plan: move its files, or delete its blobs. Tasks are mapped over the shards, on any workers.

    Files that fail do not stop the others; then the task fails and tells of the first. What is done is written beside
    the manifest every few seconds, so a retry, here or on another worker, goes on from there. Progress goes to the
    task's log every few seconds.

    XCom: ``{"number", "action", "items", "bytes", "moved", "verified", "failed"}``: of all tries, numbers but for
    `action`; `moved` are the bytes that had to be moved.

    :param src: as of the `BucketShardOperator`, likewise `dst`, `src_conn_id` and `dst_conn_id`.
    :param shard: one of what that has returned.
    :raises TransferError: some of it failed; the others are done.
    :raises ResourceNotFound: there is no such manifest any more: the plan was concluded.
    :raises AirflowFailException: the shard is of other ends.
    """

    template_fields: Sequence[str] = (*ShardsOperator.template_fields, "shard")

    def __init__(self, *, shard: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the shard."""
        from airflow_provider_neuro_buckets.buckets.sharding import (  # noqa: PLC0415 - when it runs
            Action,
            CopyJob,
            Shard,
            ShardReport,
            run_shard,
        )

        with self.buckets() as hook:
            shard = Shard.of(self.shard)
            if self.rehearses():
                return self.result(**ShardReport(number=shard.number, action=shard.action).as_json())
            verb = "Deleting" if shard.action is Action.DELETE else "Moving"
            progress = self.moving(f"{verb} shard {shard.number} to", str(self.dst or self.src))

            async def do(buckets: Buckets, src: End, dst: End | None) -> ShardReport:
                job = removal(src) if dst is None else CopyJob(src, dst)
                return await run_shard(shard, job, work=buckets, progress=progress)

            report = self.ask(hook, do)
        self.log.info(
            "Shard %d: %d files, %.1f MB, of which %.1f MB were moved; %d verified by checksum",
            report.number,
            report.items,
            report.bytes / 1e6,
            report.moved / 1e6,
            report.verified,
        )
        return self.result(**report.as_json())


class BucketConcludeShardsOperator(ShardsOperator):
    """Check what all shards of a plan have done, write one report, and remove the manifests.

    It runs whatever became of the shards (`trigger_rule` is ``all_done`` unless another is given), and fails with the
    keys that failed or were never tried. What belongs to such shards is kept: clear their tasks, and this runs again.

    XCom: ``{"uri", "files", "bytes", "moved", "verified", "unchanged", "deleted", "report"}``; `uri` is what was
    written to, and `report` the address of a JSON blob with all of it, which stays.

    :param src: as of the `BucketShardOperator`, likewise `dst`, `src_conn_id` and `dst_conn_id`.
    :param plan: what that has pushed beside its result: ``plan.output["plan"]``.
    :raises AirflowFailException: something failed, or was never tried.
    """

    template_fields: Sequence[str] = (*ShardsOperator.template_fields, "plan")
    reads = "src"
    writes = "dst"

    def __init__(self, *, plan: Mapping[str, Any] | XComArg, **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.plan = plan

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """Fill in what is known when the task runs, the plan among it.

        :raises AirflowFailException: there is none, as whoever should make it has failed.
        """
        try:
            super().render_template_fields(context, jinja_env)
        except XComNotFound as error:
            raise AirflowFailException(
                f"{error.task_id} has left no {error.key!r}, so there is nothing to conclude. Its own log says why:"
                " mend that, and clear it."
            ) from None

    def execute(self, context: Context) -> dict[str, Any]:
        """Conclude."""
        from airflow_provider_neuro_buckets.buckets.sharding import Plan, Report, conclude  # noqa: PLC0415 - when it runs

        with self.buckets() as hook:
            plan = Plan.of(cast("Mapping[str, Any]", self.plan))  # by now
            if self.rehearses():
                return self._summary(
                    Report(
                        uri=plan.uri,
                        items=plan.items,
                        bytes=plan.bytes,
                        moved=0,
                        verified=0,
                        unchanged=plan.unchanged,
                        deleted=plan.extra,
                    )
                )
            try:
                report = hook.call(lambda buckets: conclude(plan, work=buckets))
            except TransferError as error:
                raise AirflowFailException(str(error)) from error
        return self._summary(report)

    def _summary(self, report: Report) -> dict[str, Any]:
        self.log.info(
            "%s%d files, %.1f MB, of which %.1f MB were moved; %d verified by checksum; %d up to date; %d deleted",
            "Dry run: " if self.rehearses() else "",
            report.items,
            report.bytes / 1e6,
            report.moved / 1e6,
            report.verified,
            report.unchanged,
            report.deleted,
        )
        return self.result(
            uri=str(self.dst if self.dst is not None else self.src),
            files=report.items,
            bytes=report.bytes,
            moved=report.moved,
            verified=report.verified,
            unchanged=report.unchanged,
            deleted=report.deleted,
            report=report.uri,
        )
