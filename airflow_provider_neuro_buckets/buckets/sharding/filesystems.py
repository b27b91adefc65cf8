"""A folder of an fsspec filesystem: what lies in it, and how files are written to it."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    InvalidAnswer,
    NotADirectory,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.joining import Pages
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.uri import quote_key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
"""What filesystems call the time of a file, the most telling first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemPlace:
    """A folder of a filesystem. Its blocking methods run in threads.

    :ivar path: without a ``/`` at its end.
    """

    fs: AbstractFileSystem
    path: str

    def address(self) -> str:
        """Return its address, with the protocol."""
        return str(self.fs.unstrip_protocol(self.path))

    def url(self, key: str) -> URL:
        """Return the address of what lies in it."""
        return URL(f"{self.address()}/{quote_key(key)}", encoded=True)

    def path_of(self, key: str) -> str:
        """Return the path of what lies in it."""
        return f"{self.path}/{key}"

    async def do(self, work: Callable[[], T]) -> T:
        """Run blocking work of the filesystem in a thread.

        :raises OSError: it failed, in whatever way.
        """
        try:
            return await in_thread(work)
        except (OSError, BucketsError):
            raise
        except Exception as error:
            raise OSError(f"{self.address()}: {type(error).__name__}: {error}") from error

    async def pages(self, folder: str = "") -> Pages:
        """Yield what lies below it, folder by folder; nothing if it is not there.

        A folder is as much in memory as its filesystem lists it: at once.
        """
        await self.do(self.fs.invalidate_cache)
        waiting = [self.path_of(folder).rstrip("/")]
        while waiting:
            path = waiting.pop()
            found = await self.do(lambda path=path: self._list(path))  # type: ignore[misc]  # bound now
            waiting += [info["name"].rstrip("/") for info in reversed(found) if info["type"] == "directory"]
            yield [self.entry(info) for info in found if info["type"] != "directory"]

    def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self.fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        # Object stores list the marker of a folder as something in it.
        return [info for info in found if info["name"].rstrip("/") != path]

    def entry(self, info: dict[str, Any]) -> Entry:
        """Return what a filesystem tells of a file."""
        etag, above = info.get("ETag") or info.get("etag"), self.path + "/"
        if not info["name"].startswith(above):
            raise InvalidAnswer(
                f"{info['name']!r} does not lie in {self.path!r}, which lists it", remedy="Name the folder otherwise"
            )
        return Entry(
            info["name"][len(above) :],
            int(info.get("size") or 0),
            etag=str(etag).strip('"') if etag else None,
            md5=_md5(info),
            modified=next((time for name in _TIMES if (time := _seconds(info.get(name))) is not None), None),
        )

    async def look_up(self, key: str) -> Entry | None:
        """Return what the filesystem tells of a file now; `None` if there is none."""
        path = self.path_of(key)
        self.fs.invalidate_cache(path.rpartition("/")[0])
        with suppress(FileNotFoundError):
            return self.entry(await self.do(lambda: self.fs.info(path)))
        return None

    async def check(self) -> None:
        """Make sure that it is a source.

        :raises ResourceNotFound: there is no such folder.
        :raises NotADirectory: it is a file.
        """
        if await self.do(lambda: self.fs.isdir(self.path)):
            return
        if await self.do(lambda: self.fs.exists(self.path)):
            raise NotADirectory(f"{self.address()} is not a folder", remedy="Shards are made of folders")
        raise ResourceNotFound(f"there is no folder {self.address()}", remedy="Check the address")

    async def check_target(self) -> None:
        """Make sure that something can be moved there: it is a folder, or nothing yet.

        :raises NotADirectory: it is a file.
        """
        if await self.do(lambda: self.fs.isfile(self.path)):
            raise NotADirectory(f"{self.address()} is not a folder", remedy="Choose another destination")

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[Any]:
        """Give an open file, which is at its key, whole, once the block has ended, and not if that fails.

        As far as the filesystem can: those of object stores do, others write beside the target and rename it.
        """
        file = await self.do(lambda: self._opened(self.path_of(key)))

        def finish() -> None:
            file.close()
            file.commit()

        try:
            yield file
            await self.do(finish)
        except BaseException:
            with suppress(Exception):
                await self.do(file.discard)
            raise

    async def write(self, key: str, content: bytes | bytearray) -> None:
        """Write a small file at once."""
        path = self.path_of(key)

        def write() -> None:
            try:
                self.fs.pipe_file(path, bytes(content))
            except FileNotFoundError:
                self._make_folder_of(path)
                self.fs.pipe_file(path, bytes(content))

        await self.do(write)

    def _opened(self, path: str) -> Any:
        try:
            file = self.fs.open(path, "wb", autocommit=False)
        except FileNotFoundError:  # a filesystem with real folders; to make them first would ask the others in vain
            self._make_folder_of(path)
            file = self.fs.open(path, "wb", autocommit=False)
        self.fs.transaction.files.remove(file)  # it is committed by whoever writes it
        return file

    def _make_folder_of(self, path: str) -> None:
        """Make a folder below the first of all, which for object stores is a bucket that nobody has asked to make.

        :raises FileNotFoundError: that is not there.
        """
        top = path[: path.find("/", 1)]
        if not self.fs.exists(top):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), top)
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)


def _md5(info: dict[str, Any]) -> str | None:
    """Return the MD5 of a file in hex, where the filesystem tells one."""
    settings = info.get("content_settings") or {}
    for told in (info.get("md5Hash"), settings.get("content_md5")):
        if isinstance(told, str):
            with suppress(ValueError):
                return base64.b64decode(told).hex()
        if isinstance(told, bytes | bytearray):
            return told.hex()
    return None


def _seconds(time: object) -> float | None:
    match time:
        case datetime():
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        case int() | float():
            return float(time)
        case str():
            with suppress(ValueError):
                return _seconds(datetime.fromisoformat(time))
    return None
