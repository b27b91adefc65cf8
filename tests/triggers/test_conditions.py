"""What a blob must be like to count."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.triggers.conditions import ANY, Conditions

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def read(*, min_size: Any = 0, newer_than: Any = None, stable_for: Any = 0.0) -> Conditions:
    return Conditions.read(min_size=min_size, newer_than=newer_than, stable_for=stable_for)


def accepts(conditions: Conditions, *, size: int = 10, age: float | None = 60.0) -> bool:
    written = None if age is None else NOW - timedelta(seconds=age)
    return conditions.accept(size=size, modified_at=written, now=NOW)


def test_without_a_condition_every_blob_counts() -> None:
    assert read() == ANY
    assert accepts(ANY, size=0, age=None)


@pytest.mark.parametrize(("size", "counts"), [(9, False), (10, True), (11, True)])
def test_a_blob_that_is_too_small_does_not_count(size: int, counts: bool) -> None:  # noqa: FBT001 - a table
    assert accepts(read(min_size=10), size=size) is counts


@pytest.mark.parametrize(("age", "counts"), [(61, False), (60, False), (59, True), (None, False)])
def test_a_blob_counts_only_if_it_was_written_after_the_moment(age: float | None, counts: bool) -> None:  # noqa: FBT001 - as above
    assert accepts(read(newer_than=NOW - timedelta(seconds=60)), age=age) is counts


@pytest.mark.parametrize(("age", "counts"), [(29, False), (30, True), (31, True), (-5, False), (None, False)])
def test_a_blob_counts_only_once_it_has_been_the_same_for_so_long(age: float | None, counts: bool) -> None:  # noqa: FBT001 - as above
    assert accepts(read(stable_for=30), age=age) is counts


def test_nothing_is_the_same_for_longer_than_there_are_days() -> None:
    assert not accepts(read(stable_for=1e300))


def test_all_conditions_must_hold() -> None:
    conditions = read(min_size=5, newer_than=NOW - timedelta(seconds=100), stable_for=30)
    assert accepts(conditions, size=5, age=60)
    assert not accepts(conditions, size=4, age=60)
    assert not accepts(conditions, size=5, age=100)
    assert not accepts(conditions, size=5, age=29)


@pytest.mark.parametrize(
    "same",
    [
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00",
        "2026-01-31 14:00:00+02:00",
        NOW,
        NOW.astimezone(timezone(timedelta(hours=-5))),
        NOW.replace(tzinfo=None),
    ],
    ids=str,
)
def test_a_moment_may_be_a_datetime_or_what_a_template_makes_of_one(same: Any) -> None:
    assert read(newer_than=same).newer_than == NOW


def test_numbers_may_be_texts_and_seconds_a_timedelta() -> None:
    assert read(min_size="10", stable_for="1.5") == read(min_size=10, stable_for=timedelta(seconds=1.5))


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("min_size", "many"),
        ("min_size", -1),
        ("min_size", None),
        ("newer_than", "yesterday"),
        ("newer_than", 5),
        ("stable_for", "a while"),
        ("stable_for", -0.1),
        ("stable_for", float("nan")),
        ("stable_for", float("inf")),
        pytest.param("stable_for", 10**400, id="too large"),
    ],
)
def test_a_condition_that_cannot_be_used_is_told_by_its_name(wrong: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        read(**{wrong: value})


@pytest.mark.parametrize("conditions", [ANY, read(min_size=7, newer_than=NOW, stable_for=0.5)])
def test_conditions_survive_the_database(conditions: Conditions) -> None:
    assert Conditions.read(**json.loads(json.dumps(conditions.stored()))) == conditions
