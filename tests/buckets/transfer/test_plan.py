from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, PartLimits
from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    CLOCK_ERROR,
    IN_ORDER,
    LONGEST_RANGE,
    MIB,
    PART,
    SINGLE_READ,
    STREAMS,
    Existing,
    Freshness,
    Symlinks,
    freshness_of_blob,
    freshness_of_file,
    gaps,
    plan_missing,
    plan_parts,
    plan_ranges,
)

S3 = PartLimits(smallest=5 * MIB, largest=5 * 1024 * MIB, most=10_000)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def tiles(spans: list[ByteRange], start: int, stop: int) -> bool:
    return (
        spans[0].start == start
        and spans[-1].stop == stop
        and all(left.stop == right.start for left, right in pairwise(spans))
    )


@given(size=st.integers(1, 5 * 1024**4), wanted=st.integers(1, 64 * MIB))
def test_parts_tile_the_file_within_the_limits_of_the_provider_f55(size: int, wanted: int) -> None:
    parts = plan_parts(size, wanted=wanted, limits=S3)
    assert tiles(parts, 0, size)
    assert len(parts) <= S3.most
    assert len({len(part) for part in parts[:-1]}) <= 1
    assert all(S3.smallest <= len(part) <= S3.largest for part in parts[:-1])
    assert len(parts[-1]) <= S3.largest


@given(size=st.integers(1, 300 * MIB), part=st.integers(MIB, 300 * MIB), start=st.integers(0, 300 * MIB))
def test_ranges_tile_what_is_read_each_of_them_whole_parts_or_within_one(size: int, part: int, start: int) -> None:
    start = min(start, size - 1)
    spans = list(plan_ranges(start, size, part=part))
    assert tiles(spans, start, size)
    assert all(len(span) <= 1.5 * LONGEST_RANGE for span in spans)
    for span in spans:
        is_whole = span.start % part == 0 or span.start == start
        assert (
            (is_whole and span.stop % part == 0) or span.start // part == (span.stop - 1) // part or span.stop == size
        )


@pytest.mark.parametrize(("part", "wanted"), [(50 * MIB, 50 * MIB), (8 * MIB, 64 * MIB), (256 * MIB, 64 * MIB)])
def test_a_large_blob_is_read_in_long_ranges_that_fit_its_parts(part: int, wanted: int) -> None:
    spans = list(plan_ranges(0, 512 * MIB, part=part))
    assert {len(span) for span in spans[:-1]} == {wanted}
    assert len(spans) >= STREAMS


def test_a_blob_with_one_md5_of_the_whole_is_read_in_short_ranges() -> None:
    assert {len(span) for span in plan_ranges(0, 512 * MIB, part=512 * MIB)} == {IN_ORDER}


def test_ranges_that_are_held_in_memory_are_as_short_as_is_asked_for() -> None:
    assert {len(span) for span in plan_ranges(0, 1024 * MIB, longest=PART)} == {PART}


def test_tiny_parts_do_not_make_tiny_ranges() -> None:
    assert len(list(plan_ranges(0, 10 * PART, part=1000))) == STREAMS


def test_gaps_are_what_lies_between_before_and_behind() -> None:
    written = [ByteRange(2, 4), ByteRange(4, 5), ByteRange(7, 9)]
    assert list(gaps(written, 12)) == [(0, 2), (5, 7), (9, 12)]
    assert list(gaps([], 3)) == [(0, 3)]
    assert list(gaps([ByteRange(0, 3)], 3)) == []


def test_what_is_missing_of_a_blob_that_is_not_large_is_read_in_one_request_each() -> None:
    assert list(plan_missing(SINGLE_READ, [])) == [ByteRange(0, SINGLE_READ)]
    assert list(plan_missing(SINGLE_READ, [ByteRange(MIB, PART)])) == [ByteRange(0, MIB), ByteRange(PART, SINGLE_READ)]


def test_what_is_missing_of_a_large_blob_is_read_in_ranges_side_by_side() -> None:
    size, written = 10 * PART, ByteRange(PART, 2 * PART)
    spans = list(plan_missing(size, [written]))
    assert len(spans) == 9
    assert tiles(sorted([*spans, written], key=lambda span: span.start), 0, size)


def test_a_file_of_more_than_ten_thousand_usual_parts_gets_larger_ones_f55() -> None:
    size = 10_001 * PART
    parts = plan_parts(size, limits=S3)
    assert len(parts) <= 10_000
    assert len(parts[0]) == 9 * MIB
    assert tiles(parts, 0, size)


def test_a_file_of_a_tebibyte_is_ten_thousand_parts_at_most() -> None:
    assert len(plan_parts(1024**4, limits=S3)) <= 10_000


