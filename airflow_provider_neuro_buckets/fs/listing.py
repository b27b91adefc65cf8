"""What there is: one blob or folder, a level, a tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.fs.base import BlobBase, Info
from airflow_provider_neuro_buckets.fs.paths import Place

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.buckets.models import BlobObject, BucketEntry

FOLDERS_AT_ONCE = 16


class ListingBase(BlobBase):
    """Answers what there is. Nothing is remembered, and a failure is never taken for absence."""

    async def _info(self, path: str, **_: Any) -> Info:
        """Return what is known of a blob, or else of a folder."""
        place = self.place(path)
        if not place.key:
            return await self._bucket_info(place)
        if not path.endswith("/"):
            try:
                return blob_info(place, await self.version_of(place))
            except ResourceNotFound:
                pass  # it may be a folder
        if not await self.ask(lambda buckets: buckets.blob_is_dir(place.uri)):
            raise ResourceNotFound(f"there is no blob and no folder {place}", remedy="Check the path")
        return folder_info(place.path)

    async def version_of(self, place: Place) -> BlobObject:
        """Return the blob as it is now."""
        return await self.ask(lambda buckets: buckets.stat_blob(place.uri))

    async def _bucket_info(self, place: Place) -> Info:
        if place.bucket:
            await self.ask(lambda buckets: buckets.blob_is_dir(place.uri))  # finds the bucket; its root is a folder
        return folder_info(place.path)

    async def _exists(self, path: str, **_: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _isfile(self, path: str) -> bool:
        return await self._is(path, "file")

    async def _isdir(self, path: str) -> bool:
        """Whether there is a folder, and no blob of the same name, which comes first everywhere."""
        return await self.is_folder(path) and (path.endswith("/") or await self._is(path, "directory"))

    async def is_folder(self, path: str) -> bool:
        """Whether anything lies below a path. One request."""
        place = self.place(path)
        if not place.bucket:
            return True
        try:
            return await self.ask(lambda buckets: buckets.blob_is_dir(place.uri))
        except FileNotFoundError:  # no such bucket
            return False

    async def _is(self, path: str, kind: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == kind)
        except FileNotFoundError:
            return False

    # One level

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        place = self.place(path)
        found = await (self._level(place) if place.bucket else self._buckets())
        if not found and place.key:
            info = await self._info(path)
            found = [info] if info["type"] == "file" else []
        return found if detail else [info["name"] for info in found]

    async def _buckets(self) -> list[Info]:
        async def names(buckets: Buckets) -> list[Info]:
            return [folder_info(bucket.name or bucket.id) async for bucket in buckets.list()]

        return await self.ask(names)

    async def _level(self, place: Place, prefix: str = "") -> list[Info]:
        """Return what is directly in a folder and begins with `prefix`; nothing if there is no such folder.

        :raises InvalidAddress: something in it has an empty name, as in ``a//b``.
        """
        begun = place.below(prefix) if prefix else place

        async def entries(buckets: Buckets) -> list[Info]:
            listed = buckets.list_blobs(begun.uri if prefix else begun.folder, limit=None)
            return [info async for entry in listed if (info := self._entry_info(place, entry)) is not None]

        return await self.ask(entries)

    @staticmethod
    def _entry_info(folder: Place, entry: BucketEntry) -> Info | None:
        """Return what to show of an entry; `None` for the marker of the folder itself."""
        own = f"{folder.key}/" if folder.key else ""
        if entry.key == own:
            return None if entry.size == 0 else blob_info(Place(folder.bucket, entry.key), entry)
        name = entry.key[len(own) :]
        if name.startswith("/"):
            raise InvalidAddress(
                f"{folder} holds keys with an empty name, such as {entry.key!r}, which paths cannot tell from others",
                remedy="List it with find, or with the hook",
            )
        if name.endswith("/"):
            return folder_info(Place(folder.bucket, entry.key[:-1]).path)
        return blob_info(Place(folder.bucket, entry.key), entry)

    # Trees

    async def _walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[Exception], object] = "omit",
        *,
        detail: bool = False,
        **_: Any,
    ) -> AsyncGenerator[tuple[str, Any, Any]]:
        """Yield folders, each with what is in it.

        :param on_error: ``omit`` passes over folders that are not there; any other failure is raised. ``raise`` raises
            for those as well, and a function is told of every failure.
        """
        _check_depth(maxdepth)
        path = self._strip_protocol(path)
        try:
            level = await self._ls(path)
        except OSError as error:
            if callable(on_error):
                on_error(error)
            elif on_error == "raise" or not isinstance(error, FileNotFoundError):
                raise
            level = []
        folders = {_last(info["name"]): info for info in level if info["type"] == "directory"}
        files = {_last(info["name"]) if info["name"] != path else "": info for info in level if info["type"] == "file"}
        here = (path, folders, files) if detail else (path, list(folders), list(files))
        if topdown:
            yield here
        if maxdepth is None or maxdepth > 1:
            for name in list(here[1]) if topdown else folders:  # a caller may have taken some out
                below = self._walk(
                    folders[name]["name"],
                    maxdepth=None if maxdepth is None else maxdepth - 1,
                    topdown=topdown,
                    on_error=on_error,
                    detail=detail,
                )
                async with aclosing(below):
                    async for found in below:
                        yield found
        if not topdown:
            yield here

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> Any:
        """Return all blobs below a folder, or the blob of this name.

        :param prefix: only what begins with it in the folder itself.
        """
        _check_depth(maxdepth)
        place = self.place(path)
        if maxdepth is None and place.bucket:
            found = await self._all_below(place, prefix, withdirs=withdirs)
        else:
            found = await self._levels(place, prefix, maxdepth, withdirs=withdirs)
        if withdirs and place.bucket and found and not prefix:
            found.setdefault(place.path, folder_info(place.path))
        if not found and place.key and not prefix and await self._exists(path):
            info = await self._info(path)
            if withdirs or info["type"] == "file":
                found[info["name"]] = info
        return {name: found[name] for name in sorted(found)} if detail else sorted(found)

    async def _all_below(self, place: Place, prefix: str, *, withdirs: bool) -> dict[str, Info]:
        """Find everything, in one listing."""
        begun = place.below(prefix).uri if prefix else place.folder
        own = len(place.path) + 1

        async def entries(buckets: Buckets) -> dict[str, Info]:
            found: dict[str, Info] = {}
            async for entry in buckets.list_blobs(begun, recursive=True, limit=None):
                there = Place(place.bucket, entry.key)
                if withdirs:
                    found |= {name: folder_info(name) for name in _above(there.path, own) if name not in found}
                if entry.size or not entry.key.endswith("/"):
                    found[there.path] = blob_info(there, entry)
            return found

        return await self.ask(entries)

    async def _levels(self, place: Place, prefix: str, maxdepth: int | None, *, withdirs: bool) -> dict[str, Info]:
        """Find what is not too deep, level by level, some folders at once."""
        level = await (self._level(place, prefix) if place.bucket else self._buckets())
        found: dict[str, Info] = {}
        while level:
            found |= {info["name"]: info for info in level if withdirs or info["type"] == "file"}
            maxdepth = None if maxdepth is None else maxdepth - 1
            if maxdepth == 0:
                break
            folders = [self.place(info["name"]) for info in level if info["type"] == "directory"]
            level = [info for below in await _some_at_once(self._level, folders) for info in below]
        return found

    async def _du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **_: Any,
    ) -> Any:
        """Count bytes, from the listing alone."""
        found = await self._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        *,
        assume_literal: bool = False,
    ) -> Any:
        """Return the paths that patterns mean; a path that exists as it stands is no pattern.

        fsspec's own learned only in 2026 to tell these apart.
        """
        _check_depth(maxdepth)
        found: set[str] = set()
        for name in [self._strip_protocol(one) for one in ([path] if isinstance(path, str) else path)]:
            self.place(name)
            if assume_literal or await self.is_literal(name):
                found |= await self._with_what_is_below(name, maxdepth) if recursive else {name}
                continue
            matches = await self._glob(name, maxdepth=maxdepth)
            found |= set(matches)
            if recursive and (maxdepth is None or maxdepth > 1):
                for match in matches:
                    found |= await self._with_what_is_below(match, None if maxdepth is None else maxdepth - 1)
        if not found:
            raise ResourceNotFound(f"there is nothing at {path!r}", remedy="Check the path")
        return sorted(found)

    async def _with_what_is_below(self, path: str, maxdepth: int | None) -> set[str]:
        try:
            found = set(await self._find(path, maxdepth=maxdepth, withdirs=True))
        except FileNotFoundError:  # others may be there
            return set()
        return found | {path} if path in found or await self._exists(path) else found

    async def is_literal(self, path: str) -> bool:
        """Whether a path has no operator of a pattern, or is the name of something."""
        if not set(path) & set("*?["):
            return True
        return await self.is_folder(path) or await self._is_listed(self.place(path))

    async def _is_listed(self, place: Place) -> bool:
        """Whether there is a blob; asked of the listing: not every storage answers when a pattern is looked up."""

        async def first(buckets: Buckets) -> bool:
            async with buckets.list_blobs(place.uri, recursive=True, limit=1) as entries:
                return any([entry.key == place.key async for entry in entries])

        return bool(place.key) and await self.ask(first)


def blob_info(place: Place, entry: BucketEntry) -> Info:
    """Return fsspec's words for a blob."""
    info = {
        "name": place.path,
        "size": entry.size,
        "type": "file",
        "LastModified": entry.modified_at,
        "ETag": getattr(entry, "etag", None),
    }
    return info if entry.created_at is None else {**info, "created": entry.created_at}


def folder_info(path: str) -> Info:
    """Return fsspec's words for a folder or a bucket."""
    return {"name": path, "size": 0, "type": "directory"}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _above(path: str, own: int) -> Iterator[str]:
    """Yield the folders between a folder, whose path is shorter than `own`, and what lies below it."""
    at = path.find("/", own)
    while at > 0:
        if path[at - 1] != "/":  # a folder with an empty name has no path
            yield path[:at]
        at = path.find("/", at + 1)


def _check_depth(maxdepth: int | None) -> None:
    if maxdepth is not None and maxdepth < 1:
        raise ValueError("maxdepth must be at least 1")


async def _some_at_once(
    question: Callable[[Place], Awaitable[list[Info]]], folders: Iterable[Place]
) -> list[list[Info]]:
    slots = asyncio.Semaphore(FOLDERS_AT_ONCE)

    async def ask(folder: Place) -> list[Info]:
        async with slots:
            return await question(folder)

    return await asyncio.gather(*map(ask, folders))
