from __future__ import annotations

from contextlib import aclosing

import pytest

from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import BlobCommonPrefix, BlobObject, BucketUsage
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from conformance.asking import fill
from conformance.rigs.base import Rig
from conformance.watching import Listed, WatchedStore

TREE = ["a/1", "a/2", "a/deep/3", "ab", "b/", "c"]


@pytest.fixture
def watched(rig: Rig) -> WatchedStore:
    return WatchedStore(rig.store)


@pytest.fixture
def listing(rig: Rig, watched: WatchedStore) -> Listing:
    return Listing(rig.bucket, watched)


async def test_entries_are_blobs_and_folders_with_the_bucket_they_are_in(listing: Listing) -> None:
    await fill(listing.store, TREE)
    entries = sorted([entry async for entry in listing.entries("", delimiter="/")], key=lambda entry: entry.key)
    assert [(type(entry), entry.key, entry.size) for entry in entries] == [
        (BlobCommonPrefix, "a/", 0),
        (BlobObject, "ab", 2),
        (BlobCommonPrefix, "b/", 0),
        (BlobObject, "c", 1),
    ]
    assert all(entry.bucket == listing.bucket for entry in entries)


async def test_without_a_delimiter_only_blobs_are_told_markers_included(listing: Listing) -> None:
    await fill(listing.store, TREE)
    entries = [entry async for entry in listing.entries("")]
    assert sorted(entry.key for entry in entries) == TREE
    assert {type(entry) for entry in entries} == {BlobObject}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
async def test_a_limit_counts_blobs_and_folders(listing: Listing, limit: int) -> None:
    await fill(listing.store, TREE)
    assert len([entry async for entry in listing.entries("", delimiter="/", limit=limit)]) == min(limit, 4)


async def test_a_folder_is_what_has_keys_below_it(listing: Listing) -> None:
    await fill(listing.store, TREE)
    paths = ["", "a", "a/", "a/deep", "b", "ab", "c", "x"]
    assert [path for path in paths if await listing.is_dir(path)] == ["", "a", "a/", "a/deep", "b"]


async def test_whether_a_path_is_a_folder_is_one_page(listing: Listing, watched: WatchedStore) -> None:
    await fill(listing.store, TREE)
    assert await listing.is_dir("a")
    assert watched.listed == [Listed("a/", "", 1)]
    assert watched.pages_read == 1


async def test_the_usage_of_a_bucket_grows_to_all_bytes_and_all_blobs(listing: Listing) -> None:
    await fill(listing.store, TREE)
    usage = [total async for total in listing.usage()]
    assert usage[-1] == BucketUsage(total_bytes=sum(len(key) for key in TREE if key != "b/"), object_count=len(TREE))


async def test_the_usage_of_an_empty_bucket_is_told_once_as_zero(listing: Listing) -> None:
    assert [total async for total in listing.usage()] == [BucketUsage(total_bytes=0, object_count=0)]


async def test_metas_are_what_the_provider_says_of_each_key(rig: Rig, listing: Listing) -> None:
    await fill(listing.store, ["a/1", "b/2"])
    assert [meta.key async for meta in listing.metas("a/")] == ["a/1"]
    (meta,) = [meta async for meta in listing.metas("b/")]
    assert meta.etag == (await rig.store.head("b/2")).etag


@pytest.mark.needs(Capability.EMPTY_SEGMENTS)
async def test_an_empty_segment_is_a_folder_like_any_other(listing: Listing) -> None:
    await fill(listing.store, ["a//b"])
    assert [entry.key async for entry in listing.entries("a/", delimiter="/")] == ["a//"]
    assert [entry.key async for entry in listing.entries("a//", delimiter="/")] == ["a//b"]
    assert await listing.is_dir("a/")


async def test_a_listing_left_early_asks_for_no_further_page(listing: Listing, watched: WatchedStore) -> None:
    await fill(listing.store, TREE)
    async with aclosing(listing.entries("", limit=2)) as entries:
        assert (await anext(entries)).key == "a/1"
    assert watched.listed == [Listed("", "", 2)]
    assert watched.pages_read == 1
