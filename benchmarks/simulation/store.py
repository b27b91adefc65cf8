"""Stores and clients through which a worker uses a made-up service.

The planner, the engine, the retries and the pace are those of the package: only what is behind a store is made up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ResourceNotFound, UnsupportedProvider
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin, fill
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    Body,
    ByteRange,
    Bytes,
    Capability,
    CopySource,
    MultipartUpload,
    Page,
    PartLimits,
    PartOf,
    Proof,
    ResumedUpload,
    Site,
    Slot,
    Stored,
    Told,
    nobody,
)
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.stores.rows import Rows
from airflow_provider_neuro_buckets.buckets.transfer.copying import Refusals
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri, parse_blob_uri
from benchmarks.simulation.service import WRITTEN, Conditions, Lake, Service, Verb, Worker

MIB = 1024 * 1024


@lru_cache(maxsize=64)
def _zeros(size: int) -> bytes:
    """Return the content of a blob that nobody has stored; a lake has few sizes."""
    return bytes(size)


@dataclass(slots=True)
class _Content:
    """An answer to a read."""

    meta: BlobMeta
    content: bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.content:
            yield self.content

    async def arrived(self) -> bytes:
        return self.content

    async def pour(self, basin: Basin) -> None:
        fill(basin, self.content)


class SimulatedStore:
    """One bucket as one worker sees it: a lake of blobs nobody has stored, and those that were written here.

    :param written: content by key, of small blobs that the workers tell each other something with; what is copied or
        written elsewhere is counted only.
    """

    capabilities = frozenset({Capability.COPY})
    limits = PartLimits(smallest=5 * MIB, largest=5 * 1024 * MIB, most=10_000)
    copy_part = 64 * MIB
    skew = 0.0

    def __init__(self, name: str, worker: Worker, *, lake: Lake | None, written: dict[str, bytes], site: str) -> None:
        self._name = name
        self._worker = worker
        self._lake = lake
        self._written = written
        self._site = site

    def address(self, key: str) -> str:
        """Return the address of a key."""
        return f"blob:{self._name}/{key}"

    async def head(self, key: str) -> BlobMeta:
        """Return what is known of a blob that was written."""
        await self._worker.request(Verb.READ)
        return self._meta(key)

    def _meta(self, key: str) -> BlobMeta:
        if key not in self._written:
            raise ResourceNotFound(f"there is no blob {self.address(key)}", remedy="Check the address")
        return BlobMeta(key=key, size=len(self._written[key]), etag="written", modified_at=WRITTEN)

    async def checksum(self, meta: BlobMeta) -> Checksum | None:
        """Return nothing: no blob here has one."""
        del meta
        return None

    async def first_part(self, meta: BlobMeta) -> int | None:
        """Return nothing: no blob here is made of parts."""
        del meta
        return None

    @asynccontextmanager
    async def read(self, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> AsyncIterator[Body]:
        """Open what was written, or as many zeros as a blob of the lake has bytes."""
        if self._lake is not None and key.endswith(".parquet"):
            meta = BlobMeta(key=key, size=self._lake.size_of(key), etag=etag)
            content = _zeros(meta.size)
        else:
            meta = self._meta(key)
            content = self._written[key]
        if span is not None:
            content = content[span.start : span.stop]
        await self._worker.request(Verb.READ, size=len(content))
        yield _Content(meta, content)

    async def write(self, key: str, body: Bytes) -> Stored:
        """Count a blob; keep it if it is of those that workers tell each other something with."""
        await self._worker.request(Verb.WRITE, size=len(body))
        if key.endswith(".parquet"):
            self._worker.moved()
        else:
            self._written[key] = bytes(body)
        return Stored(key=key, size=len(body), etag="written", modified_at=WRITTEN, proof=Proof.CHECKSUM)

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[MultipartUpload]:
        """Take a blob in parts."""
        yield _Parts(self, key)

    def resume(self, key: str, part: PartOf | None, *, note: str = "") -> AbstractAsyncContextManager[ResumedUpload]:
        """Refuse: nothing here is cut off."""
        raise UnsupportedProvider(f"{self.address(key)} cannot be resumed {note} {part}", remedy="Begin anew")

    async def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List the lake."""
        lake = self._lake or Lake(0, 0)
        inner = prefix.partition("/")[2]
        if delimiter and not inner:
            pages: Iterator[Page] = iter([Page(blobs=(), prefixes=[prefix + one for one in lake.folders()])])
        else:
            pages = lake.pages(inner)
        begin = prefix[: len(prefix) - len(inner)]
        for page in pages:
            await self._worker.request(Verb.LIST)
            rows = [(begin + row[0], *row[1:]) for row in page.blobs.rows] if isinstance(page.blobs, Rows) else []
            yield Page(blobs=Rows(rows[:page_size]), prefixes=page.prefixes)

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete what was written."""
        await self._worker.request(Verb.DELETE)
        for key in keys:
            self._written.pop(key, None)
        return {}

    async def site(self) -> Site:
        """Return where the bucket is: two stores of one site copy from each other."""
        credentials = BucketCredentials(bucket_id=self._name, provider="simulated", credentials={})
        return Site(service=self._site, bucket=self._name, rights="all", credentials=credentials)

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        """Count a copy."""
        async with slot():
            await self._worker.request(Verb.COPY)
        self._worker.moved()
        copied(source.meta.size)
        return BlobMeta(key=key, size=source.meta.size, etag=source.meta.etag, modified_at=WRITTEN)

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        """Refuse: nobody could open it."""
        raise UnsupportedProvider(f"{self.address(key)} has no URL, for {expires_in_seconds} s", remedy="Read it")

    async def aclose(self) -> None:
        """Close nothing."""


class _Parts:
    """An upload in parts."""

    def __init__(self, store: SimulatedStore, key: str) -> None:
        self._store = store
        self._key = key
        self._parts: dict[int, bytes] = {}

    async def put_part(self, number: int, body: Bytes) -> None:
        await self._store._worker.request(Verb.WRITE, size=len(body))  # noqa: SLF001 - its own
        self._parts[number] = bytes(body)

    async def complete(self, *, md5: str | None = None) -> Stored:
        del md5
        return await self._store.write(self._key, b"".join(self._parts[number] for number in sorted(self._parts)))


class _Opener:
    def __init__(self, open_store: Callable[[Bucket], SimulatedStore]) -> None:
        self._open = open_store

    async def open(self, bucket: Bucket) -> Listing:
        return Listing(bucket, self._open(bucket))


class SimulatedBuckets:
    """What a transfer in shards needs of a client: where a bucket is, its store, its window.

    :param stores: the stores by the names of their buckets.
    """

    def __init__(self, stores: Mapping[str, SimulatedStore], conditions: Conditions) -> None:
        self.window = Window(max_concurrency=conditions.max_concurrency, max_buffer_bytes=128 * MIB)
        self.refusals = Refusals()
        self.opener = _Opener(lambda bucket: stores[bucket.name or ""])

    async def locate(self, uri: str) -> tuple[Bucket, str]:
        """Return the bucket of an address and the key in it."""
        address = parse_blob_uri(uri)[0]
        return _bucket(address.bucket), address.key


def _bucket(name: str) -> Bucket:
    return Bucket(
        id=name,
        owner="nobody",
        name=name,
        uri=bucket_uri(cluster="cluster", org="org", project="project", bucket=name),
        cluster_name="cluster",
        org_name="org",
        project_name="project",
        created_at=WRITTEN,
        provider="simulated",
    )


def client(service: Service, lake: Lake, written: dict[str, bytes], *, is_one_service: bool) -> Buckets:
    """Return what one worker uses: `blob:lake/data` has the blobs, `blob:copy` takes them and whatever is noted.

    :param written: what the workers tell each other; shared by all of them.
    :param is_one_service: whether the service may copy from one bucket to the other by itself.
    """
    worker = Worker(service)
    stores = {
        "lake": SimulatedStore("lake", worker, lake=lake, written={}, site="one"),
        "copy": SimulatedStore("copy", worker, lake=None, written=written, site="one" if is_one_service else "other"),
    }
    return cast("Buckets", SimulatedBuckets(stores, service.conditions))
