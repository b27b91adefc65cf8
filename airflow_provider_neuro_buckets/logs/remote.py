"""Remote task logs: written once as what they are, appended to as a further blob, read as a stream.

The first upload of a log file is the blob of its name. A task that goes on later, such as a sensor that is rescheduled,
adds blobs beside it, each with the time of its upload behind that name; nothing is read back or rewritten for it.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from airflow.providers.common.compat.sdk import conf

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.uri import is_blob_uri, quote_key

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

DEFAULT_CONN_ID = "neuro_buckets_default"
_READ_AT_ONCE = 1024 * 1024


class NeuroBucketsRemoteLogIO:
    """Uploads task logs to a bucket and reads them back, for Airflow's ``[logging] remote_logging``.

    It runs in the supervisor of a task, in the triggerer and in the API server, whose connection may come from the
    environment alone. Logs are no lineage.

    :param remote_base: address of the folder they go to, such as ``blob:bucket/logs``.
    :param base_log_folder: the local folder that they lie in.
    :param delete_local_copy: remove the local folder of a log that was uploaded; otherwise the file is emptied.
    """

    processors: tuple[Any, ...] = ()
    """Nothing is done to log records on their way."""

    def __init__(
        self,
        *,
        remote_base: str,
        base_log_folder: str | os.PathLike[str],
        delete_local_copy: bool = False,
        neuro_buckets_conn_id: str = DEFAULT_CONN_ID,
    ) -> None:
        self.remote_base = remote_base.rstrip("/")
        self.base_log_folder = Path(base_log_folder).expanduser()
        self.delete_local_copy = delete_local_copy
        self.neuro_buckets_conn_id = neuro_buckets_conn_id

    @classmethod
    def from_config(cls) -> Self:
        """Return what Airflow's ``[logging]`` section describes.

        :raises ConfigurationError: `remote_base_log_folder` is no ``blob:`` address.
        """
        remote_base = conf.get_mandatory_value("logging", "remote_base_log_folder")
        if not is_blob_uri(remote_base):
            raise ConfigurationError(
                f"[logging] remote_base_log_folder is {remote_base!r}", remedy="Write blob:bucket/folder"
            )
        return cls(
            remote_base=remote_base,
            base_log_folder=conf.get_mandatory_value("logging", "base_log_folder"),
            delete_local_copy=conf.getboolean("logging", "delete_local_logs", fallback=False),
            neuro_buckets_conn_id=conf.get("logging", "remote_log_conn_id", fallback=None) or DEFAULT_CONN_ID,
        )

    # Writing

    def upload(self, path: os.PathLike[str] | str, ti: object = None) -> None:  # noqa: ARG002 - Airflow's signature
        """Upload what a log file holds, then empty the file; one that has grown meanwhile is left for the next time.

        :param path: of the log, below the local log folder.
        :raises BucketsError: it could not be uploaded; the file is as it was.
        :raises ConfigurationError: the path leads out of the log folder.
        """
        relative = self._relative(path)
        local = self.base_log_folder / relative
        if not local.exists():
            return
        with local.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size:
                self._hook().call(partial(self._add, relative=relative, file=file, size=size))
        self._forget(local, size)

    async def _add(self, buckets: Buckets, *, relative: PurePosixPath, file: BinaryIO, size: int) -> None:
        address = self._address(relative)
        with suppress(ResourceNotFound):
            await buckets.stat_blob(address)
            address += datetime.now(UTC).strftime(".%Y%m%dT%H%M%S.%fZ")
        bucket, key = await buckets.locate(address)
        await buckets.put_blob(str(bucket.uri), key, _beginning(file, size))

    def _forget(self, local: Path, size: int) -> None:
        if self.delete_local_copy:
            shutil.rmtree(local.parent, ignore_errors=True)
        elif local.stat().st_size == size:
            os.truncate(local, 0)

    # Reading

    def stream(self, relative_path: str, ti: object) -> tuple[list[str], list[Iterator[str]]]:  # noqa: ARG002 - as upload
        """Return where the logs of a try are, and an iterator over the lines of each; memory is bounded.

        The logs of the triggerer, whose names begin with that of the task's, are among them.
        """
        with self._hook() as hook:
            try:
                uris = hook.call(partial(self._find, prefix=self._address(self._relative(relative_path))))
            except ResourceNotFound:
                uris = []
        return [f"Found remote logs at {uri}" for uri in uris], [self._lines(uri) for uri in uris]

    def read(self, relative_path: str, ti: object) -> tuple[list[str], list[str] | None]:
        """Return where the logs of a try are, and each as a whole: for versions of Airflow that read no streams."""
        sources, streams = self.stream(relative_path, ti)
        return sources, ["\n".join(lines) for lines in streams] or None

    async def _find(self, buckets: Buckets, *, prefix: str) -> list[str]:
        async with aclosing(buckets.list_blobs(prefix, recursive=True, limit=None)) as entries:
            return [str(entry.uri) async for entry in entries]

    def _lines(self, uri: str) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        rest = ""
        with self._hook() as hook:
            for chunk in hook.iterate(partial(_content, uri=uri)):
                *lines, rest = (rest + decoder.decode(chunk)).split("\n")
                yield from lines
        if rest := rest + decoder.decode(b"", final=True):
            yield rest

    # Both

    def _relative(self, path: os.PathLike[str] | str) -> PurePosixPath:
        whole = self.base_log_folder / path
        if ".." in whole.parts or not whole.is_relative_to(self.base_log_folder):
            raise ConfigurationError(f"the log {str(path)!r} is outside of {self.base_log_folder}")
        return PurePosixPath(whole.relative_to(self.base_log_folder))

    def _address(self, relative: PurePosixPath) -> str:
        return f"{self.remote_base}/{quote_key(str(relative))}"

    def _hook(self) -> NeuroBucketsHook:
        # Loaded here: this module is imported by every process of Airflow.
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as said

        return NeuroBucketsHook(self.neuro_buckets_conn_id)


async def _beginning(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    """Yield the first `size` bytes of a file that may be growing."""
    while size > 0 and (chunk := await asyncio.to_thread(file.read, min(size, _READ_AT_ONCE))):
        size -= len(chunk)
        yield chunk


async def _content(buckets: Buckets, *, uri: str) -> AsyncIterator[bytes]:
    bucket, key = await buckets.locate(uri)
    async with aclosing(buckets.fetch_blob(str(bucket.uri), key)) as chunks:
        async for chunk in chunks:
            yield chunk
