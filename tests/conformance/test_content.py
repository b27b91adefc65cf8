from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from airflow_provider_neuro_buckets.buckets.transfer.content import PART, put_content, read_content
from conformance.rigs.base import Rig
from conformance.watching import WatchedStore


async def chunked(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def content_from(rig: Rig, offset: int) -> bytes:
    return b"".join([chunk async for chunk in read_content(rig.store, "blob", offset=offset)])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_bytes_are_put_in_one_request(rig: Rig, kind: type[bytes | bytearray | memoryview]) -> None:
    watched = WatchedStore(rig.store)
    await put_content(watched, "blob", kind(b"content"))
    assert await rig.get("blob") == b"content"
    assert watched.verbs == ["write"]


@pytest.mark.parametrize(
    ("size", "chunk", "verbs"),
    [
        (0, 1, ["write"]),
        (1, 1, ["write"]),
        (PART - 1, 1_000_003, ["write"]),
        (PART, PART // 4, ["write"]),
        (PART + 1, 1_000_003, ["multipart"]),
        (2 * PART, PART // 2, ["multipart"]),
        (2 * PART + 5, 3 * PART, ["multipart"]),
    ],
)
async def test_an_iterator_is_one_request_while_it_fits_one_part_and_parts_beyond(
    rig: Rig, size: int, chunk: int, verbs: list[str]
) -> None:
    content = os.urandom(size)
    watched = WatchedStore(rig.store)
    await put_content(watched, "blob", chunked(content, chunk))
    assert await rig.get("blob") == content
    assert watched.verbs == verbs


async def test_an_iterator_in_parts_has_the_md5_of_the_whole_where_the_provider_keeps_one(rig: Rig) -> None:
    content = os.urandom(2 * PART + 5)
    await put_content(rig.store, "blob", chunked(content, 1_000_003))
    found = await rig.store.head("blob")
    if Capability.KEEPS_MD5 in rig.store.capabilities:
        assert found.md5 == hashlib.md5(content).hexdigest()
    else:
        assert found.md5 in {None, hashlib.md5(content).hexdigest()}


async def test_an_iterator_that_yields_nothing_puts_an_empty_blob(rig: Rig) -> None:
    async def empty_chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b""

    await put_content(rig.store, "blob", empty_chunks())
    assert await rig.get("blob") == b""


@pytest.mark.parametrize("before_failing", [0, 10, PART + 10, 2 * PART + 10])
async def test_an_iterator_that_fails_leaves_what_the_key_held(rig: Rig, before_failing: int) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(before_failing)
        raise ZeroDivisionError

    await rig.put("blob", b"old")
    with pytest.raises(ZeroDivisionError):
        await put_content(rig.store, "blob", failing())
    assert await rig.get("blob") == b"old"
    assert await rig.unfinished() in ([], None)


async def test_a_cancelled_put_leaves_what_the_key_held(rig: Rig) -> None:
    stuck = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(2 * PART + 1)
        stuck.set()
        await asyncio.Event().wait()

    await rig.put("blob", b"old")
    task = asyncio.create_task(put_content(rig.store, "blob", endless()))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rig.get("blob") == b"old"
    assert await rig.unfinished() in ([], None)


@pytest.mark.parametrize("offset", [0, 1, 9])
async def test_a_blob_is_read_from_an_offset_to_its_end(rig: Rig, offset: int) -> None:
    await rig.put("blob", b"0123456789")
    assert await content_from(rig, offset) == b"0123456789"[offset:]


@pytest.mark.parametrize(("size", "offset"), [(10, 10), (0, 0)])
async def test_at_its_end_a_blob_has_nothing_to_read(rig: Rig, size: int, offset: int) -> None:
    await rig.put("blob", bytes(size))
    assert [chunk async for chunk in read_content(rig.store, "blob", offset=offset)] == []


@pytest.mark.parametrize("offset", [-1, 11, 1_000_000])
async def test_an_offset_outside_the_blob_is_a_value_error(rig: Rig, offset: int) -> None:
    await rig.put("blob", b"0123456789")
    with pytest.raises(ConfigurationError, match=str(offset)) as caught:
        await content_from(rig, offset)
    assert isinstance(caught.value, ValueError)


async def test_a_missing_blob_is_a_file_not_found_error(rig: Rig) -> None:
    with pytest.raises(ResourceNotFound) as caught:
        await content_from(rig, 0)
    assert isinstance(caught.value, FileNotFoundError)
