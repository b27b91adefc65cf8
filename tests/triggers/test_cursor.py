"""What a watcher tells of, whatever is in a bucket and whenever it is restarted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets import Bucket
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri
from airflow_provider_neuro_buckets.triggers.cursor import MOST_REMEMBERED, Cursor, Sighting, Watch
from airflow_provider_neuro_buckets.triggers.watching import sighted

BEGUN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
BUCKET = Bucket(
    id="bucket-1",
    name="lake",
    owner="alice",
    cluster_name="default",
    org_name="acme",
    project_name="ml",
    uri=bucket_uri(cluster="default", org="acme", project="ml", bucket="lake"),
    provider="aws",
    created_at=BEGUN,
)
AIRFLOWS_LIMIT = 64 * 1024


def blob(key: str, second: int = 0, version: int = 0) -> Sighting:
    """A blob that was written in some second; another version has another ETag."""
    return sighted(
        BlobObject(key=key, bucket=BUCKET, size=1, etag=f"{version}", modified_at=BEGUN + timedelta(seconds=second))
    )


def told(watch: Watch, listing: Iterable[Sighting]) -> list[str]:
    """Return the keys of which a watcher tells after a listing."""
    watch.begin()
    for sighting in listing:
        watch.look(sighting, counts=True)
    return [sighting.entry.key for sighting in watch.end()]


def watching(*listing: Sighting, most: int = 100_000) -> Watch:
    """Return a watcher that has begun with a listing."""
    watch = Watch(None, most=most)
    assert told(watch, listing) == []
    return watch


def restarted(watch: Watch, most: int = 100_000) -> Watch:
    """Return the watcher after a restart: all it knows has gone through the database."""
    cursor = watch.cursor()
    assert cursor
    text = json.dumps(cursor.stored())
    assert len(text) < AIRFLOWS_LIMIT
    return Watch(Cursor.read(json.loads(text)), most=most)


OLD = [blob(f"old-{number}", number) for number in range(5)]


def test_what_is_there_at_the_very_first_start_is_not_told() -> None:
    watch = Watch(None, most=10)
    assert told(watch, OLD) == []
    assert told(watch, OLD) == []


def test_a_new_blob_is_told_once_f105() -> None:
    watch = watching(*OLD)
    assert told(watch, [*OLD, blob("new", 9)]) == ["new"]
    assert told(watch, [*OLD, blob("new", 9)]) == []


def test_a_blob_that_is_written_again_is_told_again() -> None:
    watch = watching(*OLD)
    assert told(watch, [*OLD[1:], blob("old-0", 9, version=1)]) == ["old-0"]


def test_a_version_written_within_the_same_second_is_told() -> None:
    """The storage's clock has no finer hand."""
    watch = watching(blob("a", 0))
    assert told(watch, [blob("a", 0, version=1), blob("b", 0)]) in (["a", "b"], ["b", "a"])
    assert sorted(told(restarted(watch), [blob("a", 0, version=2), blob("b", 0), blob("c", 0)])) == ["a", "c"]


def test_a_blob_that_turns_up_with_an_old_time_is_told() -> None:
    """Amazon gives a blob that was uploaded in parts the time at which its upload began."""
    watch = watching(*OLD, blob("last", 1000))
    late = blob("took an hour", -3600)
    assert told(watch, [*OLD, blob("last", 1000), late]) == ["took an hour"]
    again = restarted(watch)
    assert told(again, [*OLD, blob("last", 1000), late, blob("later still", -7200)]) == ["later still"]


def test_a_deleted_blob_is_forgotten_and_told_when_it_comes_back() -> None:
    watch = watching(*OLD)
    assert told(watch, OLD[1:]) == []
    assert told(watch, [blob("old-0", 50), *OLD[1:]]) == ["old-0"]


def test_the_oldest_come_first() -> None:
    watch = watching()
    assert told(watch, [blob("c", 1), blob("a", 3), blob("b", 2)]) == ["c", "b", "a"]


def test_of_too_many_the_oldest_are_told_and_the_others_after_the_next_listing() -> None:
    watch = watching(most=2)
    many = [blob(f"{number}", number) for number in (4, 2, 5, 1, 3)]
    assert told(watch, many) == ["1", "2"]
    assert watch.waiting == 3
    assert told(watch, many) == ["3", "4"]
    assert told(restarted(watch, most=2), many) == ["5"]


