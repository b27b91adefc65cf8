"""What a release tells its readers: the changelog names the version, SECURITY.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_neuro_buckets import __version__
from faults.catalogue import CASES, shown

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
PROMISES = [line for line in SECURITY.splitlines() if line.startswith("| ") and "`tests/" in line]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_newest_version_of_the_changelog_is_that_of_the_package() -> None:
    versions = re.findall(r"^## (\S+) - (unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    assert len(versions) == CHANGELOG.count("\n## ")
    assert versions[0][0] == __version__


def test_the_changelog_says_what_kind_of_change_each_is() -> None:
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_each_promise_of_security_names_tests_that_there_are() -> None:
    assert len(PROMISES) == len(re.findall(r"^\| [A-Z]", SECURITY, re.MULTILINE))
    named = [path for line in PROMISES for path in re.findall(r"`(tests/[\w/.]+)`", line)]
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_each_case_that_security_cites_is_shown_by_a_test_of_its_row() -> None:
    for line in PROMISES:
        (cited,) = re.findall(r"\(((?:\d+(?:, )?)+)\) \|", line) or [""]
        for case in (int(number) for number in cited.split(", ") if number):
            assert case in CASES, line
            assert any(f"`tests/{path}`" in line for path, _ in shown()[case]), (case, line)
