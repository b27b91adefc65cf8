"""Operators that move files between the worker and a bucket, and blobs between buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.operators.base import BucketsOperator, one_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.buckets.models import TransferReport


class BucketUploadDirOperator(BucketsOperator):
    """Upload what is inside a local folder of the worker to below an address.

    Progress goes to the task's log every few seconds. Files that fail do not stop the others; then the task fails and
    lists them, and a retry with `update` finishes the rest.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "skipped"}``, numbers but
    for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider.

    :param src: the folder: a path or a ``file:`` URL.
    :param dst: the address, such as ``blob:bucket/folder/``.
    :param update: only files whose blob is missing, has another size, or is older.
    :param ignore_file_names: names of files with ``.gitignore`` rules, valid from their folder downwards.
    :param symlinks: ``inside`` follows links within `src` and fails those that lead out; ``follow``; ``skip``.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "src", "dst")

    def __init__(
        self,
        *,
        src: str,
        dst: str,
        update: bool = False,
        ignore_file_names: Sequence[str] = (),
        symlinks: Literal["inside", "follow", "skip"] = "inside",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("inside", "follow", "skip"), symlinks=symlinks)
        self.src = src
        self.dst = dst
        self.update = update
        self.ignore_file_names = ignore_file_names
        self.symlinks = symlinks

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the folder."""
        from airflow_provider_neuro_buckets.hooks.progress import LogProgress  # noqa: PLC0415 - loads when the task runs

        with self.buckets() as hook:
            report = hook.upload_dir(
                self.src,
                self.dst,
                update=self.update,
                ignore_file_names=frozenset(self.ignore_file_names),
                symlinks=self.symlinks,
                progress=LogProgress(self.log, f"Uploading to {self.dst}"),
            )
        return summary(self, report, self.dst)


class BucketDownloadDirOperator(BucketsOperator):
    """Download what lies below an address into a local folder of the worker.

    Each file appears whole and verified or not at all, and nothing is written outside the folder. Progress goes to the
    task's log every few seconds. Files that fail do not stop the others; then the task fails and lists them.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "skipped"}``, numbers but
    for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider.

    :param src: the address, such as ``blob:bucket/folder/``.
    :param dst: the folder: a path or a ``file:`` URL; made if missing.
    :param update: only blobs whose file is missing, has another size, or is older.
    :param continue_: go on with files that are the beginning of their blob, and with large ones that the last try was
        fetching when it failed or was killed.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "src", "dst")

    def __init__(self, *, src: str, dst: str, update: bool = False, continue_: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.src = src
        self.dst = dst
        self.update = update
        self.continue_ = continue_

    def execute(self, context: Context) -> dict[str, Any]:
        """Download the folder."""
        from airflow_provider_neuro_buckets.hooks.progress import LogProgress  # noqa: PLC0415 - loads when the task runs

        with self.buckets() as hook:
            report = hook.download_dir(
                self.src,
                self.dst,
                update=self.update,
                continue_=self.continue_,
                progress=LogProgress(self.log, f"Downloading from {self.src}"),
            )
        return summary(self, report, self.src)


class BucketCopyDirOperator(BucketsOperator):
    """Copy what lies below an address to below another, in any bucket of any provider.

    The storage copies by itself where both buckets are of one service and the credentials allow it; else the blobs pass
    through the worker, in bounded memory and never on its disk. Keys stay exactly what they are behind the addresses.
    Progress goes to the task's log every few seconds. Blobs that fail do not stop the others; then the task fails and
    lists them, and a retry with `update` finishes the rest.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "skipped"}``, numbers but
    for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider.

    :param src: the address, such as ``blob:bucket/folder/``.
    :param dst: the address to copy to; it must not lie in `src`.
    :param update: only blobs whose copy is missing, has another size or content, or is older.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "src", "dst")

    def __init__(self, *, src: str, dst: str, update: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.src = src
        self.dst = dst
        self.update = update

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy the folder."""
        from airflow_provider_neuro_buckets.hooks.progress import LogProgress  # noqa: PLC0415 - loads when the task runs

        with self.buckets() as hook:
            report = hook.copy_dir(
                self.src, self.dst, update=self.update, progress=LogProgress(self.log, f"Copying to {self.dst}")
            )
        return summary(self, report, self.dst)


def summary(operator: BucketsOperator, report: TransferReport, uri: str) -> dict[str, Any]:
    """Log what a transfer did, in one line, and return it small enough for XCom."""
    operator.log.info(
        "%d files (%d verified by checksum), %.1f MB in %.1f s (%.1f MB/s); %d up to date, %d skipped",
        report.files,
        report.verified,
        report.bytes / 1e6,
        report.seconds,
        report.bytes_per_second / 1e6,
        report.unchanged,
        len(report.skipped),
    )
    return {
        "uri": uri,
        "files": report.files,
        "verified": report.verified,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "bytes_per_second": round(report.bytes_per_second),
        "unchanged": report.unchanged,
        "skipped": len(report.skipped),
    }
