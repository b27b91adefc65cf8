from __future__ import annotations

import asyncio
import hashlib
import os
import re

import pytest

from airflow_provider_neuro_buckets.buckets.errors import BadRequest, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import Capability, MultipartUpload, PartOf, Proof
from conformance.asking import content_of
from conformance.rigs.base import Rig

UPTO = 5 * 1024 * 1024


def parts_for(rig: Rig, count: int) -> list[bytes]:
    """Return parts as small as the provider lets all but the last be, and a short last one."""
    size = min(rig.store.limits.smallest, UPTO)
    return [*(os.urandom(size) for _ in range(count - 1)), os.urandom(7)]


async def nothing_is_left(rig: Rig) -> None:
    """Look around the store for what an upload may leave behind."""
    unfinished = await rig.unfinished()
    assert unfinished in ([], None)


async def test_the_parts_become_one_blob(rig: Rig) -> None:
    parts = parts_for(rig, 3)
    async with rig.store.multipart("folder/blob") as upload:
        for number, part in enumerate(parts, start=1):
            await upload.put_part(number, part)
        made = await upload.complete()
    found = await rig.store.head("folder/blob")
    assert (made.key, made.size, made.etag) == ("folder/blob", sum(map(len, parts)), found.etag)
    assert await rig.get("folder/blob") == b"".join(parts)
    await nothing_is_left(rig)


async def test_the_content_of_parts_is_read_back_whole(rig: Rig) -> None:
    parts = parts_for(rig, 2)
    async with rig.store.multipart("blob") as upload:
        for number, part in enumerate(parts, start=1):
            await upload.put_part(number, part)
        await upload.complete()
    assert await content_of(rig.store, "blob") == b"".join(parts)


async def test_a_blob_of_parts_is_proven_and_its_first_part_is_told_where_the_etag_is_made_of_the_parts(
    rig: Rig,
) -> None:
    parts = parts_for(rig, 2)
    async with rig.store.multipart("blob") as upload:
        for number, part in enumerate(parts, start=1):
            await upload.put_part(number, part)
        made = await upload.complete()
    # Azurite does not answer the MD5 of a block, and so proves nothing of it.
    assert made.proof is (Proof.SIZE if rig.provider == "azure" else Proof.CHECKSUM)
    first = await rig.store.first_part(await rig.store.head("blob"))
    is_of_parts = re.fullmatch(r"[0-9a-f]{32}-2", made.etag or "")
    assert first == (len(parts[0]) if is_of_parts else None)


async def test_the_md5_of_the_whole_is_kept_where_the_provider_computes_none(rig: Rig) -> None:
    content = b"".join(parts_for(rig, 2))
    md5 = hashlib.md5(content).hexdigest()
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, content)
        made = await upload.complete(md5=md5)
    found = await rig.store.head("blob")
    if Capability.KEEPS_MD5 in rig.store.capabilities:
        assert found.md5 == made.md5 == md5
    else:
        assert found.md5 in {None, md5}


async def test_one_part_is_enough(rig: Rig) -> None:
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, b"only")
        await upload.complete()
    assert await rig.get("blob") == b"only"


async def test_parts_may_be_sent_side_by_side_and_in_any_order(rig: Rig) -> None:
    parts = parts_for(rig, 3)
    async with rig.store.multipart("blob") as upload:
        await asyncio.gather(*(upload.put_part(number, parts[number - 1]) for number in (3, 1, 2)))
        await upload.complete()
    assert await rig.get("blob") == b"".join(parts)


async def test_a_number_sent_again_replaces_the_part(rig: Rig) -> None:
    parts = parts_for(rig, 2)
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, os.urandom(len(parts[0])))
        await upload.put_part(2, parts[1])
        await upload.put_part(1, parts[0])
        await upload.complete()
    assert await rig.get("blob") == b"".join(parts)


async def test_until_the_upload_is_complete_the_key_holds_what_it_held(rig: Rig) -> None:
    await rig.put("blob", b"old")
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, b"new")
        assert await rig.get("blob") == b"old"
        await upload.complete()
    assert await rig.get("blob") == b"new"


async def test_leaving_without_completing_leaves_nothing(rig: Rig) -> None:
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, b"part")
    assert await rig.names() == []
    await nothing_is_left(rig)


async def test_an_upload_that_is_open_can_be_seen_around_the_store(rig: Rig) -> None:
    if await rig.unfinished() is None:
        pytest.skip(f"{rig.provider} has no way to list unfinished uploads")
    async with rig.store.multipart("blob") as upload:
        await upload.put_part(1, b"part")
        assert await rig.unfinished() == ["blob"]


