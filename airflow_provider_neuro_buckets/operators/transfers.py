"""Operators that move files between the worker and a bucket, and blobs between buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.operators.base import ChangingOperator, one_of, some_texts
from airflow_provider_neuro_buckets.operators.lineage import LineageOperator
from airflow_provider_neuro_buckets.operators.tries import tries_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.buckets.models import TransferReport


class _TransferOperator(LineageOperator):
    """Base of the operators that move something from `src` to `dst`."""

    template_fields: Sequence[str] = (*LineageOperator.template_fields, "src", "dst")
    reads = "src"
    writes = "dst"

    def __init__(self, *, src: str, dst: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.src = src
        self.dst = dst
        self.name_assets()


class BucketUploadFileOperator(_TransferOperator):
    """Upload a file of the worker to exactly an address.

    Atomic: until the end, the address holds what it held. Progress goes to the task's log every few seconds.

    XCom: as of the other transfers, ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged",
    "kept", "skipped"}``.

    :param src: the file: a path or a ``file:`` URL.
    :param dst: the address of the blob, such as ``blob:bucket/folder/name.csv``.
    :param update: only if the blob is missing, has another size, or is older than the file.
    :param continue_: go on with a large upload that was cut off, where the provider tells of its parts: Azure does, S3
        to credentials that may list uploads. A retry of the task does so anyway, with what the try before has noted.
    :raises ResourceNotFound: there is no such file, or no such bucket.
    :raises IsADirectory: one of both is a folder.
    :raises SourceChanged: the file changed meanwhile; nothing of it was kept.
    :raises IntegrityError: what is stored is not what was sent.
    """

    link_field = "dst"
    local = "src"

    def __init__(self, *, src: str, dst: str, update: bool = False, continue_: bool = False, **kwargs: Any) -> None:
        super().__init__(src=src, dst=dst, **kwargs)
        self.update = update
        self.continue_ = continue_

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the file."""
        with self.buckets() as hook, tries_of(self, context) as tries:
            report = hook.upload_file(
                self.src,
                self.dst,
                update=self.update,
                continue_=self.continue_,
                progress=self.moving("Uploading to", self.dst, is_file=True),
                dry_run=self.rehearses(),
                tries=tries,
            )
        return summary(self, report, self.dst)


class BucketDownloadFileOperator(_TransferOperator):
    """Download a blob to exactly a path of the worker, whose folder exists.

    Atomic: the file appears whole and verified or not at all. Progress goes to the task's log every few seconds.

    XCom: as of the other transfers, ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged",
    "kept", "skipped"}``.

    :param src: the address of the blob.
    :param dst: the file: a path or a ``file:`` URL.
    :param update: only if the file is missing, has another size, or is older than the blob.
    :param continue_: go on with a file that is the beginning of the blob, or with what the last try had of a large one
        when it failed or was killed.
    :raises ResourceNotFound: there is no such blob, no such bucket, or no folder for the file.
    :raises IsADirectory: one of both is a folder.
    :raises IntegrityError: the bytes are not those that were promised; the old file stays.
    :raises OSError: the disk is full, or may not be written.
    """

    link_field = "src"
    local = "dst"

    def __init__(self, *, src: str, dst: str, update: bool = False, continue_: bool = False, **kwargs: Any) -> None:
        super().__init__(src=src, dst=dst, **kwargs)
        self.update = update
        self.continue_ = continue_

    def execute(self, context: Context) -> dict[str, Any]:
        """Download the file."""
        with self.buckets() as hook, tries_of(self, context) as tries:
            report = hook.download_file(
                self.src,
                self.dst,
                update=self.update,
                continue_=self.continue_,
                progress=self.moving("Downloading from", self.src, is_file=True),
                dry_run=self.rehearses(),
                tries=tries,
            )
        return summary(self, report, self.src)