def test_a_file_that_no_parts_can_hold_is_refused_before_anything_is_sent_f55() -> None:
    with pytest.raises(ConfigurationError, match="more than the provider holds"):
        plan_parts(11, wanted=1, limits=PartLimits(smallest=1, largest=1, most=10))


@given(start=st.integers(0, 100 * MIB), more=st.integers(1, 100 * MIB))
def test_ranges_tile_what_is_left_of_the_blob(start: int, more: int) -> None:
    spans = list(plan_ranges(start, start + more))
    assert tiles(spans, start, start + more)
    assert max(len(span) for span in spans) <= LONGEST_RANGE


def test_ranges_of_a_tebibyte_are_not_made_before_they_are_needed() -> None:
    assert next(iter(plan_ranges(0, 1024**4))) == ByteRange(0, LONGEST_RANGE)


@pytest.mark.parametrize(
    ("update", "continue_", "skips", "continues"),
    [(False, False, False, False), (True, False, True, False), (False, True, False, True), (True, True, True, True)],
)
def test_the_two_flags_are_one_choice(*, update: bool, continue_: bool, skips: bool, continues: bool) -> None:
    existing = Existing.from_flags(update=update, continue_=continue_)
    assert (existing.skips_current, existing.continues) == (skips, continues)


def test_an_unknown_choice_for_links_names_the_choices() -> None:
    with pytest.raises(ConfigurationError, match="'inside', 'follow' or 'skip'"):
        Symlinks.named("maybe")


def of_blob(*, file_mtime: float, skew: float = 0.0, file_size: int = 5, known: bool = True) -> Freshness:
    return freshness_of_blob(
        file_size=file_size, file_mtime=file_mtime, blob_size=5, blob_modified=NOON if known else None, skew=skew
    )


def of_file(
    *, file_mtime: float, file_changed: float = 9e9, skew: float = 0.0, file_size: int = 5, known: bool = True
) -> Freshness:
    return freshness_of_file(
        file_size=file_size,
        file_mtime=file_mtime,
        file_changed=file_changed,
        blob_size=5,
        blob_modified=NOON if known else None,
        skew=skew,
    )


def test_another_size_or_an_unknown_time_is_stale_whatever_the_rest_says() -> None:
    at = NOON.timestamp()
    assert of_blob(file_mtime=at - 100, file_size=6) is Freshness.STALE
    assert of_file(file_mtime=at, file_size=6) is Freshness.STALE
    assert of_blob(file_mtime=at - 100, known=False) is Freshness.STALE
    assert of_file(file_mtime=at, known=False) is Freshness.STALE


@given(age=st.floats(CLOCK_ERROR + 0.1, 1e8), skew=st.floats(-1e5, 1e5))
def test_an_upload_goes_by_the_local_clock_however_wrong_the_servers_is(age: float, skew: float) -> None:
    written = NOON.timestamp() + skew  # the moment of the upload by the local clock
    assert of_blob(file_mtime=written - age, skew=skew) is Freshness.CURRENT
    assert of_blob(file_mtime=written + age, skew=skew) is Freshness.STALE


@given(age=st.floats(2 * CLOCK_ERROR + 0.1, 1e8), skew=st.floats(-1e5, 1e5))
def test_a_download_goes_by_the_local_clock_however_wrong_the_servers_is(age: float, skew: float) -> None:
    replaced = NOON.timestamp() + skew
    if abs(skew - age) > CLOCK_ERROR:
        assert of_file(file_mtime=replaced - age, skew=skew) is Freshness.STALE
    if abs(skew + age) > CLOCK_ERROR:
        assert of_file(file_mtime=replaced + age, skew=skew) is Freshness.CURRENT


@given(lead=st.floats(-1.99, 1.99))
def test_times_within_what_servers_round_away_leave_it_to_the_contents(lead: float) -> None:
    at = NOON.timestamp()
    assert of_blob(file_mtime=at - lead) is Freshness.UNKNOWN
    if abs(lead) > 0.01:
        assert of_file(file_mtime=at + lead) is Freshness.UNKNOWN


@given(skew=st.floats(-1e5, 1e5))
def test_a_file_that_was_given_the_time_of_its_blob_is_current(skew: float) -> None:
    at = NOON.timestamp()
    assert of_file(file_mtime=at, file_changed=at + skew + 10, skew=skew) is Freshness.CURRENT


def test_a_file_downloaded_in_the_second_of_its_blob_may_hold_what_was_there_before() -> None:
    at = NOON.timestamp()
    assert of_file(file_mtime=at, file_changed=at + 0.5) is Freshness.UNKNOWN
