"""One blob from bucket to bucket through this process: in bounded memory, nothing on disk, verified on the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange, Bytes, Told
from airflow_provider_neuro_buckets.buckets.transfer.content import read_range, vouches_for_md5
from airflow_provider_neuro_buckets.buckets.transfer.crew import in_thread, share
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, plan_parts
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

_AT_ONCE = 256 * 1024
"""Bytes that take less time to digest than to hand to a thread."""


class _Md5InOrder:
    """The MD5 of parts that arrive in any order: each waits for its turn, whole, and then goes on its way."""

    def __init__(self) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)
        self._turns: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns[1].set()

    async def add(self, number: int, content: Bytes) -> None:
        """Take part `number`, from 1."""
        await self._turns[number].wait()
        await in_thread(lambda: self._digest.update(content))
        del self._turns[number]
        self._turns[number + 1].set()

    def hex(self) -> str:
        """Return the MD5 of all parts so far."""
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Reads blobs of one store and writes them to another, both through one window."""

    src: BlobStore
    dst: BlobStore
    window: Window

    async def carry(self, meta: BlobMeta, key: str, *, step: Told) -> None:
        """Create or replace `key` with one version of a blob; atomic.

        :param step: told of the bytes that have been sent.
        :raises Conflict: the blob is no longer the version of `meta`.
        :raises IntegrityError: the bytes read are not those of its MD5; nothing was written.
        """
        if meta.size <= PART:
            await self._whole(meta, key)
            step(meta.size)
        else:
            await self._in_parts(meta, key, step)

    async def _whole(self, meta: BlobMeta, key: str) -> None:
        async with self.window.slot(meta.size):
            content = await read_range(self.src, meta, 0, meta.size)
            if meta.md5 is not None:
                await self._check(
                    meta, _md5(content) if meta.size <= _AT_ONCE else await in_thread(lambda: _md5(content))
                )
            await self.dst.write(key, content)

    async def _in_parts(self, meta: BlobMeta, key: str, step: Told) -> None:
        parts = plan_parts(meta.size, limits=self.dst.limits)
        digest = _Md5InOrder() if meta.md5 is not None else None
        sent = 0

        async def send(part: tuple[int, ByteRange]) -> None:
            nonlocal sent
            number, span = part
            # Slots come first come, first served, and parts ask in their order: whoever waits for its turn with the
            # digest waits for parts that have their slot already.
            async with self.window.slot(len(span)):
                content = await read_range(self.src, meta, span.start, span.stop)
                if digest is not None:
                    await digest.add(number, content)
                await upload.put_part(number, content)
            sent += len(span)
            step(sent)

        async with AsyncExitStack() as stack:
            async with self.window.slot(0):
                upload = await stack.enter_async_context(self.dst.multipart(key))
            await share(enumerate(parts, start=1), send, workers=min(self.window.max_concurrency, len(parts)))
            if digest is not None:
                await self._check(meta, digest.hex())
            async with self.window.slot(0):
                await upload.complete()

    async def _check(self, meta: BlobMeta, md5: str) -> None:
        if md5 != meta.md5 and await vouches_for_md5(self.src, meta):
            raise IntegrityError(
                f"the bytes received of {self.src.address(meta.key)} do not have its MD5", remedy="Copy it again"
            )


def _md5(content: Bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
