"""Measures of this code beside those of the models: ``make measures``.

A function's length runs from `def` to its last line, docstring included; complexity is branches + 1, as ruff counts
it; comments and docstrings are shares of the lines that are not blank. Keyword-only is the share of the public
functions with two or more parameters that use ``*``. A mock is whatever puts something else in the place of code:
`patch`, `Mock`, and `setattr` and its like of `monkeypatch`; what sets the environment is none. Broad is an `except`
that ruff finds to swallow whatever comes.
"""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from statistics import median
from typing import Any

from architecture.models import MODELS, ROWS, Row
from architecture.source import PACKAGE, ROOT, Function, Module, graph_of, modules, span

NESTS = ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.With | ast.AsyncWith | ast.Match
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
REPLACES = {"setattr", "setitem", "delattr", "delitem"}
RUFF = (
    *("check", "--isolated", "--ignore-noqa", "--exit-zero", "--no-cache", "--output-format=json"),
    *("--select=C901,FBT001,FBT002,BLE001", "--config=lint.mccabe.max-complexity=0"),
)
MOCKS = {"patch", "Mock", "MagicMock", "AsyncMock", "create_autospec"}


@dataclass(frozen=True)
class Code:
    """The package and its tests, read; each property is what one row of the table says."""

    package: Sequence[Module]
    tests: Sequence[Module]

    @classmethod
    def read(cls) -> Code:
        return cls(modules(PACKAGE), modules(ROOT / "tests"))

    @cached_property
    def lines(self) -> int:
        return sum(module.lines for module in self.package)

    @cached_property
    def filled_lines(self) -> int:
        return sum(bool(line.strip()) for module in self.package for line in module.text.splitlines())

    @cached_property
    def functions(self) -> list[Function]:
        return [function for module in self.package for function in module.functions()]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [kind for module in self.package for kind in module.classes()]

    @cached_property
    def found_by_ruff(self) -> list[dict[str, Any]]:
        """What ruff says of complexity, positional booleans and broad excepts, whatever a `noqa` says."""
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *RUFF, str(PACKAGE)],
            check=True,
            capture_output=True,
            text=True,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def complexities(self) -> list[int]:
        """Return the complexity of each function; ruff says that it is "too complex (7 > 0)"."""
        texts = [found["message"] for found in self.found_by_ruff if found["code"] == "C901"]
        return [int(number) for text in texts for number in re.findall(r"\((\d+) > 0\)", text)]

    def count(self, *codes: str) -> int:
        return sum(found["code"] in codes for found in self.found_by_ruff)

    def nestings(self) -> list[int]:
        return [nesting(function.node.body) for function in self.functions]

    def comments(self) -> int:
        return sum(len({comment.start[0] for comment in module.comments()}) for module in self.package)

    def docstring_lines(self) -> int:
        return sum(
            bool(line.strip())
            for module in self.package
            for node in docstrings(module.tree)
            for line in module.text.splitlines()[node.lineno - 1 : node.end_lineno]
        )

    def typed(self) -> list[bool]:
        return [parameter.annotation is not None for function in self.functions for parameter in function.parameters]

    def keyword_only(self) -> list[bool]:
        """Tell of each public function with two or more parameters whether some go by their names only."""
        return [
            bool(function.node.args.kwonlyargs)
            for function in self.functions
            if function.is_public and len(function.parameters) > 1
        ]

    def anys(self) -> int:
        nodes = (node for module in self.package for node in ast.walk(module.tree))
        return sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)

    def mocks(self) -> int:
        return sum(is_mock(node) for module in self.tests for node in ast.walk(module.tree))

    def test_functions(self) -> int:
        names = (function.name.rpartition(".")[2] for module in self.tests for function in module.functions())
        return sum(name.startswith("test_") for name in names)

    def circles(self) -> int:
        """Count circular imports; as soon as there is one, how many does not matter."""
        try:
            TopologicalSorter(graph_of({module.name: module.tree for module in self.package})).prepare()
        except CycleError:
            return 1
        return 0


def nesting(body: Sequence[ast.stmt]) -> int:
    """Return how deep branches, loops and blocks stand in each other; an ``elif`` stands beside its `if`."""
    deepest = 0
    for node in body:
        if isinstance(node, DOCUMENTED):
            continue
        inner = max(map(nesting, blocks(node)), default=0)
        beside = getattr(node, "orelse", [])
        if isinstance(node, ast.If) and len(beside) == 1 and isinstance(beside[0], ast.If):
            inner = max(nesting(node.body), nesting(beside) - 1)
        deepest = max(deepest, inner + isinstance(node, NESTS))
    return deepest


