"""What a bucket holds: entries under a prefix, matches of a glob, whether a path is a folder. Streams, never lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import takewhile

from airflow_provider_neuro_buckets.buckets.glob import Component, Glob, match_components
from airflow_provider_neuro_buckets.buckets.models import BlobCommonPrefix, BlobObject, Bucket, BucketEntry, BucketUsage
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, Page


def blob_entry(bucket: Bucket, meta: BlobMeta) -> BlobObject:
    """Return the public value for what a provider says of a blob."""
    return BlobObject(
        key=meta.key,
        bucket=bucket,
        size=meta.size,
        created_at=meta.created_at,
        modified_at=meta.modified_at,
        etag=meta.etag,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """The questions one asks of the keys of one bucket."""

    bucket: Bucket
    store: BlobStore

    async def entries(
        self, prefix: str, *, delimiter: str = "", limit: int | None = None
    ) -> AsyncGenerator[BucketEntry]:
        """Yield what lies under `prefix`, page by page: common prefixes first, then blobs.

        :param limit: most entries of both kinds; `None` for all.
        """
        left = limit
        async with aclosing(self._pages(prefix, delimiter=delimiter, page_size=limit)) as pages:
            async for page in pages:
                for entry in self._of_page(page):
                    if left is not None:
                        if left <= 0:
                            return
                        left -= 1
                    yield entry

    def _of_page(self, page: Page) -> Iterator[BucketEntry]:
        yield from (BlobCommonPrefix(key=prefix, bucket=self.bucket) for prefix in page.prefixes)
        yield from (blob_entry(self.bucket, meta) for meta in page.blobs)

    async def _pages(self, prefix: str, *, delimiter: str, page_size: int | None = None) -> AsyncGenerator[Page]:
        # A page of one is how a question of yes or no stays cheap; above a provider's own page the number is moot.
        wanted = page_size if page_size is not None and page_size < 1000 else None  # noqa: PLR2004 - S3's page
        pages = self.store.pages(prefix, delimiter=delimiter, page_size=wanted)
        try:
            async for page in pages:
                yield page
        finally:
            await _close(pages)

    async def usage(self) -> AsyncGenerator[BucketUsage]:
        """Yield the sum of blobs and bytes after each page; at least once."""
        usage: BucketUsage | None = None
        total = count = 0
        async with aclosing(self._pages("", delimiter="")) as pages:
            async for page in pages:
                total += sum(blob.size for blob in page.blobs)
                count += len(page.blobs)
                usage = BucketUsage(total_bytes=total, object_count=count)
                yield usage
        if usage is None:
            yield BucketUsage(total_bytes=0, object_count=0)

    async def metas(self, prefix: str) -> AsyncGenerator[BlobMeta]:
        """Yield what the provider says of each key that starts with `prefix`."""
        async with aclosing(self._pages(prefix, delimiter="")) as pages:
            async for page in pages:
                for meta in page.blobs:
                    yield meta

    async def is_dir(self, path: str) -> bool:
        """Whether a key starts with ``path/``; the bucket itself always is a folder. One request."""
        folder = as_folder(path)
        if not folder:
            return True
        async with aclosing(self.entries(folder, limit=1)) as entries:
            return await anext(entries, None) is not None

    async def matches(self, pattern: Glob) -> AsyncGenerator[BucketEntry]:
        """Yield what matches: blobs and folders, each once, in the order of the walk."""
        async with aclosing(self._walk("", pattern.components, folders_only=pattern.folders_only)) as found:
            async for entry in found:
                yield entry

    async def _walk(
        self, prefix: str, components: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[BucketEntry]:
        """Match `components` below `prefix`, which is empty or ends where a component begins."""
        plain = list(takewhile(lambda component: component.is_literal, components[:-1]))
        prefix += "".join(component.literal + "/" for component in plain)
        here, *rest = components[len(plain) :]
        if here.is_deep:
            steps = self._deep(prefix, (here, *rest), folders_only=folders_only)
        elif rest:
            steps = self._into_folders(prefix, here, tuple(rest), folders_only=folders_only)
        else:
            steps = self._level(prefix, here, folders_only=folders_only)
        async with aclosing(steps):
            async for entry in steps:
                yield entry

    async def _level(self, prefix: str, here: Component, *, folders_only: bool) -> AsyncGenerator[BucketEntry]:
        async with aclosing(self.entries(prefix + here.literal, delimiter="/")) as entries:
            async for entry in entries:
                if entry.key == prefix or (folders_only and not isinstance(entry, BlobCommonPrefix)):
                    continue
                if here.matches(entry.key[len(prefix) :].removesuffix("/")):
                    yield entry

    async def _into_folders(
        self, prefix: str, here: Component, rest: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[BucketEntry]:
        async with aclosing(self._level(prefix, here, folders_only=True)) as folders:
            async for folder in folders:
                async with aclosing(self._walk(folder.key, rest, folders_only=folders_only)) as found:
                    async for entry in found:
                        yield entry

    async def _deep(
        self, prefix: str, components: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[BucketEntry]:
        async with aclosing(self.entries(prefix)) as entries:
            candidates = self._folders_of(prefix, entries) if folders_only else entries
            async for entry in candidates:
                names = entry.key[len(prefix) :].removesuffix("/").split("/")
                if match_components(components, names):
                    yield entry

    async def _folders_of(self, prefix: str, entries: AsyncIterator[BucketEntry]) -> AsyncGenerator[BucketEntry]:
        """Yield each folder above the entries once; the keys of a folder arrive together, so one path is memory."""
        above: list[str] = []
        async for entry in entries:
            names = entry.key[len(prefix) :].split("/")[:-1]
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, names, strict=False)))
            for depth in range(shared, len(names)):
                yield BlobCommonPrefix(key=prefix + "/".join(names[: depth + 1]) + "/", bucket=self.bucket)
            above = names


async def _close(pages: AsyncIterator[Page]) -> None:
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()


def as_folder(path: str) -> str:
    """Return the prefix of what lies below `path`; empty for the bucket itself."""
    return path if not path or path.endswith("/") else path + "/"
