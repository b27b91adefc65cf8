from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Conflict, InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Capability, may_copy_inside
from conformance.asking import source_of
from conformance.hostile import HOSTILE, REWRITTEN, try_each
from conformance.rigs.base import Rig
from conformance.rigs.gcp import GcsRig

MIB = 1024**2
pytestmark = pytest.mark.needs(Capability.COPY)


async def copied(rig: Rig, src: str, dst: str) -> BlobMeta:
    return await rig.store.copy_from(dst, await source_of(rig.store, src))


def check_parts(rig: Rig) -> None:
    """Let copies be made in the smallest parts there can be, if the server makes any."""
    if rig.provider == "azure":
        pytest.skip("Azurite does not know how to make a block of another blob")
    if isinstance(rig, GcsRig):
        rig.front.calls_of_a_rewrite = 3
    rig.store.copy_part = 5 * MIB


async def test_a_copy_has_the_bytes_of_its_source_which_stays(rig: Rig) -> None:
    content = os.urandom(100_000)
    await rig.put("folder/source", content)
    made = await copied(rig, "folder/source", "copy")
    found = await rig.store.head("copy")
    assert (made.key, made.size, made.etag) == ("copy", len(content), found.etag)
    assert made.md5 in {None, found.md5}
    assert await rig.get("copy") == await rig.get("folder/source") == content
    assert sorted(await rig.names()) == ["copy", "folder/source"]


async def test_a_copy_replaces_what_was_there(rig: Rig) -> None:
    await rig.put("source", b"new")
    await rig.put("copy", b"old content")
    await copied(rig, "source", "copy")
    assert await rig.get("copy") == b"new"


async def test_an_empty_blob_is_copied(rig: Rig) -> None:
    await rig.put("source", b"")
    assert (await copied(rig, "source", "copy")).size == 0
    assert await rig.get("copy") == b""


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_key_is_copied_from_and_to(rig: Rig, kind: str, subtests: pytest.Subtests) -> None:
    async def check(key: str) -> None:
        await rig.put("plain", b"plain content")
        await copied(rig, "plain", key)
        assert await rig.get(key) == b"plain content"
        await rig.put(key, b"hostile content")
        await copied(rig, key, "copy")
        assert await rig.get("copy") == b"hostile content"
        assert sorted(await rig.names()) == sorted(["plain", key, "copy"])

    await try_each(rig, kind, subtests, check)


@pytest.mark.parametrize("key", REWRITTEN)
async def test_a_copy_never_goes_to_a_key_that_the_server_would_rewrite(rig: Rig, key: str) -> None:
    if rig.refuses(key) is None:
        pytest.skip(f"{rig.provider} takes this key")
    await rig.put("source", b"content")
    await rig.put("a/b", b"precious")
    with pytest.raises(InvalidAddress):
        await copied(rig, "source", key)
    assert sorted(await rig.names()) == ["a/b", "source"]
    assert await rig.get("a/b") == b"precious"


async def test_a_source_that_is_missing_is_missing(rig: Rig) -> None:
    await rig.put("source", b"content")
    await rig.put("copy", b"old")
    source = await source_of(rig.store, "source")
    await rig.store.delete(["source"])
    with pytest.raises(ResourceNotFound) as caught:
        await rig.store.copy_from("copy", source)
    assert rig.store.address("source") in str(caught.value)
    assert await rig.get("copy") == b"old"


async def test_a_source_that_has_changed_is_a_conflict_and_nothing_is_copied(rig: Rig) -> None:
    if rig.provider == "aws":
        pytest.skip("moto copies whatever version there is")
    await rig.put("source", b"content")
    await rig.put("copy", b"old")
    source = await source_of(rig.store, "source")
    await rig.put("source", b"another")
    with pytest.raises(Conflict):
        await rig.store.copy_from("copy", source)
    assert await rig.get("copy") == b"old"


async def test_a_large_blob_is_copied_in_parts_f56(rig: Rig) -> None:
    check_parts(rig)
    content = os.urandom(11 * MIB)
    await rig.put("source", content)
    told: list[int] = []
    made = await rig.store.copy_from("copy", await source_of(rig.store, "source"), copied=told.append)
    found = await rig.store.head("copy")
    assert (made.key, made.size, made.etag) == ("copy", len(content), found.etag)
    assert await rig.get("copy") == content
    assert len(told) == 3
    assert told == sorted(told)
    assert told[-1] == len(content)
    assert await rig.unfinished() in ([], None)


async def test_parts_of_a_source_that_changes_are_a_conflict_and_leave_nothing(rig: Rig) -> None:
    if rig.provider == "aws":
        pytest.skip("moto copies whatever version there is")
    check_parts(rig)
    await rig.put("source", os.urandom(11 * MIB))
    await rig.put("copy", b"old")
    source = await source_of(rig.store, "source")
    await rig.put("source", os.urandom(11 * MIB))
    with pytest.raises(Conflict):
        await rig.store.copy_from("copy", source)
    assert await rig.get("copy") == b"old"
    assert await rig.unfinished() in ([], None)


async def test_each_request_of_a_copy_waits_for_its_slot(rig: Rig) -> None:
    check_parts(rig)
    await rig.put("source", os.urandom(11 * MIB))
    open_now = most_open = slots = 0

    @asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        nonlocal open_now, most_open, slots
        slots += 1
        open_now += 1
        most_open = max(most_open, open_now)
        yield
        open_now -= 1

    await rig.store.copy_from("copy", await source_of(rig.store, "source"), slot=slot)
    assert slots >= 3
    assert open_now == 0
    assert most_open <= 3


async def test_a_bucket_may_be_copied_within_whatever_opens_it(rig: Rig) -> None:
    site = await rig.store.site()
    other = replace(site, rights="others")
    assert site == await rig.store.site()
    assert site.is_bucket_of(other)
    assert may_copy_inside(site, other)
    assert not may_copy_inside(replace(site, service="another"), site)


async def test_no_secret_is_in_what_a_site_shows_or_in_the_error_of_a_copy(rig: Rig) -> None:
    site = await rig.store.site()
    await rig.put("source", b"content")
    source = await source_of(rig.store, "source")
    await rig.store.delete(["source"])
    with pytest.raises(BucketsError) as caught:
        await rig.store.copy_from("copy", source)
    shown = {"bucket_name", "endpoint_url", "storage_endpoint", "region_name", "project", "expiration", "expiry"}
    for name, value in rig.keys.credentials.items():
        if name not in shown:
            assert value not in repr(site) + repr(source) + str(caught.value) + repr(caught.value)
