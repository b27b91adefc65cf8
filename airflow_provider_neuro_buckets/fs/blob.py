"""The door: ``get_fs`` for Airflow, `BlobFileSystem` for fsspec and whatever stands on it.

A path is ``blob://bucket/key`` or ``blob://conn_id@bucket/key``. The bucket is a name, or an id, which also reaches a
bucket of another project. Other than in the ``blob:`` addresses of operators, the key stands there as it is: there are
no escapes, and ``%``, ``#``, ``?`` and spaces mean themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from fsspec.compression import compr
from fsspec.core import get_compression
from fsspec.utils import is_exception

from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    IsADirectory,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.fs.copying import CopyingBase
from airflow_provider_neuro_buckets.fs.paths import SCHEME, Place
from airflow_provider_neuro_buckets.fs.reading import BLOCK, BlobReader
from airflow_provider_neuro_buckets.fs.running import blocking_twins, run
from airflow_provider_neuro_buckets.fs.writing import BlobWriter, LayeredWriter, TextWriter, Upload

schemes = [SCHEME]


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> BlobFileSystem:
    """Return the filesystem on a connection: what Airflow asks for. Nothing is looked up, let alone requested, yet.

    :param conn_id: `None` means the default connection.
    """
    named: dict[str, Any] = {} if conn_id is None else {"conn_id": conn_id}
    return BlobFileSystem(**named, **(storage_options or {}))


@blocking_twins
class BlobFileSystem(CopyingBase):
    """The buckets of an Airflow connection as a filesystem of fsspec.

    Folders exist as long as something is in them; buckets are neither made nor removed. Writes are atomic. Errors are
    those of the client, each of which is also the builtin one: `FileNotFoundError`, `PermissionError`, and so on.

    :param conn_id: a connection of type ``neuro_buckets``; `None` means the default one. It is read when it is first
        needed, and again when its token is refused; it is all that a pickle of this object holds.
    """

    # Content

    async def _cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        versions: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> bytes:
        """Return the content of a blob, or a slice of it, all of one version.

        :param versions: by path, what is known of it already.
        """
        place = self.blob(path)
        version = (versions or {}).get(path)
        if isinstance(version, Exception):
            raise version
        content: bytes = await self.ask(
            lambda buckets: buckets.read_blob(place.uri, start=start, stop=end, version=version)
        )
        return content

    async def _cat_ranges(
        self,
        paths: Any,
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        *,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Return slices of blobs; those of one blob are of one version of it.

        :param on_error: ``return`` puts what went wrong with a slice into its place, ``raise`` raises the first of it,
            as fsspec itself did not before 2026.
        """
        versions = await self._versions(set(paths))
        found: list[Any] = await super()._cat_ranges(paths, starts, ends, max_gap, versions=versions, **options)
        if on_error != "return" and (failed := next(filter(is_exception, found), None)) is not None:
            raise failed
        return found

    async def _versions(self, paths: set[str]) -> dict[str, Any]:
        async def stat(path: str) -> Any:
            return await self.version_of(self.blob(path))

        found = await asyncio.gather(*map(stat, paths), return_exceptions=True)
        return dict(zip(paths, found, strict=True))

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Create or replace a blob; with mode ``create`` only if there is none."""
        place = self.blob(path)
        await self.refuse_existing(place, mode)
        await self.ask(lambda buckets: buckets.put_blob(place.bucket, place.key, value))

    # Open files

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open a blob: ``r``, ``w`` or ``x``, as bytes or as text.

        What is written appears when the file is closed, at once. Left through an exception it does not appear at all.

        :param mode: ``x`` refuses a name that is taken; somebody who writes at the same moment is not noticed.
        :param compression: one that fsspec knows, or ``infer``.
        :raises ConfigurationError: a `ValueError`: a mode that blobs do not have, such as ``a``.
        """
        self.blob(path)
        kind = mode.replace("t", "").replace("b", "")
        if kind not in {"r", "w", "x"}:
            raise ConfigurationError(f"a blob cannot be opened with mode {mode!r}", remedy="Read it, or write it anew")
        if kind == "r":
            return super().open(path, mode, block_size, cache_options, compression, **options)
        is_text = "b" not in mode
        text = {name: options.pop(name) for name in ("encoding", "errors", "newline") if is_text and name in options}
        file = super().open(path, f"{kind}b", block_size, cache_options, None, **options)
        if (layer := get_compression(path, compression)) is not None:
            file = LayeredWriter(compr[layer](file, mode="w"), file)
        return TextWriter(file, **text) if is_text else file

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> BlobReader | BlobWriter:
        place = self.blob(path)
        options |= {"block_size": block_size or BLOCK, "cache_options": cache_options, "autocommit": autocommit}
        if mode == "rb":
            return BlobReader(self, place, run(self.loop, self._version_to_read, place), **options)
        if mode == "xb":
            run(self.loop, self.refuse_existing, place, "create")
        return BlobWriter(self, place, mode, **options)

    async def _version_to_read(self, place: Place) -> Any:
        try:
            return await self.version_of(place)
        except ResourceNotFound:
            if not await self.is_folder(place.path):
                raise
        raise IsADirectory(f"{place} is a folder", remedy="Open what is in it")

    async def begin_upload(self, place: Place, mode: str) -> Upload:  # noqa: ARG002 - `end_upload` looks at it
        """Begin an upload that is fed from outside."""
        buckets = await self.client()

        async def put(content: AsyncIterator[bytes]) -> None:
            await buckets.put_blob(place.bucket, place.key, content)

        return Upload(put)

    async def end_upload(self, upload: Upload, place: Place, mode: str) -> None:
        """Publish an upload."""
        try:
            await self.refuse_existing(place, "create" if mode == "xb" else "overwrite")
        except BaseException:
            await upload.abort()
            raise
        await upload.finish()

    # What there is, in other words

    def created(self, path: str) -> datetime:
        """Return when a blob was created, where its storage keeps that.

        :raises UnsupportedProvider: a `NotImplementedError`: it does not.
        """
        return self._time(path, "created")

    def modified(self, path: str) -> datetime:
        """Return when a blob was written.

        :raises UnsupportedProvider: a `NotImplementedError`: a folder has no time.
        """
        return self._time(path, "LastModified")

    def _time(self, path: str, field: str) -> datetime:
        time = self.info(path).get(field)
        if time is None:
            raise UnsupportedProvider(f"no such time is kept of {self.place(path)}")
        assert isinstance(time, datetime)
        return time

    def ukey(self, path: str) -> str:
        """Return what changes whenever a blob does: its ETag."""
        info = self.info(path)
        return str(info.get("ETag") or hashlib.sha256(repr(sorted(info.items())).encode()).hexdigest())

    def checksum(self, path: str) -> int:
        """Return :meth:`ukey` as a number."""
        return int.from_bytes(hashlib.sha256(self.ukey(path).encode()).digest()[:16], "big")

    # Folders and buckets

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:  # noqa: ARG002 - fsspec's
        """Do nothing for a folder: it is there once something is in it. A bucket must exist.

        :raises ResourceNotFound: there is no such bucket; a path never makes one.
        """
        place = self.place(path)
        if not place.key and not await self._exists(path):
            raise ResourceNotFound(f"there is no bucket {place}", remedy="Create it with the hook: a path makes none")

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: ARG002 - fsspec's
        await self._mkdir(path)

    async def _rm_file(self, path: str, **_: Any) -> None:
        """Remove a blob; one that is not there counts as removed."""
        place = self.blob(path)
        await self.ask(lambda buckets: buckets.delete_blob(place.bucket, place.key))

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Remove blobs; with `recursive` folders with all that is below them, in batches.

        :raises ResourceNotFound: there is neither a blob nor a folder.
        :raises IsADirectory: a folder, and not `recursive`.
        :raises ConfigurationError: a whole bucket.
        """
        if maxdepth is not None:
            await super()._rm(path, recursive, batch_size or self._at_once, maxdepth)
            return
        found: list[str] = []
        for name in [path] if isinstance(path, str) else path:
            if not self.place(name).key:
                raise ConfigurationError(
                    f"{self.place(name)} is a whole bucket, which no path removes or empties",
                    remedy="Remove the folders in it, or the bucket with the hook",
                )
            found += [name] if await self.is_literal(name) else await self._expand_path(name)
        slots = asyncio.Semaphore(batch_size or self._at_once)

        async def remove(name: str) -> None:
            async with slots:
                await self._rm_one(name, recursive=recursive)

        await asyncio.gather(*map(remove, found))

    async def _rm_one(self, path: str, *, recursive: bool) -> None:
        if not recursive and await self._isfile(path):
            await self._rm_file(path)
            return
        place = self.place(path)
        address = place.folder if path.endswith("/") else place.uri
        # Of a folder, the client says that it is one.
        await self.ask(lambda buckets: buckets.blob_rm(address, recursive=recursive))

    def rmdir(self, path: str) -> None:
        """Do nothing: a folder is gone once nothing is in it.

        :raises IsADirectory: there still is.
        """
        if self.isdir(path):
            raise IsADirectory(f"{self.place(path)} is not empty", remedy="Remove it with recursive=True")

    # Links

    async def _sign(self, path: str, expiration: int = 100) -> str:
        place = self.blob(path)
        url = await self.ask(lambda buckets: buckets.make_signed_url(place.uri, expires_in_seconds=expiration))
        return str(url)

    def sign(self, path: str, expiration: int = 100) -> str:
        """Return a URL with which anybody can GET the blob for so many seconds."""
        return run(self.loop, self._sign, path, expiration)
