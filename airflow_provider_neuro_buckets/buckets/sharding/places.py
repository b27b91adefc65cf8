"""Ends that have been opened: what lies in them, as pages of entries."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import NotADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.listing import as_folder
from airflow_provider_neuro_buckets.buckets.sharding.ends import BucketEnd, End, FilesystemEnd, FolderEnd
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.joining import Pages
from airflow_provider_neuro_buckets.buckets.stores.base import Page
from airflow_provider_neuro_buckets.buckets.stores.rows import rows_of
from airflow_provider_neuro_buckets.buckets.transfer.copying import Refusals
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote, check_folder
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names
from airflow_provider_neuro_buckets.buckets.transfer.plan import Symlinks
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, LocalFile, Step, Unusable, Walk
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from airflow_provider_neuro_buckets.buckets.uri import file_url

log = logging.getLogger(__name__)

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Level:
    """What lies directly in a folder: the folders in it, as paths below the end, and all else."""

    folders: Sequence[str]
    entries: list[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlace:
    """A folder in a bucket.

    :ivar prefix: what the keys in it begin with.
    :ivar hidden: what the keys begin with that are passed over, if any do.
    """

    remote: Remote
    window: Window
    refusals: Refusals
    prefix: str
    hidden: str | None = None

    def address(self) -> str:
        """Return its address, whatever way it was written."""
        return self.remote.listing.store.address(self.prefix)

    def url(self, key: str) -> URL:
        """Return the address of what lies in it."""
        return self.remote.url(self.prefix + key)

    def pages(self, folder: str = "") -> Pages:
        """Yield what lies below one of its folders, in the order of the provider."""
        return self._pages(self.prefix + folder)

    async def _pages(self, prefix: str) -> Pages:
        async with aclosing(self.remote.listing.answers(prefix)) as answers:
            async for answer in answers:
                yield self._entries(answer)

    async def level(self, folder: str) -> Level | None:
        """Return what lies directly in one of its folders, if one page of a listing has it all."""
        first: Page | None = None
        async with aclosing(self.remote.listing.answers(self.prefix + folder, delimiter="/")) as answers:
            async for answer in answers:
                if first is not None and (answer.blobs or answer.prefixes):
                    return None
                first = first or (answer if answer.blobs or answer.prefixes else None)
        if first is None:
            return Level([], [])
        shown = [one for one in first.prefixes if self.hidden is None or not one.startswith(self.hidden)]
        return Level([one[len(self.prefix) :] for one in shown], self._entries(first))

    def _entries(self, page: Page) -> list[Entry]:
        begin, hidden = len(self.prefix), self.hidden
        return [
            Entry(key[begin:], size, etag, md5, None if modified is None else modified.timestamp())
            for key, size, etag, modified, _, md5 in rows_of(page.blobs)
            if hidden is None or not key.startswith(hidden)
        ]

    async def check(self) -> None:
        """Make sure that it is a source.

        :raises ResourceNotFound: nothing lies there.
        :raises NotADirectory: it is a blob.
        """
        await check_folder(self.remote, remedy="Shards are made of folders")

    async def check_target(self) -> None:
        """Make sure that something can be moved there: into a bucket always."""

    def hiding(self, prefix: str) -> BucketPlace:
        """Return the same place, in which what begins with a prefix is passed over."""
        return replace(self, hidden=prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlace:
    """A local folder.

    :ivar symlinks: what is done about links in it.
    """

    path: Path
    symlinks: Symlinks = Symlinks.INSIDE

    def address(self) -> str:
        """Return its path."""
        return str(self.path)

    def url(self, key: str) -> URL:
        """Return the address of what lies in it; of a key that cannot, its own."""
        is_local = not key or not isinstance(local_names(key), str)
        return file_url(self.path / key if is_local else self.path)

    async def pages(self, folder: str = "") -> Pages:
        """Yield what lies below it, folder by folder; nothing if it is not there."""
        page: list[Entry] = []
        if await asyncio.to_thread(self.path.is_dir):
            async with aclosing(self._steps(folder)) as steps:
                async for step in steps:
                    page += self._entries(step)
                    if len(page) >= _PAGE:
                        yield page
                        page = []
        yield page

    def _steps(self, folder: str) -> AsyncGenerator[Step, None]:
        return Walk(root=self.path / folder, symlinks=self.symlinks).steps()

    def _entries(self, step: Step) -> list[Entry]:
        match step:
            case LocalFile(relative, size, mtime, changed):
                return [Entry(relative, size, modified=mtime, changed=changed)]
            case EmptyFolder(relative):
                return [Entry(relative, 0)]
            case Unusable(relative, error=Exception() as error):
                return [Entry(relative, 0, problem=str(error))]
            case Unusable(relative, reason):
                log.info("%s is left alone: %s", self.path / relative, reason)
        return []

    async def check(self) -> None:
        """Make sure that it is a source.

        :raises ResourceNotFound: there is no such folder.
        :raises NotADirectory: it is a file.
        """
        try:
            status = await asyncio.to_thread(self.path.stat)
        except FileNotFoundError:
            raise ResourceNotFound(f"there is no local folder {self.path}", remedy="Check the path") from None
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectory(f"{self.path} is not a folder", remedy="Shards are made of folders")

    async def check_target(self) -> None:
        """Make sure that something can be moved there: it is a folder, or nothing yet.

        :raises NotADirectory: it is a file.
        """
        if await asyncio.to_thread(self.path.exists) and not await asyncio.to_thread(self.path.is_dir):
            raise NotADirectory(f"{self.path} is not a folder", remedy="Choose another destination")

    def without_links(self) -> FolderPlace:
        """Return the same place as a destination: what is behind a link is not in it."""
        return replace(self, symlinks=Symlinks.SKIP)


Place = BucketPlace | FolderPlace | FilesystemPlace


async def open_bucket(end: BucketEnd) -> BucketPlace:
    """Find the bucket of an end; nothing is asked about its blobs."""
    bucket, key = await end.buckets.locate(end.uri)
    remote = Remote(await end.buckets.opener.open(bucket), key)
    return BucketPlace(remote=remote, window=end.buckets.window, refusals=end.buckets.refusals, prefix=as_folder(key))


async def open_place(end: End) -> Place:
    """Open an end; nothing is asked about what lies in it."""
    match end:
        case BucketEnd():
            return await open_bucket(end)
        case FolderEnd():
            return FolderPlace(path=end.path)
        case FilesystemEnd():
            protocols = {end.fs.protocol} if isinstance(end.fs.protocol, str) else set(end.fs.protocol)
            if protocols & {"file", "local"}:
                return FolderPlace(path=Path(end.path))
            return FilesystemPlace(fs=end.fs, path=str(end.fs._strip_protocol(end.path)).rstrip("/"))  # noqa: SLF001 - fsspec has no other