class BucketUploadDirOperator(_TransferOperator):
    """Upload what is inside a local folder of the worker to below an address.

    Progress goes to the task's log every few seconds. Files that fail do not stop the others; then the task fails and
    lists them.

    The first try of a task replaces everything. A retry, or the failed task cleared, leaves alone what an earlier try
    in the same run has uploaded, unless the file changed since: the blob was written after the first try began, and
    after the file system last touched the file. Where times cannot tell, because they are less than two seconds apart,
    or the retry is on another worker, or Airflow is older than 3.3 and has no task state store, the contents must be
    equal by a checksum of the provider. Whatever cannot be told is uploaded again.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "kept", "skipped"}``,
    numbers but for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider,
    `kept` those that an earlier try has moved, which are not among the `files`.

    :param src: the folder: a path or a ``file:`` URL.
    :param dst: the address, such as ``blob:bucket/folder/``.
    :param update: only files whose blob is missing, has another size, or is older.
    :param continue_: go on with large uploads that were cut off, where the provider tells of their parts: Azure does,
        S3 to credentials that may list uploads. A retry of the task does so anyway, with what the try before has noted.
    :param ignore_file_names: name, or names, of files with ``.gitignore`` rules, valid from their folder downwards.
    :param symlinks: ``inside`` follows links within `src` and fails those that lead out; ``follow``; ``skip``.
    :raises TransferError: some files failed; the others are uploaded.
    :raises ResourceNotFound: there is no such folder, or no such bucket.
    :raises NotADirectory: it is a file.
    """

    link_field = "dst"
    local = "src"

    def __init__(
        self,
        *,
        src: str,
        dst: str,
        update: bool = False,
        continue_: bool = False,
        ignore_file_names: str | Sequence[str] = (),
        symlinks: Literal["inside", "follow", "skip"] = "inside",
        **kwargs: Any,
    ) -> None:
        super().__init__(src=src, dst=dst, **kwargs)
        one_of(("inside", "follow", "skip"), symlinks=symlinks)
        self.update = update
        self.continue_ = continue_
        self.ignore_file_names = ignore_file_names
        self.symlinks = symlinks

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the folder."""
        with self.buckets() as hook, tries_of(self, context) as tries:
            report = hook.upload_dir(
                self.src,
                self.dst,
                update=self.update,
                continue_=self.continue_,
                ignore_file_names=frozenset(some_texts(self.ignore_file_names, "ignore_file_names")),
                symlinks=self.symlinks,
                progress=self.moving("Uploading to", self.dst),
                dry_run=self.rehearses(),
                tries=tries,
            )
        return summary(self, report, self.dst)


class BucketDownloadDirOperator(_TransferOperator):
    """Download what lies below an address into a local folder of the worker.

    Each file appears whole and verified or not at all, and nothing is written outside the folder. Progress goes to the
    task's log every few seconds. Files that fail do not stop the others; then the task fails and lists them.

    The first try of a task replaces everything. A retry, or the failed task cleared, leaves alone what an earlier try
    in the same run has downloaded, unless the blob changed since: the file has the blob's size and exactly its time,
    and was written after the first try began. Where times cannot tell, because the retry is on another worker, or
    Airflow is older than 3.3 and has no task state store, the contents must be equal by a checksum of the provider.
    Whatever cannot be told is downloaded again. A large file that was cut off is gone on with.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "kept", "skipped"}``,
    numbers but for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider,
    `kept` those that an earlier try has moved, which are not among the `files`.

    :param src: the address, such as ``blob:bucket/folder/``.
    :param dst: the folder: a path or a ``file:`` URL; made if missing.
    :param update: only blobs whose file is missing, has another size, or is older.
    :param continue_: go on with files that are the beginning of their blob, and with large ones that the last try was
        fetching when it failed or was killed.
    :raises TransferError: some blobs failed, or cannot be local files; the others are there.
    :raises ResourceNotFound: there is nothing at the address.
    :raises NotADirectory: one of both is no folder.
    """

    link_field = "src"
    local = "dst"

    def __init__(self, *, src: str, dst: str, update: bool = False, continue_: bool = False, **kwargs: Any) -> None:
        super().__init__(src=src, dst=dst, **kwargs)
        self.update = update
        self.continue_ = continue_

    def execute(self, context: Context) -> dict[str, Any]:
        """Download the folder."""
        with self.buckets() as hook, tries_of(self, context) as tries:
            report = hook.download_dir(
                self.src,
                self.dst,
                update=self.update,
                continue_=self.continue_,
                progress=self.moving("Downloading from", self.src),
                dry_run=self.rehearses(),
                tries=tries,
            )
        return summary(self, report, self.src)


class BucketCopyDirOperator(_TransferOperator):
    """Copy what lies below an address to below another, in any bucket of any provider.

    The storage copies by itself where both buckets are of one service and the credentials allow it; else the blobs pass
    through the worker, in bounded memory and never on its disk. Keys stay exactly what they are behind the addresses.
    Progress goes to the task's log every few seconds. Blobs that fail do not stop the others; then the task fails and
    lists them.

    The first try of a task replaces everything. A retry, or the failed task cleared, leaves alone what an earlier try
    in the same run has copied, unless the source changed since: the copy was made after the first try began and after
    the source was written, and has no other checksum. Where times cannot tell, because they are less than two seconds
    apart, or the retry is on another worker, or Airflow is older than 3.3 and has no task state store, both must have
    one checksum. Whatever cannot be told is copied again.

    XCom: ``{"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "kept", "skipped"}``,
    numbers but for `uri`; `verified` are those of the files whose content was compared with a checksum of the provider,
    `kept` those that an earlier try has moved, which are not among the `files`.

    :param src: the address, such as ``blob:bucket/folder/``.
    :param dst: the address to copy to; it must not lie in `src`.
    :param update: only blobs whose copy is missing, has another size or content, or is older.
    :raises TransferError: some blobs failed, or have keys that the destination cannot hold; the others are there.
    :raises ResourceNotFound: there is nothing at the address.
    :raises AirflowFailException: `dst` lies in `src`.
    """

    link_field = "dst"

    def __init__(self, *, src: str, dst: str, update: bool = False, **kwargs: Any) -> None:
        super().__init__(src=src, dst=dst, **kwargs)
        self.update = update

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy the folder."""
        with self.buckets() as hook, tries_of(self, context) as tries:
            report = hook.copy_dir(
                self.src,
                self.dst,
                update=self.update,
                progress=self.moving("Copying to", self.dst),
                dry_run=self.rehearses(),
                tries=tries,
            )
        return summary(self, report, self.dst)


def summary(operator: ChangingOperator, report: TransferReport, uri: str) -> dict[str, Any]:
    """Log what a transfer did, in one line, and return it small enough for XCom."""
    operator.log.info(
        "%s%d files (%d verified by checksum), %.1f MB in %.1f s (%.1f MB/s); "
        "%d up to date, %d kept from an earlier try, %d skipped",
        "Dry run: " if operator.rehearses() else "",
        report.files,
        report.verified,
        report.bytes / 1e6,
        report.seconds,
        report.bytes_per_second / 1e6,
        report.unchanged,
        report.kept,
        len(report.skipped),
    )
    return operator.result(
        uri=uri,
        files=report.files,
        verified=report.verified,
        bytes=report.bytes,
        seconds=round(report.seconds, 3),
        bytes_per_second=round(report.bytes_per_second),
        unchanged=report.unchanged,
        kept=report.kept,
        skipped=len(report.skipped),
    )
