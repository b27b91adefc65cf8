"""Every case of the catalogue has a test with its number in the name."""

from __future__ import annotations

from faults.catalogue import CASES, PROMISES, shown


def test_every_case_is_shown_by_a_test() -> None:
    assert sorted(CASES.keys() - shown()) == []


def test_no_test_shows_a_case_that_is_not_in_the_catalogue() -> None:
    assert {number: tests for number, tests in shown().items() if number not in CASES} == {}


def test_no_case_is_promised_twice() -> None:
    assert len(CASES) == sum(len(promise.cases) for promise in PROMISES)
