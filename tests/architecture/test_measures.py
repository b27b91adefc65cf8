"""What `make measures` prints is counted right, and nothing in it is worse than the worst of the models."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from architecture.measures import TAKEN, Code, nesting, table, take, worse
from architecture.models import ROWS, Better, Row
from architecture.source import Module, modules

TEXT = """\
'''A module.'''
import os  # a comment, and # no second

class Public:
    '''Two
    lines.'''
    field: Any = 1

    def method(self, one: int, *, two: int) -> None:
        '''One.'''

    def other(self, one, two): ...

    def _private(self, one: int, two: int) -> None: ...
"""


def module(text: str) -> Module:
    return Module(name="m", text=text, tree=ast.parse(text))


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    return take(Code.read())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_measure_is_worse_than_the_worst_of_the_models(figures: dict[str, float], row: Row) -> None:
    assert not row.is_worse_than_all(figures[row.name]), figures[row.name]


def test_there_is_a_way_to_count_each_row() -> None:
    assert [row.name for row in ROWS] == list(TAKEN)


@pytest.mark.parametrize(
    ("better", "figure", "expected"),
    [
        (Better.LESS, 4, True),
        (Better.LESS, 3, False),
        (Better.LESS, 0, False),
        (Better.MORE, 0, True),
        (Better.MORE, 9, False),
        (Better.BETWEEN, 0, True),
        (Better.BETWEEN, 2, False),
        (Better.BETWEEN, 4, True),
    ],
)
def test_worse_is_beyond_the_last_of_the_models(better: Better, figure: float, expected: bool) -> None:  # noqa: FBT001 - an expectation
    row = Row(name="some", better=better, aim=(None, None), models=(1, None, 3))
    assert row.is_worse_than_all(figure) is expected
    assert not Row(name="some", better=better, aim=(None, None), models=(None,)).is_worse_than_all(figure)


def test_rows_that_are_worse_are_named() -> None:
    code = Code([module("def f(a): ...\n" * 3000 + "class A: ...")], [])
    assert {"lines of a file, most", "lines of docstrings, %"} <= set(worse(take(code)))
    lines = list(table(code))
    assert "WORSE" in next(line for line in lines if line.startswith("lines of a file, most"))
    assert "lines of a file, most" in lines[-1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 0),
        ("if a:\n  pass\nelse:\n  pass", 1),
        ("if a:\n  pass\nelif b:\n  pass\nelif c:\n  pass", 1),
        ("if a:\n  pass\nelse:\n  for x in y:\n    pass", 2),
        ("try:\n  pass\nexcept E:\n  while a:\n    pass", 2),
        ("with a:\n  for x in y:\n    if z:\n      pass", 3),
        ("match a:\n  case 1:\n    if z:\n      pass", 2),
        ("def inner():\n  if a:\n    pass", 0),
    ],
)
def test_nesting_is_counted(body: str, expected: int) -> None:
    assert nesting(ast.parse(body).body) == expected


def test_lines_parameters_and_comments_are_counted() -> None:
    code = Code([module(TEXT)], [])
    assert (code.lines, code.filled_lines, code.comments(), code.docstring_lines()) == (14, 10, 1, 4)
    assert code.typed() == [True, True, False, False, True, True]
    assert code.keyword_only() == [True, False]
    assert code.anys() == 1


def test_mocks_are_counted_and_what_sets_the_environment_is_none() -> None:
    text = "def test_a(m):\n  m.setattr(a, 'b', c)\n  m.setenv('A', 'b')\n  Mock()\n  mock.patch('a')\ndef other(): ..."
    code = Code([], [module(text)])
    assert (code.mocks(), code.test_functions()) == (3, 1)


def test_circular_imports_are_found(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a"), ("c", "a")):
        (tmp_path / f"{one}.py").write_text(f"import {tmp_path.name}.{other}\n")
    assert Code(modules(tmp_path), []).circles() == 1
    (tmp_path / "b.py").write_text("import os\n")
    assert Code(modules(tmp_path), []).circles() == 0
