"""Pitfalls 12 to 19 of the wire protocol (section 7): keys, listings, transfers, and what each provider does alone."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets import (
    BlobCommonPrefix,
    Buckets,
    BucketsConfig,
    ConfigurationError,
    InvalidAddress,
    ResourceNotFound,
    TransferError,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.transfer.plan import plan_parts
from buckets.eras.service import Service
from buckets.transfer.front import behind
from buckets.transfer.trees import age, plant, snapshot
from conformance.rigs.base import Rig
from promises.scene import alice, at, client_of, content_of, keys_in, on, secret_of, strict_era

MIB = 1024 * 1024


async def test_pitfall_12_a_file_and_a_folder_give_the_same_key_to_the_same_name(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"a b é.txt": b"content"})
    await lone.upload_dir(src, at(rig, "folder"))
    await lone.upload_file(src / "a b é.txt", at(rig, "file/a%20b%20%C3%A9.txt"))
    await lone.upload_file(src / "a b é.txt", URL(at(rig, "url/a b é.txt")))
    assert sorted(await rig.names()) == ["file/a b é.txt", "folder/a b é.txt", "url/a b é.txt"]
    # What other clients have written under the encoded name has an address of its own.
    await rig.put("file/a%20b%20%C3%A9.txt", b"theirs")
    await lone.download_file(at(rig, "file/a%2520b%2520%25C3%25A9.txt"), tmp_path / "theirs")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


@on("aws")
async def test_pitfall_13_slashes_of_a_key_are_kept_and_a_longer_bucket_name_is_another_bucket(
    rig: Rig, lone: Buckets
) -> None:
    keys = ["/lead", "//lead", "a//b", "a/./b", "a/../b", "tail//", "2/x"]
    for key in keys:
        await rig.put(key, key.encode())
    entries = [entry async for entry in lone.list_blobs(at(rig), recursive=True)]
    assert sorted(entry.key for entry in entries) == sorted(keys)
    for entry in entries:
        assert (await lone.stat_blob(entry.uri)).size == len(entry.key)
    assert (await lone.stat_blob(at(rig, "/lead"))).key == "/lead"
    assert await keys_in(lone, at(rig, "/")) == ["//lead", "/lead"]
    for address in ("blob:models2/x", str(rig.bucket.uri) + "2/x"):  # with `2/x` as its key, it would be found
        with pytest.raises((ResourceNotFound, ConfigurationError)):
            await lone.stat_blob(address)
    for entry in entries:
        await lone.blob_rm(entry.uri, recursive=entry.key.endswith("/"))
    assert await rig.names() == []


@on("aws")
async def test_pitfall_14_nothing_is_written_outside_the_destination_and_nothing_is_dropped_in_silence(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    dst = plant(tmp_path / "dst", {})
    plant(tmp_path / "outside", {})
    (dst / "link").symlink_to(tmp_path / "outside")
    bad = ["d/../../w", "d//etc/x", "d/./x", "d/a\0b", "d/marker/", "d/twin", "d/twin/x"]
    for key in ["d/link/x", "d/ok", *bad]:
        await rig.put(key, b"content")
    with pytest.raises(TransferError) as caught:
        await lone.download_dir(at(rig, "d"), dst)
    named = "".join(caught.value.failures)
    assert all(part in named for part in ("%2E%2E", "//etc", "%2E/x", "%00", "marker/", "twin", "twin/x"))
    assert snapshot(tmp_path / "outside") == {}
    assert (dst / "ok").read_bytes() == b"content"
    assert {name.split("/")[0] for name in snapshot(tmp_path)} == {"dst", "outside"}
    assert len(caught.value.failures) + getattr(caught.value.report, "files", 0) == len(bad) + 2


async def test_pitfall_15_a_listing_has_a_prefix_and_no_folder_and_counts_common_prefixes(
    rig: Rig, lone: Buckets
) -> None:
    for key in ("d/1", "d/2", "dd/3", "d.txt", "e/"):
        await rig.put(key, b"")
    assert await keys_in(lone, at(rig, "d"), recursive=False) == ["d.txt", "d/", "dd/"]
    assert await keys_in(lone, at(rig, "d/"), recursive=False) == ["d/1", "d/2"]
    assert await keys_in(lone, at(rig, "d")) == ["d.txt", "d/1", "d/2", "dd/3"]
    assert await keys_in(lone, at(rig, "nothing")) == []
    entries = [entry async for entry in lone.list_blobs(at(rig), limit=3)]
    assert len(entries) == 3
    level = {entry.key: entry async for entry in lone.list_blobs(at(rig))}
    assert {key for key, entry in level.items() if isinstance(entry, BlobCommonPrefix)} == {"d/", "dd/", "e/"}
    assert all(entry.is_dir() is (key != "d.txt") for key, entry in level.items())
    for limit in (0, -1):
        with pytest.raises(ConfigurationError, match="None"):
            _ = [entry async for entry in lone.list_blobs(at(rig), limit=limit)]


async def test_pitfall_16_globs_see_hidden_names_and_folders_and_a_question_mark_is_never_lost(
    rig: Rig, lone: Buckets
) -> None:
    for key in (".hidden/.x", "a1", "a22", "d/1"):
        await rig.put(key, b"")

    async def found(pattern: str | URL) -> list[str]:
        return sorted([entry.key async for entry in lone.glob_blobs(pattern)])

    assert await found(at(rig, "*")) == [".hidden/", "a1", "a22", "d/"]
    assert await found(at(rig, "**")) == [".hidden/.x", "a1", "a22", "d/1"]
    assert await found(at(rig, "*/")) == [".hidden/", "d/"]
    assert await found(at(rig, "a?")) == ["a1"]
    assert await found(URL(at(rig, "a%3F"))) == ["a1"]
    with pytest.raises(InvalidAddress, match="%3F"):
        await found(URL(at(rig, "a?2")))


async def test_pitfall_17_what_was_just_moved_is_up_to_date_and_what_only_looks_so_is_not(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    src, dst = plant(tmp_path / "src", {"1": b"content", "2": b"content"}), tmp_path / "dst"
    await lone.upload_dir(src, at(rig, "d"))
    await lone.download_dir(at(rig, "d"), dst)
    assert (await lone.upload_dir(src, at(rig, "d"), update=True)).unchanged == 2
    assert (await lone.download_dir(at(rig, "d"), dst, update=True)).unchanged == 2
    # A single file is looked up, not listed: its time may have whole seconds only.
    assert (await lone.upload_file(src / "1", at(rig, "d/1"), update=True)).unchanged == 1
    assert (await lone.download_file(at(rig, "d/1"), dst / "1", update=True)).unchanged == 1
    # Other content of the same size within the same second.
    (src / "1").write_bytes(b"CONTENT")
    assert (await lone.upload_dir(src, at(rig, "d"), update=True)).files == 1
    assert await rig.get("d/1") == b"CONTENT"
    # The part that a crash left has a newer time.
    (dst / "1").write_bytes(b"CON")
    os.utime(dst / "1", (9e9, 9e9))
    age(src, 600)
    assert (await lone.download_dir(at(rig, "d"), dst, update=True)).files == 1
    assert snapshot(dst) == snapshot(src)


async def chunks(sizes: list[int]) -> AsyncIterator[bytes]:
    for size in sizes:
        yield random.Random(size).randbytes(size)


@on("aws")
async def test_pitfall_18_small_blobs_are_one_request_and_a_refused_abort_hides_nothing(
    rig: Rig, tmp_path: Path
) -> None:
    plant(tmp_path, {"empty": b"", "small": b"x" * 8 * MIB, "large": b"x" * (8 * MIB + 1)})
    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        for name, puts in (("empty", 1), ("small", 1), ("large", 2)):
            front.seen.clear()
            await buckets.upload_file(tmp_path / name, at(rig, name))
            assert len([line for line in front.seen if line.startswith("PUT")]) == puts
            assert len([line for line in front.seen if line.startswith("POST")]) == (0 if puts == 1 else 2)
            assert ("-" in str((await buckets.head_blob(rig.bucket.id, name)).etag)) is (puts == 2)

        async def refuse(request: web.Request) -> None:
            if "partNumber=2" in request.raw_path:
                raise web.HTTPBadRequest(text="<Error><Code>EntityTooLarge</Code></Error>")
            if request.method == "DELETE":
                raise web.HTTPForbidden(text="<Error><Code>AccessDenied</Code></Error>")

        front.hold = refuse
        with pytest.raises(ValueError, match="EntityTooLarge"):
            await buckets.upload_file(tmp_path / "large", at(rig, "refused"))
    assert "refused" not in await rig.names()


async def test_pitfall_18_a_huge_file_fits_into_the_parts_that_the_provider_takes(rig: Rig) -> None:
    limits = rig.store.limits
    for size in (1024**4, 4 * 1024**4):
        parts = plan_parts(size, limits=limits)
        assert len(parts) <= limits.most
        assert limits.smallest <= len(parts[0]) <= limits.largest
        assert parts[-1].stop == size


@on("azure")
async def test_pitfall_19_azure_replaces_with_bytes_and_a_signature_without_an_end_starts_no_renewal(
    rig: Rig, lone: Buckets
) -> None:
    for content in (b"old", b"new"):
        await lone.put_blob(rig.bucket.id, "key", content)
        assert await rig.get("key") == content
    assert rig.store.limits.most == 50_000
    keys = {name: value for name, value in rig.keys.credentials.items() if name != "expiry"}
    secret = secret_of(rig.bucket, **keys)
    async with Buckets.open(BucketsConfig(persistent_credentials=secret)) as buckets:
        before = asyncio.all_tasks()
        assert await content_of(buckets, rig.bucket.id, "key") == b"new"
        assert not asyncio.all_tasks() - before


@strict_era
async def test_pitfall_19_what_the_platform_cannot_do_with_azure_is_said_before_it_is_asked(service: Service) -> None:
    service.add("one", provider="azure", public=True)
    service.add("two", provider="azure")
    async with alice(service) as buckets:
        with pytest.raises(UnsupportedProvider, match="cannot close a bucket on Azure"):
            await buckets.set_public_access("one", public_access=False)
        with pytest.raises(UnsupportedProvider, match="one bucket"):
            await buckets.persistent_credentials_create(["one", "two"], name="keys")
        assert {asked.method for asked in service.asked} == {"GET"}
        assert (await buckets.persistent_credentials_create(["one"], name="keys")).name == "keys"


@on("gcp")
async def test_pitfall_19_google_gets_any_chunks_in_pieces_that_it_takes(rig: Rig, lone: Buckets) -> None:
    sizes = [1, 262_143, 262_145, 5 * MIB + 7, 3, 4 * MIB - 1, 100_001]
    await lone.put_blob(rig.bucket.id, "key", chunks(sizes))
    assert await rig.get("key") == b"".join([chunk async for chunk in chunks(sizes)])
    assert await rig.unfinished() == []


@on("aws", "seaweedfs")
async def test_pitfall_19_s3_tells_a_missing_key_like_every_other_provider(rig: Rig, lone: Buckets) -> None:
    missing: list[Any] = [
        lone.head_blob(rig.bucket.id, "nope"),
        content_of(lone, rig.bucket.id, "nope"),
        content_of(lone, rig.bucket.id, "nope", offset=1),
        lone.blob_rm(at(rig, "nope")),
    ]
    for ask in missing:
        with pytest.raises(ResourceNotFound, match="nope"):
            await ask
    await lone.delete_blob(rig.bucket.id, "nope")
