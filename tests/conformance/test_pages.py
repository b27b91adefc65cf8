from __future__ import annotations

import pytest

from conformance.asking import blobs_under, fill, keys_of, level_of
from conformance.rigs.base import Rig

TREE = ["a", "a/1", "a/2", "a/deep/3", "ab", "b/4", "c"]


async def test_an_empty_bucket_lists_as_nothing(rig: Rig) -> None:
    assert await blobs_under(rig.store) == []
    assert await level_of(rig.store, "") == ([], [])


async def test_without_a_delimiter_every_key_is_listed_with_its_size(rig: Rig) -> None:
    await fill(rig.store, TREE)
    assert {blob.key: blob.size for blob in await blobs_under(rig.store)} == {key: len(key) for key in TREE}


async def test_a_prefix_is_text_not_a_path(rig: Rig) -> None:
    await fill(rig.store, TREE)
    expected = {
        "a": ["a", "a/1", "a/2", "a/deep/3", "ab"],
        "a/": ["a/1", "a/2", "a/deep/3"],
        "a/d": ["a/deep/3"],
        "ab": ["ab"],
        "b/4": ["b/4"],
        "b/4x": [],
        "missing/": [],
    }
    assert {prefix: sorted(keys_of(await blobs_under(rig.store, prefix))) for prefix in expected} == expected


async def test_a_delimiter_folds_what_lies_deeper(rig: Rig) -> None:
    await fill(rig.store, TREE)
    expected: dict[str, tuple[list[str], list[str]]] = {
        "": (["a/", "b/"], ["a", "ab", "c"]),
        "a": (["a/"], ["a", "ab"]),
        "a/": (["a/deep/"], ["a/1", "a/2"]),
        "a/deep/": ([], ["a/deep/3"]),
        "missing/": ([], []),
    }
    assert {prefix: await level_of(rig.store, prefix) for prefix in expected} == expected


async def test_a_folder_marker_is_listed_inside_its_folder(rig: Rig) -> None:
    await rig.store.write("folder/", b"")
    await rig.store.write("folder/blob", b"")
    assert sorted(keys_of(await blobs_under(rig.store))) == ["folder/", "folder/blob"]
    assert await level_of(rig.store, "") == (["folder/"], [])
    assert await level_of(rig.store, "folder/") == ([], ["folder/", "folder/blob"])


async def test_an_empty_folder_is_its_marker(rig: Rig) -> None:
    await rig.store.write("folder/", b"")
    assert await level_of(rig.store, "") == (["folder/"], [])


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_pages_are_no_larger_than_asked_and_together_complete(rig: Rig, page_size: int) -> None:
    await fill(rig.store, TREE)
    pages = [page async for page in rig.store.pages("", page_size=page_size)]
    assert all(len(page.blobs) <= page_size for page in pages)
    assert sorted(blob.key for page in pages for blob in page.blobs) == TREE
    assert len(pages) >= len(TREE) / page_size


@pytest.mark.parametrize("page_size", [1, 2])
async def test_no_prefix_is_told_twice_however_small_the_pages(rig: Rig, page_size: int) -> None:
    await fill(rig.store, TREE)
    assert await level_of(rig.store, "", page_size=page_size) == (["a/", "b/"], ["a", "ab", "c"])


async def test_more_keys_than_a_page_holds_are_all_listed_and_all_deleted(rig: Rig) -> None:
    keys = [f"many/{number:05}" for number in range(1100)]
    await fill(rig.store, keys)
    assert keys_of(await blobs_under(rig.store, "many/")) == keys
    assert await rig.store.delete(keys) == {}
    assert await rig.names() == []


async def test_a_listing_that_is_left_early_leaves_a_store_that_works(rig: Rig) -> None:
    await fill(rig.store, TREE)
    pages = aiter(rig.store.pages("", page_size=1))
    assert (await anext(pages)).blobs
    await pages.aclose()  # type: ignore[attr-defined]  # an iterator need not have it; those of the stores do
    assert len(await blobs_under(rig.store)) == len(TREE)