async def test_a_failure_inside_the_block_leaves_nothing_and_is_not_hidden(rig: Rig) -> None:
    await rig.put("blob", b"old")

    async def fail() -> None:
        async with rig.store.multipart("blob") as upload:
            await upload.put_part(1, b"part")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await rig.get("blob") == b"old"
    await nothing_is_left(rig)


async def test_a_cancelled_upload_leaves_nothing(rig: Rig) -> None:
    sent = asyncio.Event()

    async def send(upload: MultipartUpload) -> None:
        await upload.put_part(1, b"part")
        sent.set()
        await asyncio.Event().wait()

    async def run() -> None:
        async with rig.store.multipart("blob") as upload:
            await send(upload)

    task = asyncio.create_task(run())
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rig.names() == []
    await nothing_is_left(rig)


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelled_at_any_await_an_upload_leaves_nothing_or_the_whole_blob(rig: Rig, steps: int) -> None:
    async def run() -> None:
        async with rig.store.multipart("blob") as upload:
            await upload.put_part(1, b"part")
            await upload.complete()

    task = asyncio.create_task(run())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await rig.names() in ([], ["blob"])
    await nothing_is_left(rig)


# Going on with an upload that was cut off


def giving(parts: list[bytes]) -> PartOf:
    async def part(number: int) -> bytes | None:
        return parts[number - 1] if number <= len(parts) else None

    return part


async def cut_off(rig: Rig, key: str, sent: dict[int, bytes]) -> str:
    """Send some parts of an upload, and leave them there; return its note."""
    async with rig.store.resume(key, None) as upload:
        for number, part in sent.items():
            await upload.put_part(number, part)
        upload.keep()
        return upload.note()


async def finish(rig: Rig, key: str, parts: list[bytes], note: str) -> int:
    """Go on with an upload; return how many bytes of it were there."""
    async with rig.store.resume(key, giving(parts), note=note) as upload:
        await asyncio.gather(*(upload.put_part(number, part) for number, part in enumerate(parts, start=1)))
        made = await upload.complete()
    assert made.size == sum(map(len, parts))
    return upload.spared


@pytest.mark.needs(Capability.RESUME)
@pytest.mark.parametrize("sent", [{1}, {2, 3}, {1, 2, 3}])
@pytest.mark.parametrize("key", ["blob", "a folder/\u00e9 & +"])
async def test_an_upload_that_was_cut_off_is_gone_on_with(rig: Rig, sent: set[int], key: str) -> None:
    await rig.put(key, b"old")
    parts = parts_for(rig, 3)
    note = await cut_off(rig, key, {number: parts[number - 1] for number in sent})
    assert await rig.get(key) == b"old"
    assert await finish(rig, key, parts, note) == sum(len(parts[number - 1]) for number in sent)
    assert await rig.get(key) == b"".join(parts)
    await nothing_is_left(rig)


@pytest.mark.needs(Capability.RESUME)
async def test_an_upload_that_is_not_as_it_was_noted_is_refused_or_sent_again_and_the_old_blob_stays(rig: Rig) -> None:
    await rig.put("blob", b"old")
    parts = parts_for(rig, 2)
    note = await cut_off(rig, "blob", {1: os.urandom(len(parts[0]))})
    try:
        assert await finish(rig, "blob", parts, note) == 0
    except (BadRequest, ResourceNotFound):
        assert await rig.get("blob") == b"old"
    else:
        assert await rig.get("blob") == b"".join(parts)
    await nothing_is_left(rig)


@pytest.mark.needs(Capability.RESUME)
async def test_parts_of_an_upload_that_was_longer_are_not_in_the_blob(rig: Rig) -> None:
    parts = parts_for(rig, 3)
    note = await cut_off(rig, "blob", dict(enumerate(parts, start=1)))
    assert await finish(rig, "blob", parts[:2], note) == len(parts[0]) + len(parts[1])
    assert await rig.get("blob") == b"".join(parts[:2])


@pytest.mark.needs(Capability.RESUME)
async def test_an_upload_that_is_gone_on_with_and_not_kept_leaves_nothing(rig: Rig) -> None:
    parts = parts_for(rig, 2)
    note = await cut_off(rig, "blob", {1: parts[0]})
    async with rig.store.resume("blob", giving(parts), note=note) as upload:
        await upload.put_part(1, parts[0])
    assert await rig.names() == []
    await nothing_is_left(rig)


@pytest.mark.needs(Capability.RESUME)
async def test_an_upload_of_which_nothing_was_sent_is_not_kept(rig: Rig) -> None:
    assert await cut_off(rig, "blob", {}) == ""
    await nothing_is_left(rig)
