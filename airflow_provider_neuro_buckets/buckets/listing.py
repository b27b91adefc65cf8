"""What a bucket holds: entries under a prefix, matches of a glob, whether a path is a folder. Streams, never lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice, takewhile

from airflow_provider_neuro_buckets.buckets.glob import Component, Glob, match_components
from airflow_provider_neuro_buckets.buckets.models import BlobCommonPrefix, BlobObject, Bucket, BucketEntry, BucketUsage
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, Page
from airflow_provider_neuro_buckets.buckets.stores.rows import rows_of


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
        async with aclosing(self.pages(prefix, delimiter=delimiter, limit=limit)) as pages:
            async for page in pages:
                for entry in page:
                    yield entry

    async def pages(
        self, prefix: str, *, delimiter: str = "", limit: int | None = None
    ) -> AsyncGenerator[Iterable[BucketEntry]]:
        """Yield the entries under `prefix` page by page, each page an iterable that makes them while it is read.

        A step of an asynchronous generator costs as much as to make an entry: so it is done once a page.

        :param limit: most entries of both kinds; `None` for all.
        """
        left = limit
        async with aclosing(self.answers(prefix, delimiter=delimiter, page_size=limit)) as pages:
            async for page in pages:
                yield islice(self._of_page(page), left)
                if left is not None:
                    left -= len(page.prefixes) + len(page.blobs)
                    if left <= 0:
                        return

    def _of_page(self, page: Page) -> Iterator[BucketEntry]:
        bucket = self.bucket
        for prefix in page.prefixes:
            yield BlobCommonPrefix(key=prefix, bucket=bucket)
        for key, size, etag, modified_at, created_at, _ in rows_of(page.blobs):
            yield BlobObject(
                key=key, bucket=bucket, size=size, created_at=created_at, modified_at=modified_at, etag=etag
            )

    async def answers(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncGenerator[Page]:
        """Yield the pages of the store as they come."""
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
        async with aclosing(self.answers("", delimiter="")) as pages:
            async for page in pages:
                total += sum(blob.size for blob in page.blobs)
                count += len(page.blobs)
                usage = BucketUsage(total_bytes=total, object_count=count)
                yield usage
        if usage is None:
            yield BucketUsage(total_bytes=0, object_count=0)

    async def metas(self, prefix: str) -> AsyncGenerator[BlobMeta]:
        """Yield what the provider says of each key that starts with `prefix`."""
        async with aclosing(self.answers(prefix, delimiter="")) as pages:
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

    def matches(self, pattern: Glob) -> AsyncGenerator[Iterable[BucketEntry]]:
        """Yield what matches, page by page as `pages`: blobs and folders, each once, in the order of the walk."""
        return self._walk("", pattern.components, folders_only=pattern.folders_only)

    async def _walk(
        self, prefix: str, components: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[Iterable[BucketEntry]]:
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
            async for page in steps:
                yield page

    async def _level(
        self, prefix: str, here: Component, *, folders_only: bool
    ) -> AsyncGenerator[Iterable[BucketEntry]]:
        def fits(entry: BucketEntry) -> bool:
            if entry.key == prefix or (folders_only and not isinstance(entry, BlobCommonPrefix)):
                return False
            return here.matches(entry.key[len(prefix) :].removesuffix("/"))

        async with aclosing(self.pages(prefix + here.literal, delimiter="/")) as pages:
            async for page in pages:
                yield filter(fits, page)

    async def _into_folders(
        self, prefix: str, here: Component, rest: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[Iterable[BucketEntry]]:
        async with aclosing(self._level(prefix, here, folders_only=True)) as levels:
            async for folders in levels:
                for folder in folders:
                    async with aclosing(self._walk(folder.key, rest, folders_only=folders_only)) as pages:
                        async for page in pages:
                            yield page

    async def _deep(
        self, prefix: str, components: tuple[Component, ...], *, folders_only: bool
    ) -> AsyncGenerator[Iterable[BucketEntry]]:
        def fits(entry: BucketEntry) -> bool:
            return match_components(components, entry.key[len(prefix) :].removesuffix("/").split("/"))

        above: list[str] = []
        async with aclosing(self.pages(prefix)) as pages:
            async for page in pages:
                candidates = self._folders_of(prefix, page, above) if folders_only else page
                yield filter(fits, candidates)

    def _folders_of(self, prefix: str, page: Iterable[BucketEntry], above: list[str]) -> Iterator[BucketEntry]:
        """Yield each folder above the entries of a page once.

        :param above: the folders of the entry before; the keys of a folder arrive together, so one path is memory.
        """
        for entry in page:
            names = entry.key[len(prefix) :].split("/")[:-1]
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, names, strict=False)))
            for depth in range(shared, len(names)):
                yield BlobCommonPrefix(key=prefix + "/".join(names[: depth + 1]) + "/", bucket=self.bucket)
            above[:] = names


async def _close(pages: AsyncIterator[Page]) -> None:
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()


def as_folder(path: str) -> str:
    """Return the prefix of what lies below `path`; empty for the bucket itself."""
    return path if not path or path.endswith("/") else path + "/"
