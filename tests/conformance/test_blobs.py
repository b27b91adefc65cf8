from __future__ import annotations

import hashlib

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, ByteRange
from conformance.rigs.base import Rig


async def content_of(store: BlobStore, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> bytes:
    async with store.read(key, span=span, etag=etag) as body:
        return b"".join([chunk async for chunk in body.chunks()])


async def test_what_is_written_is_what_the_provider_holds(rig: Rig) -> None:
    await rig.store.write("folder/blob.bin", b"content")
    assert await rig.get("folder/blob.bin") == b"content"
    assert await rig.names() == ["folder/blob.bin"]


async def test_what_the_provider_holds_is_what_is_read(rig: Rig) -> None:
    await rig.put("folder/blob.bin", b"content")
    assert await content_of(rig.store, "folder/blob.bin") == b"content"


async def test_a_write_replaces_what_the_key_held(rig: Rig) -> None:
    await rig.put("blob", b"old")
    await rig.store.write("blob", b"new")
    assert await rig.get("blob") == b"new"


async def test_head_tells_size_and_md5(rig: Rig) -> None:
    await rig.store.write("blob", b"content")
    meta = await rig.store.head("blob")
    assert (meta.key, meta.size) == ("blob", 7)
    assert meta.md5 in {None, hashlib.md5(b"content").hexdigest()}


async def test_a_key_that_is_not_there_has_no_head(rig: Rig) -> None:
    with pytest.raises(ResourceNotFound, match="missing"):
        await rig.store.head("missing")


async def test_deleting_a_key_that_was_never_written_is_fine(rig: Rig) -> None:
    assert await rig.store.delete(["never-written"]) == {}
