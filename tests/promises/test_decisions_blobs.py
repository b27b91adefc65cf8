"""Decisions 7 to 12: blobs, and the deletion of buckets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets import Bucket, BucketNotEmpty, Buckets, ResourceNotFound
from buckets.transfer.front import behind
from conformance.rigs.base import Rig
from promises.scene import ManyKeys, at, client_of, content_of, on

MIB = 1024 * 1024


async def chunks(count: int, *, size: int = MIB) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_decision_07_a_missing_key_is_not_found_and_deleting_it_succeeds_and_a_put_replaces(
    rig: Rig, lone: Buckets
) -> None:
    for missing in (
        lone.head_blob(rig.bucket.id, "key"),
        content_of(lone, rig.bucket.id, "key"),
        lone.stat_blob(at(rig, "key")),
    ):
        with pytest.raises(ResourceNotFound) as caught:
            await missing
        assert isinstance(caught.value, FileNotFoundError)
    await lone.delete_blob(rig.bucket.id, "key")
    for content in (b"old", b"newer"):
        await lone.put_blob(rig.bucket.id, "key", content)
        assert await rig.get("key") == content
    (listed,) = [entry async for entry in lone.list_blobs(at(rig))]
    for entry in (listed, await lone.head_blob(rig.bucket.id, "key")):
        assert (entry.created_at is not None) is (rig.provider in {"azure", "gcp"})
        assert entry.modified_at is not None
    await lone.delete_blob(rig.bucket.id, "key")
    assert await rig.names() == []


async def test_decision_08_a_fetch_from_the_size_on_yields_nothing_and_beyond_it_is_an_error(
    rig: Rig, lone: Buckets
) -> None:
    for key, content in (("key", b"12345"), ("empty", b"")):
        await rig.put(key, content)
        assert await content_of(lone, rig.bucket.id, key) == content
        assert [chunk async for chunk in lone.fetch_blob(rig.bucket.id, key, offset=len(content))] == []
        with pytest.raises(ValueError, match=f"offset {len(content) + 1}"):
            await content_of(lone, rig.bucket.id, key, offset=len(content) + 1)
    assert await content_of(lone, rig.bucket.id, "key", offset=2) == b"345"


@on("aws")
@pytest.mark.parametrize(
    ("mibs", "methods"), [(0, ["PUT"]), (8, ["PUT"]), (9, ["POST uploads", "PUT part", "PUT part", "POST uploadId"])]
)
async def test_decision_09_an_iterator_is_one_put_while_it_fits_one_part_and_several_beyond(
    rig: Rig, mibs: int, methods: list[str]
) -> None:
    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        await buckets.put_blob(rig.bucket.id, "key", chunks(mibs))
        assert len(await rig.get("key")) == mibs * MIB
        kinds = {"uploads": "uploads", "partNumber": "part", "uploadId": "uploadId"}
        seen = [(line.split()[0], URL(line.split()[1], encoded=True).query) for line in front.seen]
        shown = [f"{method} {next((kinds[name] for name in kinds if name in query), '')}" for method, query in seen]
        assert sorted(line.strip() for line in shown) == sorted(methods)


@on("aws")
async def test_decision_09_an_iterator_is_never_far_ahead_of_what_the_storage_has(rig: Rig) -> None:
    received, furthest = 0, 0

    async def read() -> AsyncIterator[bytes]:
        nonlocal furthest
        for number in range(96):
            furthest = max(furthest, number * MIB - received)
            yield bytes(MIB)

    async def count(request: web.Request) -> None:
        nonlocal received
        received += request.content_length or 0

    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        front.hold = count
        await buckets.put_blob(rig.bucket.id, "key", read())
    assert received >= 96 * MIB
    assert furthest <= 56 * MIB


async def test_decision_09_a_failure_or_a_cancellation_leaves_no_upload_and_the_old_blob(
    rig: Rig, lone: Buckets
) -> None:
    halfway = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        async for chunk in chunks(17):
            yield chunk
        raise ZeroDivisionError

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in chunks(17):
            yield chunk
        halfway.set()
        await asyncio.Event().wait()

    await rig.put("key", b"old")
    with pytest.raises(ZeroDivisionError):
        await lone.put_blob(rig.bucket.id, "key", broken())
    task = asyncio.create_task(lone.put_blob(rig.bucket.id, "key", endless()))
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rig.get("key") == b"old"
    assert await rig.unfinished() in ([], None)


@on("aws")
async def test_decision_09_a_refused_abort_does_not_hide_the_first_error(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse_to_abort(request: web.Request) -> None:
        if request.method == "DELETE":
            raise web.HTTPForbidden(text="<Error><Code>AccessDenied</Code></Error>")

    async def broken() -> AsyncIterator[bytes]:
        async for chunk in chunks(9):
            yield chunk
        raise ZeroDivisionError

    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        front.hold = refuse_to_abort
        with pytest.raises(ZeroDivisionError):
            await buckets.put_blob(rig.bucket.id, "key", broken())
        assert [line for line in front.seen if line.startswith("DELETE")]
    assert "was not aborted" in caplog.text
    assert await rig.unfinished() == ["key"]


GLOBBED = ["top.csv", ".dot.csv", "a*b", "d/a1.csv", "d/b2.csv", "d/.hidden/c.csv", "d/e/c.csv", "d/e/f/c.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", [".dot.csv", "top.csv"]),
        ("d/?1.csv", ["d/a1.csv"]),
        ("d/[a-b]?.csv", ["d/a1.csv", "d/b2.csv"]),
        ("d/[!a]*.csv", ["d/b2.csv"]),
        ("**/c.csv", ["d/.hidden/c.csv", "d/e/c.csv", "d/e/f/c.csv"]),
        ("d/**/f/*", ["d/e/f/c.csv"]),
        ("d**", ["d/"]),  # only whole components cross slashes
        (r"a\*b", ["a*b"]),
        ("d/*/", ["d/.hidden/", "d/e/"]),
        ("d/*", ["d/.hidden/", "d/a1.csv", "d/b2.csv", "d/e/"]),
        ("*/e/c.csv", ["d/e/c.csv"]),
    ],
)
@on("aws")
async def test_decision_10_a_glob_means_the_same_as_text_and_as_url(
    rig: Rig, lone: Buckets, pattern: str, expected: list[str]
) -> None:
    await asyncio.gather(*(rig.put(key, b"") for key in GLOBBED))
    as_url = URL(at(rig, pattern.replace("?", "%3F").replace("[", "%5B").replace("\\", "%5C")), encoded=True)
    for given in (at(rig, pattern), as_url):
        assert sorted([entry.key async for entry in lone.glob_blobs(given)]) == expected


@on("aws")
async def test_decision_10_the_literal_text_before_the_first_operator_narrows_every_listing(rig: Rig) -> None:
    await asyncio.gather(*(rig.put(key, b"") for key in ("data/a1/x.csv", "data/a2/y.csv", "data/b1/x.csv", "other")))
    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        found = [entry.key async for entry in buckets.glob_blobs(at(rig, "data/a*/x*"))]
        prefixes = {URL(line.split()[1], encoded=True).query["prefix"] for line in front.seen}
    assert found == ["data/a1/x.csv"]
    assert prefixes == {"data/a", "data/a1/x", "data/a2/x"}


async def test_decision_10_matches_stream_and_are_not_collected_first() -> None:
    many = ManyKeys(50_000)
    async with many.running() as buckets, aclosing(buckets.glob_blobs("blob:models/**/key-*")) as matches:
        assert (await anext(matches)).key == "key-000000"
        assert many.pages < 5


async def test_decision_11_a_removal_takes_the_exact_key_and_all_below_it(rig: Rig, lone: Buckets) -> None:
    with pytest.raises(ResourceNotFound):
        await lone.blob_rm(at(rig, "d"), recursive=True)
    odd = [key for key in ("d/e//f", "d/./g", "d//", "d/../h") if not rig.refuses(key)]
    for key in ["d", "d/1", "d/e/2", "dd", "d.txt", *odd]:
        await rig.put(key, b"x")
    with pytest.raises(IsADirectoryError):
        await lone.blob_rm(at(rig, "d"))
    assert len(await rig.names()) == 5 + len(odd)
    await lone.blob_rm(at(rig, "d"), recursive=True)
    assert sorted(await rig.names()) == ["d.txt", "dd"]
    await lone.blob_rm(at(rig, "dd"))
    if not rig.refuses("/lead"):
        await rig.put("/lead", b"x")
        await lone.blob_rm(at(rig, "/lead"))
    assert await rig.names() == ["d.txt"]


@on("aws")
async def test_decision_11_a_removal_goes_in_batches(rig: Rig) -> None:
    await asyncio.gather(*(rig.put(f"d/{number}", b"") for number in range(60)))
    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        await buckets.blob_rm(at(rig, "d"), recursive=True)
        assert len(front.seen) < 6
    assert await rig.names() == []


async def test_decision_12_a_bucket_that_holds_blobs_stays_with_everybodys_credentials_unless_it_is_forced(
    local: Buckets, made: Bucket
) -> None:
    lasting = await local.persistent_credentials_create([made.id])
    await local.put_blob(made.id, "d/key", b"content")
    with pytest.raises(BucketNotEmpty, match="force=True"):
        await local.rm(made.id)
    assert await local.persistent_credentials_get(lasting.id) == lasting
    assert await content_of(local, made.id, "d/key") == b"content"
    await local.rm(made.id, force=True)
    with pytest.raises(ResourceNotFound):
        await local.get(made.id)
