from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.cli.output import Row, printable, show, tell

HOSTILE = [
    "[red]bold[/red]",
    "[/x]",
    "1e5",
    "0010",
    "two\nlines",
    "\x1b[31m",
    "a\tb",
    "\udce9",
    "\u202etxt.exe",
    "",
    "a|b",
]


@pytest.mark.parametrize("output", ["table", "plain"])
@pytest.mark.parametrize("name", HOSTILE)
def test_people_see_every_name_as_it_is_or_escaped(capsys: pytest.CaptureFixture[str], output: str, name: str) -> None:
    show([{"name": name, "size": 7}], output=output, columns=("name", "size"))
    shown = capsys.readouterr().out
    assert printable(name) in shown
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", HOSTILE)
def test_programs_get_every_name_back(capsys: pytest.CaptureFixture[str], name: str) -> None:
    rows = [{"name": name, "size": 7, "time": None, "public": False}] * 2
    show(rows, output="json", columns=())
    assert json.loads(capsys.readouterr().out) == rows


def test_json_is_written_as_rows_come_and_not_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[Row]:
        yield {"n": 1}
        yield {"n": 2}
        assert capsys.readouterr().out == '[{"n": 1},\n {"n": 2}'

    show(rows(), output="json", columns=())
    assert capsys.readouterr().out == "]\n"


def test_columns_are_aligned_and_others_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Row] = [{"a": "x", "b": ["one", "two"], "c": 1}, {"a": None, "b": [], "c": 2}]
    show(rows, output="plain", columns=("a", "b"))
    assert capsys.readouterr().out == "a  b\nx  one, two\n\n"


def test_a_result_is_a_sentence_or_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    tell("Removed \x1b", {"n": 1}, output=None)
    assert capsys.readouterr().out == "Removed \\x1b\n"
    tell("Removed", {"n": 1}, output="json")
    assert capsys.readouterr().out == '[{"n": 1}]\n'


@given(st.text(st.characters()))
def test_what_is_printable_stays_and_nothing_else_reaches_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
