"""Operators on whole buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, ResourceNotFound
from airflow_provider_neuro_buckets.operators.base import BucketsOperator, one_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class BucketCreateOperator(BucketsOperator):
    """Create a bucket.

    XCom: ``{"id", "name", "uri", "provider"}`` of the bucket.

    :param name: unique in its project; `None` makes a bucket that has an id only.
    :param if_exists: ``use`` takes the bucket of this name that is there, so that a task can run again; ``fail`` fails.
    :param cluster_name: instead of the connection's; likewise `org_name` and `project_name`.
    """

    template_fields: Sequence[str] = (
        *BucketsOperator.template_fields,
        "name",
        "cluster_name",
        "org_name",
        "project_name",
    )

    def __init__(
        self,
        *,
        name: str | None,
        if_exists: Literal["use", "fail"] = "use",
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("use", "fail"), if_exists=if_exists)
        self.name = name
        self.if_exists = if_exists
        self.cluster_name = cluster_name
        self.org_name = org_name
        self.project_name = project_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the bucket."""
        where = {"cluster_name": self.cluster_name, "org_name": self.org_name, "project_name": self.project_name}
        with self.buckets() as hook:
            try:
                bucket = hook.create(self.name, **where)
            except AlreadyExists:
                if self.if_exists == "fail":
                    raise
                bucket = hook.get(self.name, **where)
                self.log.info("Bucket %s exists", bucket.uri)
        return {"id": bucket.id, "name": bucket.name, "uri": str(bucket.uri), "provider": str(bucket.provider)}


class BucketRmOperator(BucketsOperator):
    """Delete a bucket, and with it everybody's persistent credentials for it.

    :param bucket_id_or_name: its name, its id or its ``blob:`` URI.
    :param force: delete its blobs as well; otherwise a bucket that holds blobs fails the task and stays as it is.
    :param if_missing: ``ignore`` lets a task run again; ``fail`` fails when there is no such bucket.
    :param cluster_name: instead of the connection's; likewise `org_name` and `project_name`.
    """

    template_fields: Sequence[str] = (
        *BucketsOperator.template_fields,
        "bucket_id_or_name",
        "cluster_name",
        "org_name",
        "project_name",
    )

    def __init__(
        self,
        *,
        bucket_id_or_name: str,
        force: bool = False,
        if_missing: Literal["ignore", "fail"] = "ignore",
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("ignore", "fail"), if_missing=if_missing)
        self.bucket_id_or_name = bucket_id_or_name
        self.force = force
        self.if_missing = if_missing
        self.cluster_name = cluster_name
        self.org_name = org_name
        self.project_name = project_name

    def execute(self, context: Context) -> None:
        """Delete the bucket."""
        with self.buckets() as hook:
            try:
                hook.rm(
                    self.bucket_id_or_name,
                    force=self.force,
                    cluster_name=self.cluster_name,
                    org_name=self.org_name,
                    project_name=self.project_name,
                )
            except ResourceNotFound:
                if self.if_missing == "fail":
                    raise
                self.log.info("There is no bucket %s", self.bucket_id_or_name)
