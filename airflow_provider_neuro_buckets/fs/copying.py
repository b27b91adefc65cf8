"""Copies between folders, from and to local files: blobs one by one, whole folders by the transfer engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.utils import other_paths

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, InvalidAddress, IsADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.fs.listing import ListingBase
from airflow_provider_neuro_buckets.fs.paths import Place, split_url, target_of


class CopyingBase(ListingBase):
    """Copies, uploads, downloads and removes, with fsspec's rules for what lands where.

    A folder that is copied as a whole goes through the transfer engine: many blobs at once, each verified. All that
    fails is told at the end; nothing is left out in silence, other than with fsspec's own loop.
    """

    # Within the storage

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a blob; the storage does it by itself where it can."""
        source, target = self.blob(path1), self.blob(path2)
        try:
            await self.ask(lambda buckets: buckets.copy_blob(source.uri, target.uri))
        except IsADirectory:
            if await self._isfile(path1):
                raise  # the target is one
            # A folder among others needs no copy: it is there once something is in it.

    async def _copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        on_error: str | None = None,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **_: Any,
    ) -> None:
        if not await self._is_one(path1, path2, maxdepth):
            await super()._copy(path1, path2, recursive, on_error, maxdepth, batch_size or self._at_once)
            return
        is_folder = recursive and await self.is_folder(path1)
        is_blob = await self._isfile(path1)
        if not is_folder and not is_blob:
            await self._refuse_missing(path1)
            return
        self.place(path2)
        target = target_of(_as_given(path1), _as_given(path2), is_dir=await self._isdir(path2))
        if is_blob:
            await self._cp_file(path1, target)
        if is_folder:
            source, below = self.place(path1), self.place(target)
            await self.ask(lambda buckets: buckets.copy_dir(source.folder, below.folder))

    async def _is_one(self, source: Any, target: Any, maxdepth: int | None) -> bool:
        """Whether one blob or folder is meant, by its name, and not what a pattern or a list finds."""
        return (
            isinstance(source, str)
            and isinstance(target, str)
            and maxdepth is None
            and await self.is_literal(source.rstrip("/"))
        )

    async def _refuse_missing(self, path: str) -> None:
        """Pass over a folder, as fsspec does unless it is told to go into it; refuse what is not there."""
        if not await self.is_folder(path):
            raise ResourceNotFound(f"there is nothing at {self.place(path)}", remedy="Check the path")

    @property
    def _at_once(self) -> int:
        return self.batch_size or 64

    # From local files

    async def _put_file(
        self, lpath: str, rpath: str, mode: str = "overwrite", callback: Callback = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        """Upload a file; a folder among others needs no upload."""
        if await asyncio.to_thread(os.path.isdir, lpath):
            return
        place = self.blob(rpath)
        await self.refuse_existing(place, mode)
        progress = _file_progress(callback)
        await self.ask(lambda buckets: buckets.upload_file(lpath, place.uri, progress=progress))

    async def _put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        local = _local(lpath)
        if local is None or not isinstance(rpath, str) or maxdepth is not None or not os.path.lexists(local):
            await super()._put(lpath, rpath, recursive, callback, batch_size or self._at_once, maxdepth, **options)
            return
        self.place(rpath)
        is_folder = os.path.isdir(local)
        if is_folder and not recursive:
            return  # as fsspec does
        target = target_of(local, _as_given(rpath), is_dir=await self._isdir(rpath))
        if not is_folder:
            await self._put_file(local, target, callback=callback, **options)
            return
        below = self.place(target)
        progress = _folder_progress(callback)
        await self.ask(lambda buckets: buckets.upload_dir(local, below.folder, progress=progress))

    async def refuse_existing(self, place: Place, mode: str) -> None:
        """Refuse a name that is taken, if the blob is to be made and not replaced.

        Asked before: somebody who writes at the same time is not noticed.

        :raises AlreadyExists: there is such a blob.
        """
        if mode == "create" and await self._isfile(place.path):
            raise AlreadyExists(f"there is a blob {place}", remedy="Choose another name, or open it with mode 'wb'")

    # To local files

    async def _get_file(self, rpath: str, lpath: str, callback: Callback = DEFAULT_CALLBACK, **_: Any) -> None:
        """Download a blob; a folder among others is made."""
        try:
            place = self.blob(rpath)
            progress = _file_progress(callback)
            await self.ask(lambda buckets: buckets.download_file(place.uri, lpath, progress=progress))
        except (ResourceNotFound, IsADirectory):
            if not await self.is_folder(rpath):
                raise
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)

    async def _get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        local = _local(lpath)
        if local is None or not await self._is_one(rpath, local, maxdepth):
            options.setdefault("batch_size", self._at_once)
            if local is not None and isinstance(rpath, str):
                rpath, lpath = await self._found(rpath, local, recursive=recursive, maxdepth=maxdepth)
            await super()._get(rpath, lpath, recursive, callback, maxdepth, **options)
            return
        is_folder = recursive and await self.is_folder(rpath)
        is_blob = await self._isfile(rpath)
        if not is_folder and not is_blob:
            await self._refuse_missing(rpath)
            return
        target = target_of(_as_given(rpath), local, is_dir=os.path.isdir(local))
        if is_folder:
            source, progress = self.place(rpath), _folder_progress(callback)
            await self.ask(lambda buckets: buckets.download_dir(source.folder, target, progress=progress))
        if is_blob:
            await asyncio.to_thread(os.makedirs, os.path.dirname(target) or ".", exist_ok=True)
            await self._get_file(rpath, target, callback=callback)

    async def _found(
        self, rpath: str, local: str, *, recursive: bool, maxdepth: int | None
    ) -> tuple[list[str], list[str]]:
        """Return what a pattern means, or a folder down to a depth, and where fsspec puts each of it.

        fsspec does the same by itself, but learned only in 2026 to look where a key with dots in it would lead.

        :raises InvalidAddress: a key would lead out of `local`, or cannot be a local name. Nothing is written then.
        """
        from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names  # noqa: PLC0415 - as `_told`

        names: list[str] = await self._expand_path(rpath, recursive, maxdepth)
        if not recursive or maxdepth is not None:
            names = [name for name in names if not await self._isdir(name)]
        if await self.is_literal(rpath.rstrip("/")):
            goes_into = not rpath.endswith("/") and (local.endswith("/") or os.path.isdir(local))
        else:
            goes_into = len(names) == 1
        targets = other_paths(names, local, exists=goes_into) if names else []
        for name, target in zip(names, targets, strict=True):
            below = target.removeprefix(local.rstrip("/")).removeprefix("/")
            if below and isinstance(problem := local_names(below), str):
                raise InvalidAddress(
                    f"{self.place(name)} cannot be downloaded to below {local}: {problem}",
                    remedy="Download it by itself, to a path that you choose",
                )
        return names, targets


def _as_given(path: str) -> str:
    """Return a path without scheme and conn id, with the slash at its end."""
    return split_url(path)[1]


def _local(path: Any) -> str | None:
    """Return a local path as text, with the slash at its end; `None` for a list of them."""
    if isinstance(path, list | tuple):
        return None
    text = os.fspath(path)
    stripped = str(make_path_posix(LocalFileSystem._strip_protocol(text)))  # noqa: SLF001 - fsspec's way for its own
    return f"{stripped}/" if text.endswith("/") and not stripped.endswith("/") else stripped


def _file_progress(callback: Callback) -> Any:
    return _told(callback, "FileTold")


def _folder_progress(callback: Callback) -> Any:
    return _told(callback, "FolderTold")


def _told(callback: Callback, kind: str) -> Any:
    """Return what tells a callback of fsspec; `None` for the one that does nothing."""
    if callback is DEFAULT_CALLBACK:
        return None
    from airflow_provider_neuro_buckets.fs import progress  # noqa: PLC0415 - loads the client's values

    make: Callable[[Callback], object] = getattr(progress, kind)
    return make(callback)
