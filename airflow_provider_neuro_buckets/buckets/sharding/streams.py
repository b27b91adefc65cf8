"""Single items from and to filesystems of other kinds: in bounded memory, verified as far as both sides can tell."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import (
    Conflict,
    IntegrityError,
    InvalidAddress,
    InvalidAnswer,
    SourceChanged,
)
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Proof
from airflow_provider_neuro_buckets.buckets.transfer.checksum import have_etag, likely_parts
from airflow_provider_neuro_buckets.buckets.transfer.content import PARTS_IN_FLIGHT, PIECE, put_content, read_resumed
from airflow_provider_neuro_buckets.buckets.transfer.digests import Digests
from airflow_provider_neuro_buckets.buckets.transfer.download import refusal
from airflow_provider_neuro_buckets.buckets.transfer.judging import refuse_if_vouched
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Moved
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter

AT_ONCE = 16
"""Each of them holds a thread while its filesystem works."""


@dataclass(frozen=True, slots=True)
class ReadingMover:
    """From a filesystem to a bucket."""

    src: FilesystemPlace
    dst: BucketPlace
    reporter: Reporter

    @property
    def workers(self) -> int:
        """How many at once."""
        return min(self.dst.window.max_concurrency, AT_ONCE)

    async def move(self, entry: Entry) -> Moved:
        """Send one file: until it is whole and what it should be, no blob is made of it."""
        store, key = self.dst.remote.listing.store, self.dst.prefix + entry.key
        if isinstance(reason := local_names(entry.key), str):
            raise InvalidAddress(f"{self.src.url(entry.key)} was not read: {reason}", remedy="Move it by itself")
        if entry.is_folder:
            return Moved(0, (await store.write(key, b"")).proof)
        self.reporter.start(entry.key, entry.size)
        digest = hashlib.md5(usedforsecurity=False)
        async with self.dst.window.slot(min(entry.size, (PARTS_IN_FLIGHT + 2) * PART)):
            stored = await put_content(store, key, self._content(entry, digest))
        self.reporter.complete(entry.key, entry.size)
        came = digest.hexdigest() in {entry.md5, entry.etag}
        return Moved(entry.size, stored.proof if came else Proof.SIZE)

    async def _content(self, entry: Entry, digest: hashlib._Hash) -> AsyncGenerator[bytes, None]:
        read = 0
        async with aclosing(self._chunks(entry)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                read += len(chunk)
                yield chunk
                self.reporter.step(entry.key, read, entry.size)
        if read != entry.size:
            raise SourceChanged(
                f"{self.src.url(entry.key)} has {read} bytes now instead of {entry.size}", remedy="Plan again"
            )
        if entry.md5 not in {None, digest.hexdigest()}:
            raise IntegrityError(f"the bytes read of {self.src.url(entry.key)} do not have its MD5", remedy="Try again")

    async def _chunks(self, entry: Entry) -> AsyncGenerator[bytes, None]:
        fs, path = self.src.fs, self.src.path_of(entry.key)
        if entry.size <= PART:
            yield await self.src.do(lambda: fs.cat_file(path))  # one request; to open it would take more
            return
        file = await self.src.do(lambda: fs.open(path, "rb"))
        try:
            while chunk := await self.src.do(lambda: file.read(PART)):
                yield chunk
        finally:
            await self.src.do(file.close)


@dataclass(frozen=True, slots=True)
class WritingMover:
    """From a bucket to a filesystem."""

    src: BucketPlace
    dst: FilesystemPlace
    reporter: Reporter

    @property
    def workers(self) -> int:
        """How many at once."""
        return min(self.src.window.max_concurrency, AT_ONCE)

    async def move(self, entry: Entry) -> Moved:
        """Write one blob; once more if it is replaced meanwhile, or arrives broken."""
        meta = entry.meta(self.src.prefix)
        if entry.is_folder:
            return Moved(0, Proof.SIZE)  # not every filesystem has such a thing
        if isinstance(reason := local_names(entry.key), str) or entry.key.endswith("/"):
            shown = reason if isinstance(reason, str) else "it has the name of a folder, and content"
            raise refusal(self.src.remote.listing.store.address(meta.key), shown)
        self.reporter.start(entry.key, entry.size)
        try:
            proof = await self._once(meta, entry.key)
        except (Conflict, IntegrityError, InvalidAnswer):
            meta = await self.src.remote.listing.store.head(meta.key)
            proof = await self._once(meta, entry.key)
        self.reporter.complete(entry.key, meta.size)
        return Moved(meta.size, proof)

    async def _once(self, meta: BlobMeta, key: str) -> Proof:
        content = _Content(self.src, meta)
        async with self.src.window.slot(min(meta.size, PART)), aclosing(content.pieces()) as pieces:
            if meta.size <= PART:
                whole = b"".join([piece async for piece in pieces])
                came = await content.check()
                await self.dst.write(key, whole)
            else:
                async with self.dst.writing(key) as file:
                    received = 0
                    async for piece in pieces:
                        await self.dst.do(lambda piece=piece: file.write(piece))  # type: ignore[misc]  # bound now
                        received += len(piece)
                        self.reporter.step(key, received, meta.size)
                    came = await content.check()
        return came if await self._is_proven(key, meta.size, content.md5) else Proof.SIZE

    async def _is_proven(self, key: str, size: int, md5: str) -> bool:
        """Whether the filesystem tells the checksum of what it was given.

        :raises IntegrityError: it has something else.
        """
        there = await self.dst.look_up(key)
        if there is None or there.size != size or there.md5 not in {None, md5}:
            raise IntegrityError(f"{self.dst.url(key)} is not what was written to it", remedy="Write it again")
        return md5 in {there.md5, there.etag}


class _Content:
    """The content of a blob, digested while it passes."""

    def __init__(self, src: BucketPlace, meta: BlobMeta) -> None:
        self._store = src.remote.listing.store
        self._meta = meta
        self._whole = hashlib.md5(usedforsecurity=False)
        part = next(iter(likely_parts(meta)), None)
        self._digests = None if part is None else Digests(size=meta.size, part=part, read=_never)

    @property
    def md5(self) -> str:
        """Hex MD5 of what has passed."""
        return self._whole.hexdigest()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield it once, in order."""
        at, piece = 0, bytearray()
        async with aclosing(read_resumed(self._store, self._meta, 0, self._meta.size)) as chunks:
            async for chunk in chunks:
                piece += chunk
                if len(piece) >= PIECE:
                    yield self._digested(at, bytes(piece))
                    at += len(piece)
                    piece.clear()
        if piece:
            yield self._digested(at, bytes(piece))

    def _digested(self, at: int, content: bytes) -> bytes:
        self._whole.update(content)
        if self._digests is not None and self._meta.md5 is None:
            self._digests.add(at, content)
        return content

    async def check(self) -> Proof:
        """Return what proves that what has passed is the blob.

        :raises IntegrityError: it is not.
        """
        if self._meta.md5 == self.md5:
            return Proof.CHECKSUM
        if self._meta.md5 is not None:
            await refuse_if_vouched(self._store, self._meta)
            return Proof.SIZE
        md5s = self._digests.of_parts() if self._digests is not None else None
        return Proof.CHECKSUM if md5s and have_etag(self._meta, md5s) else Proof.SIZE


def _never(start: int, stop: int) -> bytes:
    raise AssertionError(f"the bytes {start} to {stop} have passed")
