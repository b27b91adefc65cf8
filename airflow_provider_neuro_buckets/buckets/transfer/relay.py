"""One blob from bucket to bucket through this process: in bounded memory, nothing on disk, verified on the way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    BlobStore,
    ByteRange,
    Bytes,
    Capability,
    Proof,
    Told,
)
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.checksum import (
    can_compare,
    have_etag,
    is_content_of,
    likely_parts,
    may_be_made_of,
)
from airflow_provider_neuro_buckets.buckets.transfer.content import read_into, read_range
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.digests import Digests
from airflow_provider_neuro_buckets.buckets.transfer.judging import corrupt, judge, refuse_if_vouched
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, plan_parts
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

_AT_ONCE = 256 * 1024
"""Bytes that take less time to digest than to hand to a thread."""


class _InOrder:
    """Digests parts that arrive in any order: each waits for its turn, whole, and then goes on its way.

    :param every: bytes of what to digest: all for the MD5 of the whole, those of a part for the MD5s of the parts.
    """

    def __init__(self, size: int, every: Iterable[int]) -> None:
        self._digests = {part: Digests(size=size, part=part, read=_never) for part in every}
        self._turns: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns[1].set()

    async def add(self, number: int, start: int, content: Bytes) -> None:
        """Take part `number`, from 1, which begins at `start`."""
        if not self._digests:
            return
        await self._turns[number].wait()
        await in_thread(lambda: self._add(start, content))
        del self._turns[number]
        self._turns[number + 1].set()

    def _add(self, start: int, content: Bytes) -> None:
        for digests in self._digests.values():
            digests.add(start, content)

    def of_parts(self, part: int) -> list[bytes]:
        """Return the MD5s of all parts of this size."""
        return self._digests[part].of_parts() or []


def _never(start: int, stop: int) -> bytes:
    raise AssertionError(f"the bytes {start} to {stop} have passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Reads blobs of one store and writes them to another, both through one window."""

    src: BlobStore
    dst: BlobStore
    window: Window

    async def carry(self, meta: BlobMeta, key: str, *, step: Told) -> Proof:
        """Create or replace `key` with one version of a blob; atomic.

        :param step: told of the bytes that have been sent.
        :returns: what proves that the copy is the blob: of the way here and the way there, the weaker.
        :raises Conflict: the blob is no longer the version of `meta`.
        :raises IntegrityError: the bytes read are not those of its checksum; nothing was written.
        """
        if meta.size > PART:
            return await self._in_parts(meta, key, step)
        proof = await self._whole(meta, key)
        step(meta.size)
        return proof

    async def _whole(self, meta: BlobMeta, key: str) -> Proof:
        async with self.window.slot(meta.size):
            content = await read_range(self.src, meta, 0, meta.size)

            def read(start: int, stop: int) -> memoryview:
                return memoryview(content)[start:stop]

            def is_right() -> bool:
                return is_content_of(meta, read)

            came = Proof.CHECKSUM
            if not can_compare(meta) or not (is_right() if meta.size <= _AT_ONCE else await in_thread(is_right)):
                came = await judge(self.src, meta, read)
            return _weaker(came, (await self.dst.write(key, content)).proof)

    async def _in_parts(self, meta: BlobMeta, key: str, step: Told) -> Proof:
        parts = plan_parts(meta.size, limits=self.dst.limits)
        source_part = await self._source_part(meta)
        is_kept = Capability.KEEPS_MD5 in self.dst.capabilities
        every = {source_part, meta.size if is_kept else None} - {None}
        digests = _InOrder(meta.size, [part for part in every if part is not None])
        sent = 0

        async def send(part: tuple[int, ByteRange]) -> None:
            nonlocal sent
            number, span = part
            # Slots come first come, first served, and parts ask in their order: whoever waits for its turn with the
            # digest waits for parts that have their slot already.
            async with self.window.buffer(len(span)) as content:
                await read_into(self.src, meta, span.start, content)
                await digests.add(number, span.start, content)
                await upload.put_part(number, content)
            sent += len(span)
            step(sent)

        async with AsyncExitStack() as stack:
            async with self.window.slot(0):
                upload = await stack.enter_async_context(self.dst.multipart(key))
            await share(enumerate(parts, start=1), send, workers=min(self.window.max_concurrency, len(parts)))
            came = Proof.SIZE
            if source_part is not None:
                came = await self._check(meta, source_part, digests.of_parts(source_part))
            md5 = digests.of_parts(meta.size)[0].hex() if is_kept else None
            async with self.window.slot(0):
                return _weaker(came, (await upload.complete(md5=md5)).proof)

    async def _source_part(self, meta: BlobMeta) -> int | None:
        """Return the bytes of what to digest at once, as the provider tells: no byte can be had again to try others."""
        if meta.md5 is None and can_compare(meta):
            told = await self.src.first_part(meta)
            if told is not None and may_be_made_of(meta, told):
                return told
        return next(iter(likely_parts(meta)), None)

    async def _check(self, meta: BlobMeta, part: int, md5s: list[bytes]) -> Proof:
        if have_etag(meta, md5s):
            return Proof.CHECKSUM
        if meta.md5 is not None:
            await refuse_if_vouched(self.src, meta)
        elif await self.src.first_part(meta) == part:
            raise corrupt(self.src, meta)
        return Proof.SIZE


def _weaker(came: Proof, went: Proof) -> Proof:
    return Proof.SIZE if Proof.SIZE in {came, went} else Proof.CHECKSUM