def blocks(node: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    yield from (getattr(node, name, []) for name in ("body", "orelse", "finalbody"))
    yield from (handler.body for handler in getattr(node, "handlers", []))
    yield from (case.body for case in getattr(node, "cases", []))


def docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    """Yield the texts that stand alone: docstrings, and those below an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node


def is_mock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id in MOCKS
    return isinstance(called, ast.Attribute) and (called.attr in REPLACES | MOCKS)


def most(figures: Iterable[float]) -> float:
    return max(figures, default=0)


def nearly_most(figures: Iterable[float]) -> float:
    """Return what 95 of 100 do not exceed."""
    ordered = sorted(figures)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else 0


def share(which: Sequence[bool]) -> float:
    return 100 * sum(which) / max(len(which), 1)


TAKEN: dict[str, Callable[[Code], float]] = {
    "lines of a file, median": lambda code: median(module.lines for module in code.package),
    "lines of a file, most": lambda code: most(module.lines for module in code.package),
    "lines of a function, median": lambda code: median(function.lines for function in code.functions),
    "lines of a function, 95 %": lambda code: nearly_most(function.lines for function in code.functions),
    "lines of a function, most": lambda code: most(function.lines for function in code.functions),
    "complexity, 95 %": lambda code: nearly_most(code.complexities()),
    "complexity, most": lambda code: most(code.complexities()),
    "nesting, most": lambda code: most(code.nestings()),
    "lines of a class, most": lambda code: most(map(span, code.classes)),
    "methods of a class, most": lambda code: most(
        sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in kind.body) for kind in code.classes
    ),
    "lines with a comment, %": lambda code: 100 * code.comments() / code.filled_lines,
    "lines of docstrings, %": lambda code: 100 * code.docstring_lines() / code.filled_lines,
    "parameters with a type, %": lambda code: share(code.typed()),
    "keyword-only functions, %": lambda code: share(code.keyword_only()),
    "positional booleans / 1,000": lambda code: 1000 * code.count("FBT001", "FBT002") / code.lines,
    "broad excepts": lambda code: code.count("BLE001"),
    "Any / 1,000": lambda code: 1000 * code.anys() / code.lines,
    "lines of tests to those of code": lambda code: sum(module.lines for module in code.tests) / code.lines,
    "mocks / test": lambda code: code.mocks() / max(code.test_functions(), 1),
    "groups of circular imports": lambda code: code.circles(),
}


def take(code: Code) -> dict[str, float]:
    """Return what each row of the table says of this code."""
    return {row.name: TAKEN[row.name](code) for row in ROWS}


def shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}".rstrip("0").rstrip(".")


def line_of(row: Row, here: float) -> str:
    """Write one row: worse than all of the models, else whether it is what we aim at."""
    verdict = "WORSE" if row.is_worse_than_all(here) else "" if row.is_aim(here) else "*"
    low, high = row.aim
    aim = f"{'' if low is None else shown(low)}..{'' if high is None else shown(high)}"
    return f"{row.name:32}{shown(here):>7} {verdict:6}{aim:>9}" + "".join(
        f"{shown(figure):>{len(model) + 2}}" for model, figure in zip(MODELS, row.models, strict=True)
    )


def table(code: Code) -> Iterator[str]:
    """Yield the lines of the whole table."""
    figures = take(code)
    yield f"{len(code.package)} files of {code.lines:,} lines; {code.test_functions():,} tests"
    yield f"{'':32}{'here':>7} {'':6}{'aim':>9}" + "".join(f"  {model}" for model in MODELS)
    yield from (line_of(row, figures[row.name]) for row in ROWS)
    yield f"*: not what this project aims at. Worse than every model: {', '.join(worse(figures)) or 'nothing'}."


def worse(figures: Mapping[str, float]) -> list[str]:
    """Return the rows in which this code is worse than the worst of the models."""
    return [row.name for row in ROWS if row.is_worse_than_all(figures[row.name])]


def main() -> int:
    code = Code.read()
    print("\n".join(table(code)))  # noqa: T201 - a command prints
    return bool(worse(take(code)))


if __name__ == "__main__":
    sys.exit(main())
