from __future__ import annotations

from itertools import product

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IsADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.progress import AbstractDeleteProgress, StorageProgressDelete
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from conformance.asking import fill
from conformance.rigs.base import Rig
from conformance.watching import WatchedStore


class Recorder(AbstractDeleteProgress):
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def delete(self, data: StorageProgressDelete) -> None:
        self.seen.append((str(data.uri), data.is_dir))


@pytest.fixture
def listing(rig: Rig) -> Listing:
    return Listing(rig.bucket, rig.store)


async def test_a_blob_is_removed_and_counted(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["a", "ab", "b"])
    assert await remove_path(listing, "a", recursive=False) == 1
    assert sorted(await rig.names()) == ["ab", "b"]


async def test_a_path_that_is_not_there_is_an_error(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["folder/a"])
    for path, recursive in product(["missing", "missing/", "f", "fo"], [False, True]):
        with pytest.raises(ResourceNotFound):
            await remove_path(listing, path, recursive=recursive)
    assert await rig.names() == ["folder/a"]


async def test_a_folder_is_not_removed_unless_asked_for(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["folder/a"])
    for path in ("folder", "folder/", ""):
        with pytest.raises(IsADirectory, match="recursive=True"):
            await remove_path(listing, path, recursive=False)
    assert await rig.names() == ["folder/a"]


async def test_a_blob_that_shares_its_name_with_a_folder_stays_with_it(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["name", "name/a"])
    with pytest.raises(IsADirectory):
        await remove_path(listing, "name", recursive=False)
    assert sorted(await rig.names()) == ["name", "name/a"]


async def test_a_folder_goes_with_all_below_it_and_nothing_beside_it(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["d", "d/a", "d/deep/", "d/deep/b", "dd/c", "d2", "e"])
    assert await remove_path(listing, "d", recursive=True) == 4
    assert sorted(await rig.names()) == ["d2", "dd/c", "e"]


async def test_with_a_slash_only_the_folder_goes(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["d", "d/a"])
    assert await remove_path(listing, "d/", recursive=True) == 1
    assert await rig.names() == ["d"]


async def test_recursive_removes_a_lone_blob_too(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["d", "e"])
    assert await remove_path(listing, "d", recursive=True) == 1
    assert await rig.names() == ["e"]


async def test_the_empty_path_is_the_whole_bucket(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["a", "b/c", "d/"])
    assert await remove_path(listing, "", recursive=True) == 3
    assert await rig.names() == []


@pytest.mark.needs(Capability.EMPTY_SEGMENTS, Capability.DOT_SEGMENTS)
async def test_odd_keys_are_removed_because_the_listing_shows_them(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["d//a", "d/./b", "d/../c", "d/ ", "d//", "/d/e", "d/x\x01"])
    assert await remove_path(listing, "d", recursive=True) == 6
    assert await rig.names() == ["/d/e"]
    assert await remove_path(listing, "/d", recursive=True) == 1
    assert await rig.names() == []


async def test_each_removal_is_told_once_and_the_folder_last(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["d", "d/a b", "d/deep/c"])
    recorder = Recorder()
    await remove_path(listing, "d", recursive=True, progress=recorder)
    base = str(rig.bucket.uri)
    assert sorted(recorder.seen[:-1]) == [(f"{base}/d", False), (f"{base}/d/a%20b", False), (f"{base}/d/deep/c", False)]
    assert recorder.seen[-1] == (f"{base}/d", True)


async def test_an_observer_that_fails_ends_the_removal_with_its_own_error(rig: Rig, listing: Listing) -> None:
    class Failing(AbstractDeleteProgress):
        def delete(self, data: StorageProgressDelete) -> None:
            raise ZeroDivisionError(data.uri)

    await fill(rig.store, ["a"])
    with pytest.raises(ZeroDivisionError):
        await remove_path(listing, "a", recursive=False, progress=Failing())


async def test_many_blobs_go_in_few_requests(rig: Rig) -> None:
    keys = [f"many/{number:04}" for number in range(300)]
    await fill(rig.store, keys)
    watched = WatchedStore(rig.store)
    assert await remove_path(Listing(rig.bucket, watched), "many", recursive=True) == 300
    assert await rig.names() == []
    assert watched.verbs == ["head", "delete", "delete"]
