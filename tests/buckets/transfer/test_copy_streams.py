"""Copies that pass through this process."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, none, one_of, sampled_from

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError, PermissionDenied, Unavailable
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.transfer.checksum import have_same_content
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ, Freshness, freshness_of_copy
from airflow_provider_neuro_buckets.buckets.transfer.relay import Relay
from buckets.transfer.asking import copy_one, window
from buckets.transfer.front import behind
from buckets.transfer.watched import Call, Guard, failing, remote
from conformance.rigs.base import Rig
from conformance.rigs.registry import Servers

SMALL = b"new content"
LARGE = random.Random(8).randbytes(SINGLE_READ + 77)
CONTENTS = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture
async def dst(servers: Servers) -> AsyncIterator[Rig]:
    """A bucket of another service than `aws`, with an old blob in it."""
    async with servers.running("seaweedfs").rig() as rig:
        await rig.put("b", b"old")
        yield rig


@CONTENTS
async def test_a_blob_replaced_while_it_is_read_arrives_as_one_version(aws: Rig, dst: Rig, content: bytes) -> None:
    new = content[::-1]
    await aws.put("a", content)
    reads = 0

    async def replace(call: Call) -> None:
        nonlocal reads
        reads += call.verb == "read"
        if call.verb == "read" and reads == (1 if content is SMALL else 2):
            await aws.put("a", new)

    await copy_one(remote(aws, "a", replace)[0], remote(dst, "b")[0])
    assert await dst.get("b") == new
    assert await dst.unfinished() == []


@CONTENTS
async def test_bytes_that_arrive_broken_once_are_read_again(aws: Rig, dst: Rig, content: bytes) -> None:
    await aws.put("a", content)
    flips = iter([1])
    async with behind(aws) as (front, listing):
        front.tamper = lambda body: bytes([body[0] ^ next(flips, 0)]) + body[1:]
        await copy_one(Remote(listing, "a"), remote(dst, "b")[0])
        assert next(flips, None) is None
    assert await dst.get("b") == content


@CONTENTS
async def test_bytes_that_always_arrive_broken_are_never_written(aws: Rig, dst: Rig, content: bytes) -> None:
    await aws.put("a", content)
    async with behind(aws) as (front, listing):
        front.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        with pytest.raises(IntegrityError) as caught:
            await copy_one(Remote(listing, "a"), remote(dst, "b")[0])
    assert aws.store.address("a") in str(caught.value)
    assert await dst.get("b") == b"old"
    assert await dst.unfinished() == []


@pytest.mark.parametrize(
    ("content", "where", "verb", "at"),
    [
        (SMALL, "src", "read", 0),
        (SMALL, "src", "chunk", 0),
        (SMALL, "dst", "write", 0),
        (LARGE, "src", "read", 1),
        (LARGE, "src", "chunk", 3),
        (LARGE, "dst", "multipart", 0),
        (LARGE, "dst", "part", 0),
        (LARGE, "dst", "part", 2),
        (LARGE, "dst", "complete", 0),
    ],
    ids=lambda value: None if isinstance(value, str | int) else "small" if value is SMALL else "large",
)
async def test_a_copy_that_fails_in_the_middle_keeps_the_old_blob_and_leaves_no_parts(
    aws: Rig, dst: Rig, content: bytes, where: str, verb: str, at: int
) -> None:
    await aws.put("a", content)
    guards: dict[str, Guard] = {where: failing(verb, PermissionDenied("no"), at=at)}
    with pytest.raises(PermissionDenied):
        await copy_one(remote(aws, "a", guards.get("src"))[0], remote(dst, "b", guards.get("dst"))[0])
    assert await dst.get("b") == b"old"
    assert await dst.unfinished() == []


@CONTENTS
async def test_a_connection_that_breaks_is_gone_on_with(aws: Rig, dst: Rig, content: bytes) -> None:
    await aws.put("a", content)
    broken: set[int] = set()

    async def flap(call: Call) -> None:
        """Break each read once, behind its first chunk or before it."""
        if call.verb == "chunk" and call.start // PART not in broken and (call.start % PART or content is SMALL):
            broken.add(call.start // PART)
            raise Unavailable("the connection broke")

    await copy_one(remote(aws, "a", flap)[0], remote(dst, "b")[0])
    assert broken
    assert await dst.get("b") == content


async def test_no_more_of_a_blob_is_in_memory_than_the_window_lets(aws: Rig, dst: Rig) -> None:
    content = random.Random(3).randbytes(5 * PART)
    await aws.put("a", content)
    held = most_held = 0

    async def guard(call: Call) -> None:
        nonlocal held, most_held
        if call.verb == "read":
            held += PART
            most_held = max(most_held, held)
        elif call.verb == "part":
            held -= PART  # from here on it is being sent
        await asyncio.sleep(0)

    src, there = remote(aws, "a", guard), remote(dst, "b", guard)
    relay = Relay(src=src[1], dst=there[1], window=window(max_buffer_bytes=2 * PART))
    await relay.carry(await aws.store.head("a"), "b", step=lambda _: None)
    assert 0 < most_held <= 2 * PART
    assert await dst.get("b") == content


async def test_parts_that_arrive_in_any_order_are_digested_in_theirs(aws: Rig, dst: Rig) -> None:
    content = random.Random(3).randbytes(3 * PART + 1)
    await aws.put("a", content)
    last = asyncio.Event()

    async def last_first(call: Call) -> None:
        """Let the first part arrive after the last."""
        if call.verb == "chunk" and call.start == 3 * PART:
            last.set()
        elif call.verb == "read" and call.start == 0:
            await last.wait()

    async with asyncio.timeout(60):
        await copy_one(remote(aws, "a", last_first)[0], remote(dst, "b")[0])
    assert await dst.get("b") == content


async def test_a_blob_larger_than_the_window_passes_in_its_parts(aws: Rig, dst: Rig) -> None:
    await aws.put("a", LARGE)
    relay = Relay(src=aws.store, dst=dst.store, window=window(max_buffer_bytes=MIB, max_concurrency=2))
    async with asyncio.timeout(60):
        await relay.carry(await aws.store.head("a"), "b", step=lambda _: None)
    assert await dst.get("b") == LARGE


async def test_a_provider_that_keeps_an_md5_keeps_that_of_what_passed_through_here(aws: Rig, servers: Servers) -> None:
    await aws.put("a", LARGE)
    found = await aws.store.head("a")
    async with servers.running("azure").rig() as azure:
        for meta in (found, replace(found, md5=None)):  # whether the source has one or not
            await Relay(src=aws.store, dst=azure.store, window=window()).carry(meta, "b", step=lambda _: None)
            assert (await azure.store.head("b")).md5 == hashlib.md5(LARGE).hexdigest()
            assert await azure.get("b") == LARGE


# What is compared

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MD5 = {letter: letter * 32 for letter in "ab"}


def meta(*, md5: str | None = None, etag: str | None = None, size: int = 7) -> BlobMeta:
    return BlobMeta(key="key", size=size, md5=md5, etag=etag)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (meta(md5=MD5["a"]), meta(md5=MD5["a"], etag="0x1"), True),
        (meta(md5=MD5["a"]), meta(md5=MD5["b"]), False),
        (meta(md5=MD5["a"]), meta(), None),
        (meta(), meta(), None),
        (meta(etag=f"{MD5['a']}-3"), meta(etag=f"{MD5['a']}-3"), True),
        (meta(etag=f"{MD5['a']}-3"), meta(etag=f"{MD5['a']}-4"), None),
        (meta(etag=f"{MD5['a']}-3"), meta(md5=MD5["a"]), None),
        (meta(etag="0x1"), meta(etag="0x1"), None),
        (meta(etag="17"), meta(etag="17"), None),
        (meta(size=0, md5=MD5["a"]), meta(size=0), True),
    ],
)
def test_only_what_vouches_for_content_tells_of_content(one: BlobMeta, other: BlobMeta, same: bool | None) -> None:  # noqa: FBT001 - an expectation
    assert have_same_content(one, other) is same
    assert have_same_content(other, one) is same


SIZES = integers(0, 3)
DIGESTS = one_of(none(), sampled_from([MD5["a"], MD5["b"]]))


@given(size=SIZES, one=DIGESTS, other=DIGESTS, is_swapped=booleans())
def test_equal_digests_are_the_only_proof_but_for_nothing_at_all(
    size: int,
    one: str | None,
    other: str | None,
    is_swapped: bool,  # noqa: FBT001 - Hypothesis calls by name
) -> None:
    pair = (meta(md5=one, size=size), meta(md5=other, size=size))
    found = have_same_content(*(reversed(pair) if is_swapped else pair))
    assert (found is True) == (size == 0 or (one is not None and one == other))


@pytest.mark.parametrize(
    ("lead", "skews", "freshness"),
    [
        (3600, (0, 0), Freshness.CURRENT),
        (-3600, (0, 0), Freshness.STALE),
        (1, (0, 0), Freshness.UNKNOWN),
        (-3600, (0, 7200), Freshness.CURRENT),
        (3600, (7200, 0), Freshness.STALE),
        (3600, (7200, 7200), Freshness.CURRENT),
    ],
)
def test_two_servers_are_compared_through_the_clock_between_them(
    lead: float, skews: tuple[float, float], freshness: Freshness
) -> None:
    found = freshness_of_copy(
        source_modified=NOW, copy_modified=NOW + timedelta(seconds=lead), source_skew=skews[0], copy_skew=skews[1]
    )
    assert found is freshness


def test_without_a_time_nothing_is_taken_for_current() -> None:
    for source, copied in ((None, NOW), (NOW, None), (None, None)):
        found = freshness_of_copy(source_modified=source, copy_modified=copied, source_skew=0, copy_skew=0)
        assert found is Freshness.STALE
