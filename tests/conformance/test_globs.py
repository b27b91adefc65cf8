from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from airflow_provider_neuro_buckets.buckets.glob import parse_glob
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import BlobCommonPrefix, BlobObject, BucketEntry
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from conformance.asking import fill
from conformance.rigs.base import Rig
from conformance.watching import WatchedStore

TREE = [
    ".dot",
    "a.csv",
    "b.csv",
    "data/.hidden/x.csv",
    "data/2024/one.csv",
    "data/2024/two.txt",
    "data/2025/deep/er/three.csv",
    "data/2025/four.csv",
    "data/empty/",
    "d[1]/five.csv",
    "g",
    "g/inside",
    "star*/six.csv",
    "starry/seven.csv",
    "why?/eight.csv",
]


@pytest.fixture
def watched(rig: Rig) -> WatchedStore:
    return WatchedStore(rig.store)


@pytest.fixture
async def listing(rig: Rig, watched: WatchedStore) -> Listing:
    await fill(rig.store, TREE)
    return Listing(rig.bucket, watched)


async def found(listing: Listing, pattern: str) -> AsyncGenerator[BucketEntry]:
    async with aclosing(listing.matches(parse_glob(pattern))) as pages:
        async for page in pages:
            for entry in page:
                yield entry


async def matches(listing: Listing, pattern: str) -> list[str]:
    return sorted([entry.key async for entry in found(listing, pattern)])


async def test_a_star_a_question_mark_and_a_class_stay_in_one_component(listing: Listing) -> None:
    expected = {
        "*.csv": ["a.csv", "b.csv"],
        "?.csv": ["a.csv", "b.csv"],
        "[a-a].csv": ["a.csv"],
        "[!a].csv": ["b.csv"],
        "[ab].csv": ["a.csv", "b.csv"],
        "A.csv": [],
        "*": [".dot", "a.csv", "b.csv", "d[1]/", "data/", "g", "g/", "star*/", "starry/", "why?/"],
        ".*": [".dot"],
        "g": ["g", "g/"],
        "g/*": ["g/inside"],
        "data/*": ["data/.hidden/", "data/2024/", "data/2025/", "data/empty/"],
        "data/*/*.csv": ["data/.hidden/x.csv", "data/2024/one.csv", "data/2025/four.csv"],
        "data/202?/*": ["data/2024/one.csv", "data/2024/two.txt", "data/2025/deep/", "data/2025/four.csv"],
        "data/202[5-9]/four.csv": ["data/2025/four.csv"],
        "data/empty/*": [],
        "nothing/*": [],
        "*/nothing": [],
    }
    assert {pattern: await matches(listing, pattern) for pattern in expected} == expected


async def test_two_stars_as_a_component_stand_for_any_number_of_them(listing: Listing) -> None:
    expected = {
        "**": sorted(TREE),
        "**/*.txt": ["data/2024/two.txt"],
        "**/a.csv": ["a.csv"],
        "data/**/x.csv": ["data/.hidden/x.csv"],
        "data/**/three.csv": ["data/2025/deep/er/three.csv"],
        "data/2025/**": ["data/2025/deep/er/three.csv", "data/2025/four.csv"],
        "data/2025/**/four.csv": ["data/2025/four.csv"],
        "data/**/deep/**/*.csv": ["data/2025/deep/er/three.csv"],
        "*/**/one.csv": ["data/2024/one.csv"],
        "dat**": ["data/"],
    }
    assert {pattern: await matches(listing, pattern) for pattern in expected} == expected


async def test_a_backslash_takes_the_next_character_as_it_is(listing: Listing) -> None:
    expected = {
        r"star\*/*": ["star*/six.csv"],
        r"why\?/*": ["why?/eight.csv"],
        r"d\[1]/*": ["d[1]/five.csv"],
        r"d[[]1]/*": ["d[1]/five.csv"],
        "star*/*.csv": ["star*/six.csv", "starry/seven.csv"],
        r"**/s\ix.csv": ["star*/six.csv"],
    }
    assert {pattern: await matches(listing, pattern) for pattern in expected} == expected


async def test_a_slash_at_the_end_matches_folders_only(listing: Listing) -> None:
    expected = {
        "*/": ["d[1]/", "data/", "g/", "star*/", "starry/", "why?/"],
        "g/": ["g/"],
        "a.csv/": [],
        "data/*/": ["data/.hidden/", "data/2024/", "data/2025/", "data/empty/"],
        "data/2025/**/": ["data/2025/deep/", "data/2025/deep/er/"],
        "**/deep/": ["data/2025/deep/"],
    }
    assert {pattern: await matches(listing, pattern) for pattern in expected} == expected


async def test_folders_come_as_common_prefixes_and_blobs_as_blobs(listing: Listing) -> None:
    kinds = {entry.key: type(entry) async for entry in found(listing, "g")}
    assert kinds == {"g/": BlobCommonPrefix, "g": BlobObject}


@pytest.mark.parametrize(
    ("pattern", "prefixes"),
    [
        ("a*", ["a"]),
        ("data/2024/one.csv", ["data/2024/one.csv"]),
        ("data/2024/o*", ["data/2024/o"]),
        ("data/202*/t*", ["data/202", "data/2024/t", "data/2025/t"]),
        (r"star\*/s*", ["star*/s"]),
        ("data/2025/**/t*", ["data/2025/"]),
        ("*/2024/*", ["", "d[1]/2024/", "data/2024/", "g/2024/", "star*/2024/", "starry/2024/", "why?/2024/"]),
    ],
)
async def test_the_text_before_the_first_operator_narrows_the_listing_at_every_level(
    listing: Listing, watched: WatchedStore, pattern: str, prefixes: list[str]
) -> None:
    await matches(listing, pattern)
    assert sorted(listed.prefix for listed in watched.listed) == prefixes


async def test_the_first_match_arrives_before_the_listing_ends(listing: Listing, watched: WatchedStore) -> None:
    async with aclosing(found(listing, "*/*/*.csv")) as entries:
        assert (await anext(entries)).key == "data/.hidden/x.csv"
        assert "data/2024/" not in [listed.prefix for listed in watched.listed]


@pytest.mark.needs(Capability.EMPTY_SEGMENTS)
async def test_empty_segments_are_components_like_any_other(rig: Rig, listing: Listing) -> None:
    await fill(rig.store, ["twice//here.bin", "/first.bin"])
    assert await matches(listing, "twice//*.bin") == ["twice//here.bin"]
    assert await matches(listing, "/*.bin") == ["/first.bin"]
    assert await matches(listing, "**/*.bin") == ["/first.bin", "twice//here.bin"]
