"""Operators on blobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound
from airflow_provider_neuro_buckets.operators.base import BucketsOperator, one_of, whole_number

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class BucketBlobRmOperator(BucketsOperator):
    """Remove a blob, or with `recursive` a folder.

    XCom: ``{"files"}``, how many blobs went.

    :param uri: address of the blob or folder.
    :param recursive: remove the blob of exactly this key and all that lies below it.
    :param if_missing: ``ignore`` lets a task run again; ``fail`` fails when there is nothing at the address.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri")

    def __init__(
        self, *, uri: str, recursive: bool = False, if_missing: Literal["ignore", "fail"] = "ignore", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        one_of(("ignore", "fail"), if_missing=if_missing)
        self.uri = uri
        self.recursive = recursive
        self.if_missing = if_missing

    def execute(self, context: Context) -> dict[str, Any]:
        """Remove what is at the address."""
        from airflow_provider_neuro_buckets.hooks.progress import DeleteCount  # noqa: PLC0415 - loads when the task runs

        progress = DeleteCount()
        with self.buckets() as hook:
            try:
                hook.blob_rm(self.uri, recursive=self.recursive, progress=progress)
            except ResourceNotFound:
                if self.if_missing == "fail":
                    raise
                self.log.info("There is nothing at %s", self.uri)
        return {"files": progress.blobs}


class BucketMakeSignedUrlOperator(BucketsOperator):
    """Make a URL with which anybody can GET a blob for a while.

    XCom: the URL, as a text. It is a secret for as long as it is valid, and XComs are readable for whoever may read the
    DAG: choose a short life. It is not written to the log.

    :param uri: address of the blob; whether it exists is not checked.
    :param expires_in_seconds: 1 to 604,800.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "expires_in_seconds")

    def __init__(self, *, uri: str, expires_in_seconds: int = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.expires_in_seconds = expires_in_seconds

    def execute(self, context: Context) -> str:
        """Sign a URL."""
        with self.buckets() as hook:
            seconds = whole_number(self.expires_in_seconds, "expires_in_seconds")
            url = hook.make_signed_url(self.uri, expires_in_seconds=seconds)
        return str(url)
