"""The six transfers with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.progress import AbstractFileProgress, AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.transfer import engine
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Refusals, Remote, Symlinks, Window
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.transfer.walk import Keep

MIB = 1024 * 1024


def window(*, max_concurrency: int = 16, max_buffer_bytes: int = 128 * MIB) -> Window:
    return Window(max_concurrency=max_concurrency, max_buffer_bytes=max_buffer_bytes)


async def upload(
    src: Path,
    dst: Remote,
    *,
    existing: Existing = Existing.REPLACE,
    through: Window | None = None,
    progress: AbstractRecursiveFileProgress | None = None,
    ignore_file_names: AbstractSet[str] = frozenset(),
    keep: Keep | None = None,
    tries: Tries = ONLY_TRY,
) -> TransferReport:
    """Upload a folder."""
    return await engine.upload_dir(
        src,
        dst,
        existing=existing,
        symlinks=Symlinks.INSIDE,
        filter=keep,
        ignore_file_names=ignore_file_names,
        window=through or window(),
        progress=progress,
        tries=tries,
    )


async def upload_one(
    src: Path,
    dst: Remote,
    *,
    existing: Existing = Existing.REPLACE,
    progress: AbstractFileProgress | None = None,
    tries: Tries = ONLY_TRY,
    concurrency: int = 16,
) -> TransferReport:
    """Upload a file."""
    through = window(max_concurrency=concurrency)
    return await engine.upload_file(src, dst, existing=existing, window=through, progress=progress, tries=tries)


async def download(
    src: Remote,
    dst: Path,
    *,
    existing: Existing = Existing.REPLACE,
    through: Window | None = None,
    progress: AbstractRecursiveFileProgress | None = None,
    keep: Keep | None = None,
) -> TransferReport:
    """Download a folder."""
    return await engine.download_dir(
        src, dst, existing=existing, filter=keep, window=through or window(), progress=progress
    )


async def download_one(
    src: Remote,
    dst: Path,
    *,
    existing: Existing = Existing.REPLACE,
    progress: AbstractFileProgress | None = None,
    tries: Tries = ONLY_TRY,
    concurrency: int = 16,
) -> TransferReport:
    """Download a blob."""
    through = window(max_concurrency=concurrency)
    return await engine.download_file(src, dst, existing=existing, window=through, progress=progress, tries=tries)


async def copy(
    src: Remote,
    dst: Remote,
    *,
    existing: Existing = Existing.REPLACE,
    through: Window | None = None,
    refusals: Refusals | None = None,
    progress: AbstractRecursiveFileProgress | None = None,
    keep: Keep | None = None,
) -> TransferReport:
    """Copy a folder."""
    return await engine.copy_dir(
        src,
        dst,
        existing=existing,
        filter=keep,
        window=through or window(),
        refusals=refusals or Refusals(),
        progress=progress,
    )


async def copy_one(
    src: Remote,
    dst: Remote,
    *,
    existing: Existing = Existing.REPLACE,
    refusals: Refusals | None = None,
    progress: AbstractFileProgress | None = None,
) -> TransferReport:
    """Copy a blob."""
    return await engine.copy_blob(
        src, dst, existing=existing, window=window(), refusals=refusals or Refusals(), progress=progress
    )
