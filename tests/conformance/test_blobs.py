from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Conflict, InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, Capability
from conformance.asking import blobs_under, content_of
from conformance.rigs.base import Rig

MIB = 1024 * 1024


async def test_what_is_written_is_what_the_provider_holds(rig: Rig) -> None:
    await rig.store.write("folder/blob.bin", b"content")
    assert await rig.get("folder/blob.bin") == b"content"
    assert await rig.names() == ["folder/blob.bin"]


async def test_what_the_provider_holds_is_what_is_read(rig: Rig) -> None:
    await rig.put("folder/blob.bin", b"content")
    assert await content_of(rig.store, "folder/blob.bin") == b"content"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_body_may_be_any_kind_of_bytes(rig: Rig, kind: type[bytes | bytearray | memoryview]) -> None:
    await rig.store.write("blob", kind(b"content"))
    assert await rig.get("blob") == b"content"


async def test_a_write_replaces_what_the_key_held(rig: Rig) -> None:
    await rig.put("blob", b"old and longer")
    await rig.store.write("blob", b"new")
    assert await rig.get("blob") == b"new"


async def test_a_write_tells_the_version_it_made(rig: Rig) -> None:
    written = await rig.store.write("blob", b"content")
    found = await rig.store.head("blob")
    assert (written.key, written.size, written.etag) == (found.key, found.size, found.etag)


async def test_each_version_has_an_etag_of_its_own(rig: Rig) -> None:
    first = await rig.store.write("blob", b"content")
    second = await rig.store.write("blob", b"another")
    assert first.etag
    assert second.etag
    assert first.etag != second.etag


async def test_zero_bytes_are_a_blob(rig: Rig) -> None:
    await rig.store.write("empty", b"")
    assert (await rig.store.head("empty")).size == 0
    assert await content_of(rig.store, "empty") == b""
    assert await rig.names() == ["empty"]


async def test_a_large_body_goes_up_and_comes_down_unharmed(rig: Rig) -> None:
    content = os.urandom(20 * MIB + 1)
    await rig.store.write("large", content)
    received = await content_of(rig.store, "large")
    assert hashlib.sha256(received).digest() == hashlib.sha256(content).digest()


async def test_head_read_and_listing_tell_the_same(rig: Rig) -> None:
    await rig.put("blob", b"content")
    head = await rig.store.head("blob")
    (listed,) = await blobs_under(rig.store)
    async with rig.store.read("blob") as body:
        read = body.meta
    for meta in (head, listed, read):
        assert (meta.key, meta.size, meta.etag) == ("blob", 7, head.etag)


async def test_modified_at_is_the_time_of_the_write_with_a_time_zone(rig: Rig) -> None:
    await rig.put("blob", b"content")
    head = await rig.store.head("blob")
    (listed,) = await blobs_under(rig.store)
    for meta in (head, listed):
        assert meta.modified_at is not None
        assert abs(meta.modified_at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_the_clock_of_the_server_is_compared_with_ours(rig: Rig) -> None:
    assert rig.store.skew == 0
    await rig.store.write("blob", b"content")
    assert abs(rig.store.skew) < 300


async def test_created_at_is_known_exactly_where_the_store_declares_it(rig: Rig) -> None:
    await rig.put("blob", b"content")
    declared = Capability.CREATED_AT in rig.store.capabilities
    assert ((await rig.store.head("blob")).created_at is not None) == declared


@pytest.mark.needs(Capability.CONTENT_MD5)
async def test_the_md5_is_that_of_the_content(rig: Rig) -> None:
    expected = hashlib.md5(b"content").hexdigest()
    assert (await rig.store.write("blob", b"content")).md5 in {None, expected}
    assert (await rig.store.head("blob")).md5 == expected


async def test_a_key_that_is_not_there_has_no_head(rig: Rig) -> None:
    with pytest.raises(ResourceNotFound, match=r"blob://.*/missing"):
        await rig.store.head("missing")


async def test_a_key_that_is_not_there_cannot_be_read(rig: Rig) -> None:
    with pytest.raises(ResourceNotFound, match=r"blob://.*/missing"):
        await content_of(rig.store, "missing")


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 10), (3, 7), (9, 10)])
async def test_a_span_gives_exactly_its_bytes_and_the_size_of_the_whole(rig: Rig, start: int, stop: int) -> None:
    await rig.put("digits", b"0123456789")
    async with rig.store.read("digits", span=ByteRange(start, stop)) as body:
        assert body.meta.size == 10
        assert b"".join([chunk async for chunk in body.chunks()]) == b"0123456789"[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(5, 11), (10, 11), (20, 30)])