def test_a_listing_that_breaks_off_tells_nothing_and_loses_nothing() -> None:
    watch = watching(*OLD)
    watch.begin()
    watch.look(blob("new", 9), counts=True)
    assert told(watch, [*OLD, blob("new", 9)]) == ["new"]


def test_a_listing_that_began_before_the_watcher_is_let_pass() -> None:
    watch = Watch(None, most=10)
    watch.look(blob("a"), counts=True)
    assert list(watch.end()) == []
    assert watch.cursor() is None
    assert told(watch, OLD) == []


def test_what_does_not_count_yet_is_told_once_it_does() -> None:
    watch = watching(*OLD)
    for counts in (False, True):
        watch.begin()
        for sighting in OLD:
            watch.look(sighting, counts=True)
        watch.look(blob("new", 9), counts=counts)
        assert [sighting.entry.key for sighting in watch.end()] == ["new"] * counts


def test_what_the_consumer_did_not_take_is_told_again() -> None:
    """At least once: a blob is known only when whoever was told of it asks for the next."""
    watch = watching(*OLD)
    listing = [*OLD, blob("new", 9)]
    watch.begin()
    for sighting in listing:
        watch.look(sighting, counts=True)
    assert next(watch.end()).entry.key == "new"
    assert told(restarted(watch), listing) == ["new"]


@pytest.mark.parametrize("seconds", [1, 3, 100_000], ids=["one second", "a few seconds", "each its own second"])
def test_however_many_there_are_the_cursor_is_small_and_a_restart_makes_no_storm_f105(seconds: int) -> None:
    """Also when more blobs were written in one second than the cursor remembers."""
    many = [blob(f"{number}", number % seconds) for number in range(3 * MOST_REMEMBERED)]
    watch = watching(*many)
    again = restarted(watch)
    assert told(again, [*many, blob("new", seconds + 1)]) == ["new"]
    assert told(restarted(again), [*many, blob("new", seconds + 1)]) == []


def test_while_it_runs_a_watcher_misses_nothing_however_many_there_are() -> None:
    many = [blob(f"{number}", 0) for number in range(3 * MOST_REMEMBERED)]
    watch = watching(*many)
    late = [blob(f"late-{number}", -number) for number in range(50)]
    assert len(told(watch, [*many, *late])) == 50


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"version": 2, "floor": None, "fingerprints": ""},
        {"version": 1, "floor": None, "fingerprints": "!"},
        {"version": 1, "floor": None, "fingerprints": "QUJD"},
        {"version": 1, "floor": [1], "fingerprints": ""},
        {"version": 1, "floor": None, "fingerprints": 5},
    ],
)
def test_what_is_no_cursor_is_refused(broken: Any) -> None:
    with pytest.raises(ValueError, match="it is"):
        Cursor.read(broken)


KEYS = st.sampled_from(["a", "b", "c", "d"])
LISTINGS = st.lists(st.dictionaries(KEYS, st.tuples(st.integers(0, 2), st.integers(0, 3))), min_size=1, max_size=8)


@settings(deadline=None)
@given(first=LISTINGS, restarts=st.sets(st.integers(0, 8)), most=st.integers(1, 3))
def test_every_version_that_stays_is_told_exactly_once_whatever_happens_between_f105(
    first: list[dict[str, tuple[int, int]]], restarts: set[int], most: int
) -> None:
    """Whatever is written, written again or deleted between the listings, and whenever the watcher is restarted."""
    watch = watching(most=most)
    history: list[tuple[str, int, int]] = []
    listings = [*first, *[first[-1]] * 4]  # in the end the backlog comes through
    for number, listing in enumerate(listings):
        if number in restarts:
            watch = restarted(watch, most=most)
        blobs = [blob(key, second, version) for key, (second, version) in sorted(listing.items())]
        watch.begin()
        for sighting in blobs:
            watch.look(sighting, counts=True)
        for sighting in watch.end():
            second = round(((sighting.entry.modified_at or BEGUN) - BEGUN).total_seconds())
            history.append((sighting.entry.key, second, int(sighting.entry.etag or 0)))
    last = {(key, second, version) for key, (second, version) in listings[-1].items()}
    assert last <= set(history)
    for item in last:
        shown = [(item[0], *listing.get(item[0], (-1, -1))) == item for listing in listings]
        appeared = sum(now and not before for before, now in zip([False, *shown], shown, strict=False))
        assert history.count(item) <= appeared
