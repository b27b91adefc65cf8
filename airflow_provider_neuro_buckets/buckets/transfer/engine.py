"""The six transfers, as `client.py` calls them: check the two ends, then let the plan be done."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, IsADirectory, NotADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.listing import Listing, as_folder
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.progress import AbstractFileProgress, AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.threads import made_in_thread
from airflow_provider_neuro_buckets.buckets.transfer.copying import (
    Copy,
    Refusals,
    WantedCopy,
    are_one_bucket,
)
from airflow_provider_neuro_buckets.buckets.transfer.download import Download
from airflow_provider_neuro_buckets.buckets.transfer.fetch import WantedBlob
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Outcome
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names
from airflow_provider_neuro_buckets.buckets.transfer.plan import Existing, Symlinks
from airflow_provider_neuro_buckets.buckets.transfer.rehearsal import DRY, REAL, Movers
from airflow_provider_neuro_buckets.buckets.transfer.reporting import FileReporter, FolderReporter, Reporter
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.transfer.walk import Keep, LocalFile, Walk
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from airflow_provider_neuro_buckets.buckets.uri import blob_uri, file_url

__all__ = [
    "DRY",
    "REAL",
    "Existing",
    "Movers",
    "Refusals",
    "Remote",
    "Symlinks",
    "Window",
    "copy_blob",
    "copy_dir",
    "download_dir",
    "download_file",
    "upload_dir",
    "upload_file",
]


@dataclass(frozen=True, slots=True)
class Remote:
    """A place in a bucket: a blob, or the folder of that name; an empty key is the bucket itself."""

    listing: Listing
    key: str

    def address(self) -> str:
        """Return its ``blob:`` URI."""
        return self.listing.store.address(self.key)

    def url(self, key: str) -> URL:
        """Return the address of a key in the same bucket."""
        return blob_uri(self.listing.bucket.uri, key)


async def upload_file(
    src: Path,
    dst: Remote,
    *,
    existing: Existing,
    window: Window,
    progress: AbstractFileProgress | None,
    tries: Tries = ONLY_TRY,
    movers: Movers = REAL,
) -> TransferReport:
    """Upload one file to exactly the key of `dst`.

    :raises IsADirectory: `src` is a folder, or `dst` is: its key is empty, ends with ``/``, or has blobs below it.
    """
    status = await _local_status(src)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectory(f"{src} is a folder", remedy="Upload it with upload_dir")
    await _check_no_folder(dst)
    local = file_url(src)
    upload = movers.upload(
        root=src,
        prefix=dst.key,
        store=dst.listing.store,
        existing=existing,
        window=window,
        reporter=FileReporter(progress, lambda _: (local, dst.url(dst.key))) if progress else Reporter(),
        tries=tries,
    )
    if existing.skips_current or tries.has_earlier:
        with suppress(ResourceNotFound):
            upload.there[dst.key] = await dst.listing.store.head(dst.key)
    await upload.file(LocalFile("", status.st_size, status.st_mtime, status.st_ctime))
    return upload.outcome.report()


async def upload_dir(
    src: Path,
    dst: Remote,
    *,
    existing: Existing,
    symlinks: Symlinks,
    filter: Keep | None,  # noqa: A002 - the reference's name
    ignore_file_names: AbstractSet[str],
    window: Window,
    progress: AbstractRecursiveFileProgress | None,
    tries: Tries = ONLY_TRY,
    movers: Movers = REAL,
) -> TransferReport:
    """Upload what is inside a folder to below the key of `dst`."""
    if not stat.S_ISDIR((await _local_status(src)).st_mode):
        raise NotADirectory(f"{src} is not a folder", remedy="Upload a file with upload_file")
    prefix = as_folder(dst.key)

    def addresses(relative: str) -> tuple[URL, URL]:
        return file_url(src / relative), dst.url(prefix + relative)

    upload = movers.upload(
        root=src,
        prefix=prefix,
        store=dst.listing.store,
        existing=existing,
        window=window,
        reporter=FolderReporter(progress, addresses) if progress else Reporter(),
        tries=tries,
    )
    walk = Walk(root=src, symlinks=symlinks, keep=filter, ignore_file_names=ignore_file_names)
    await upload.run(walk, dst.listing)
    return upload.outcome.conclude(f"upload of {src} to {dst.address()}")


async def download_file(
    src: Remote,
    dst: Path,
    *,
    existing: Existing,
    window: Window,
    progress: AbstractFileProgress | None,
    tries: Tries = ONLY_TRY,
    movers: Movers = REAL,
) -> TransferReport:
    """Download one blob to exactly the path `dst`, whose folder must exist.

    :raises IsADirectory: `dst` is a folder, or `src` is one and no blob.
    """
    if await asyncio.to_thread(dst.is_dir):
        raise IsADirectory(f"{dst} is a folder", remedy="Name the file in it")
    if not await asyncio.to_thread(dst.parent.is_dir):
        raise ResourceNotFound(f"there is no folder {dst.parent}", remedy="Make it first")
    meta = await _blob(src, remedy="Download it with download_dir")
    local = file_url(dst)
    outcome = Outcome()
    async with made_in_thread(
        lambda: movers.destination(dst.parent, resumes=tries.resumes(continues=existing.continues)),
        movers.destination.close,
    ) as destination:
        fetcher = movers.fetcher(
            store=src.listing.store,
            destination=destination,
            existing=existing,
            window=window,
            reporter=FileReporter(progress, lambda _: (src.url(src.key), local)) if progress else Reporter(),
            tries=tries,
        )
        outcome.done(await fetcher.fetch(WantedBlob(meta, (dst.name,), "")))
    return outcome.report()


async def _check_no_folder(dst: Remote) -> None:
    if dst.key.endswith("/") or await dst.listing.is_dir(dst.key):
        raise IsADirectory(f"{dst.address()} is a folder", remedy="Name the blob behind it")


async def _blob(src: Remote, *, remedy: str) -> BlobMeta:
    try:
        if src.key:
            return await src.listing.store.head(src.key)
    except ResourceNotFound:
        if not await src.listing.is_dir(src.key):
            raise
    raise IsADirectory(f"{src.address()} is a folder", remedy=remedy)


async def download_dir(
    src: Remote,
    dst: Path,
    *,
    existing: Existing,
    filter: Keep | None,  # noqa: A002 - the reference's name
    window: Window,
    progress: AbstractRecursiveFileProgress | None,
    tries: Tries = ONLY_TRY,
    movers: Movers = REAL,
) -> TransferReport:
    """Download what lies below the key of `src` into a folder.

    :raises ResourceNotFound: nothing lies there.
    :raises NotADirectory: `src` is a blob, or `dst` a file.
    """
    await check_folder(src, remedy="Download it with download_file")
    if await asyncio.to_thread(os.path.lexists, dst) and not await asyncio.to_thread(dst.is_dir):
        raise NotADirectory(f"{dst} is not a folder", remedy="Choose another destination")
    prefix = as_folder(src.key)

    def addresses(relative: str) -> tuple[URL, URL]:
        is_local = not relative or not isinstance(local_names(relative), str)
        return src.url(prefix + relative), file_url(dst / relative if is_local else dst)

    reporter = FolderReporter(progress, addresses) if progress else Reporter()
    resumes = tries.resumes(continues=existing.continues)
    async with made_in_thread(
        lambda: movers.destination(dst, resumes=resumes), movers.destination.close
    ) as destination:
        fetcher = movers.fetcher(
            store=src.listing.store,
            destination=destination,
            existing=existing,
            window=window,
            reporter=reporter,
            tries=tries,
        )
        download = Download(prefix=prefix, fetcher=fetcher, reporter=reporter, keep=filter)
        await download.run(src.listing)
    return download.outcome.conclude(f"download of {src.address()} to {dst}")


async def copy_blob(
    src: Remote,
    dst: Remote,
    *,
    existing: Existing,
    window: Window,
    refusals: Refusals,
    progress: AbstractFileProgress | None,
    movers: Movers = REAL,
) -> TransferReport:
    """Copy one blob to exactly the key of `dst`.

    :raises IsADirectory: `src` is a folder and no blob, or `dst` is one.
    :raises InvalidAddress: they are the same blob.
    """
    await _check_no_folder(dst)
    meta = await _blob(src, remedy="Copy it with copy_dir")
    if src.key == dst.key and await are_one_bucket(src.listing, dst.listing):
        raise InvalidAddress(f"{src.address()} cannot be copied to itself", remedy="Choose another destination")
    there: BlobMeta | None = None
    if existing.skips_current:
        with suppress(ResourceNotFound):
            there = await dst.listing.store.head(dst.key)
    copier = movers.copier(
        src=src.listing,
        dst=dst.listing,
        existing=existing,
        window=window,
        reporter=FileReporter(progress, lambda _: (src.url(src.key), dst.url(dst.key))) if progress else Reporter(),
        refusals=refusals,
    )
    outcome = Outcome()
    outcome.done(await copier.copy(WantedCopy(meta, dst.key, ""), there))
    return outcome.report()


async def copy_dir(
    src: Remote,
    dst: Remote,
    *,
    existing: Existing,
    filter: Keep | None,  # noqa: A002 - the reference's name
    window: Window,
    refusals: Refusals,
    progress: AbstractRecursiveFileProgress | None,
    tries: Tries = ONLY_TRY,
    movers: Movers = REAL,
) -> TransferReport:
    """Copy what lies below the key of `src` to below the key of `dst`.

    :raises ResourceNotFound: nothing lies there.
    :raises NotADirectory: `src` is a blob.
    :raises InvalidAddress: `dst` is `src` or lies in it.
    """
    await check_folder(src, remedy="Copy it with copy_blob")
    src_prefix, dst_prefix = as_folder(src.key), as_folder(dst.key)
    is_inner = await are_one_bucket(src.listing, dst.listing)
    if is_inner and dst_prefix.startswith(src_prefix):
        raise InvalidAddress(
            f"{src.address()} cannot be copied into itself, to {dst.address()}", remedy="Choose a folder outside of it"
        )

    def addresses(relative: str) -> tuple[URL, URL]:
        return src.url(src_prefix + relative), dst.url(dst_prefix + relative)

    copier = movers.copier(
        src=src.listing,
        dst=dst.listing,
        existing=existing,
        window=window,
        reporter=FolderReporter(progress, addresses) if progress else Reporter(),
        refusals=refusals,
        tries=tries,
    )
    copy = Copy(src_prefix=src_prefix, dst_prefix=dst_prefix, copier=copier, is_inner=is_inner, keep=filter)
    await copy.run()
    return copy.outcome.conclude(f"copy of {src.address()} to {dst.address()}")


async def check_folder(src: Remote, *, remedy: str) -> None:
    """Make sure that something lies below a place, or that it is a bucket.

    :raises ResourceNotFound: nothing does.
    :raises NotADirectory: it is a blob.
    """
    if await src.listing.is_dir(src.key):
        return
    try:
        await src.listing.store.head(src.key)
    except ResourceNotFound:
        raise ResourceNotFound(f"there is no folder {src.address()}", remedy="Check the address") from None
    raise NotADirectory(f"{src.address()} is a blob", remedy=remedy)


async def _local_status(path: Path) -> os.stat_result:
    try:
        return await asyncio.to_thread(os.stat, path)
    except FileNotFoundError:
        raise ResourceNotFound(f"there is no local file or folder {path}", remedy="Check the path") from None
