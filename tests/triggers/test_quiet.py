"""Since when nothing has changed under a prefix: the clock is the storage's, and only what was seen counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_neuro_buckets.triggers.quiet import Calm, Look, unchanged

BEGUN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def look(seconds: float, digest: str, *, newest: float | None = 0.0, count: int = 1) -> Look:
    written = None if newest is None else at(newest)
    return Look(count=count, size=10, digest=digest, newest=written, at=at(seconds))


def calm_after(*looks: Look, calm: Calm | None = None) -> Calm:
    for one in looks:
        calm = Calm.after(calm, one)
    assert calm
    return calm


def test_at_the_first_look_the_storage_says_since_when_it_is_quiet() -> None:
    assert calm_after(look(1000, "a", newest=0)).since == at(0)


def test_an_empty_prefix_is_quiet_since_the_first_look() -> None:
    assert calm_after(look(1000, "a", newest=None, count=0)).since == at(1000)


def test_as_long_as_nothing_changes_the_clock_runs_on() -> None:
    assert calm_after(look(100, "a"), look(200, "a"), look(300, "a")).since == at(0)


def test_a_change_begins_anew_when_it_is_seen() -> None:
    assert calm_after(look(100, "a"), look(200, "b", newest=150), look(300, "b", newest=150)).since == at(200)


def test_a_change_that_leaves_no_time_behind_begins_anew_too() -> None:
    """A deletion: the newest of what is left is as old as before."""
    assert calm_after(look(100, "a"), look(200, "b", newest=0)).since == at(200)


def test_a_restart_costs_nothing_while_nothing_changes() -> None:
    stored = json.loads(json.dumps(calm_after(look(100, "a"), look(200, "b")).stored()))
    assert calm_after(look(300, "b"), calm=Calm.read(stored)).since == at(200)


def test_a_restart_after_a_change_never_counts_too_much() -> None:
    assert calm_after(look(300, "c"), calm=calm_after(look(100, "a"))).since == at(300)


@pytest.mark.parametrize("broken", [None, {}, [], "text", {"digest": "a"}, {"digest": "a", "since": "soon"}])
def test_what_cannot_be_read_counts_as_nothing_seen(broken: Any) -> None:
    assert Calm.read(broken) is None


def test_the_answer_is_given_once_it_has_been_quiet_for_long_enough_and_enough_is_there() -> None:
    calm = Calm(digest="a", since=at(0))
    assert unchanged(look(59, "a"), calm, seconds=60, min_count=1) is None
    assert unchanged(look(60, "a"), calm, seconds=60, min_count=2) is None
    assert unchanged(look(60, "a", count=2), calm, seconds=60, min_count=2) == {
        "count": 2,
        "size": 10,
        "modified_at": at(0).isoformat(),
    }
    assert unchanged(look(60, "a", newest=None, count=0), calm, seconds=60, min_count=0) == {
        "count": 0,
        "size": 10,
        "modified_at": None,
    }