async def test_a_span_beyond_the_end_is_an_error_never_fewer_bytes(rig: Rig, start: int, stop: int) -> None:
    await rig.put("digits", b"0123456789")
    with pytest.raises(BucketsError):
        await content_of(rig.store, "digits", span=ByteRange(start, stop))


async def test_the_pinned_version_is_read(rig: Rig) -> None:
    etag = (await rig.store.write("blob", b"content")).etag
    assert await content_of(rig.store, "blob", etag=etag) == b"content"
    assert await content_of(rig.store, "blob", etag=etag, span=ByteRange(1, 3)) == b"on"


@pytest.mark.parametrize("span", [None, ByteRange(0, 2)])
async def test_another_version_than_the_pinned_one_is_a_conflict(rig: Rig, span: ByteRange | None) -> None:
    etag = (await rig.store.write("blob", b"content")).etag
    await rig.put("blob", b"another")
    with pytest.raises(Conflict):
        await content_of(rig.store, "blob", etag=etag, span=span)


async def test_a_read_that_is_left_early_leaves_a_store_that_works(rig: Rig) -> None:
    await rig.store.write("large", bytes(4 * MIB))
    async with rig.store.read("large") as body:
        assert await anext(body.chunks())
    assert (await rig.store.head("large")).size == 4 * MIB


async def test_one_key_is_deleted(rig: Rig) -> None:
    await rig.put("gone", b"x")
    await rig.put("stays", b"x")
    assert await rig.store.delete(["gone"]) == {}
    assert await rig.names() == ["stays"]


async def test_many_keys_are_deleted_and_missing_ones_count_as_deleted(rig: Rig) -> None:
    for key in ("a", "b", "stays"):
        await rig.put(key, b"x")
    assert await rig.store.delete(["a", "missing", "b"]) == {}
    assert await rig.names() == ["stays"]


async def test_deleting_nothing_is_fine(rig: Rig) -> None:
    await rig.put("stays", b"x")
    assert await rig.store.delete([]) == {}
    assert await rig.names() == ["stays"]


async def test_deleting_a_key_that_was_never_written_is_fine(rig: Rig) -> None:
    assert await rig.store.delete(["never-written"]) == {}


async def test_deleting_a_folder_marker_leaves_what_lies_below_it(rig: Rig) -> None:
    await rig.store.write("folder/", b"")
    await rig.store.write("folder/blob", b"content")
    assert await rig.store.delete(["folder/"]) == {}
    assert await rig.names() == ["folder/blob"]


async def test_a_key_and_a_folder_may_share_a_name(rig: Rig) -> None:
    await rig.store.write("name", b"blob")
    await rig.store.write("name/below", b"below")
    assert await content_of(rig.store, "name") == b"blob"
    assert sorted(await rig.names()) == ["name", "name/below"]
    assert await rig.store.delete(["name"]) == {}
    assert await rig.names() == ["name/below"]


async def test_the_address_of_a_key_is_its_blob_uri(rig: Rig) -> None:
    assert rig.store.address("a b/#c") == f"{rig.bucket.uri}/a%20b/%23c"


async def test_no_verb_takes_an_empty_key_which_would_mean_the_bucket(rig: Rig) -> None:
    await rig.put("blob", b"content")
    with pytest.raises(InvalidAddress):
        await rig.store.head("")
    with pytest.raises(InvalidAddress):
        await content_of(rig.store, "")
    with pytest.raises(InvalidAddress):
        await rig.store.write("", b"")
    with pytest.raises(InvalidAddress):
        await rig.store.delete([""])
    assert await rig.names() == ["blob"]
