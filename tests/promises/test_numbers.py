"""No promise without a test: each number of a decision or a pitfall is in the name of at least one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHARED = Path(__file__).parents[2].parent / "shared"
#: Where the promises are numbered, if that stands beside this checkout, and how many there were last.
PROMISES = {
    "decision": (SHARED / "design" / "decisions.md", "", 22),
    "pitfall": (SHARED / "spec" / "wire-protocol.md", "## 7. PITFALLS", 20),
}
_NAME = re.compile(r"test_(decision|pitfall)_(\d\d)_\w+")
_NUMBER = re.compile(r"^(\d+)\. ", re.MULTILINE)


def promised(kind: str) -> list[int]:
    document, heading, count = PROMISES[kind]
    if not document.exists():
        return list(range(1, count + 1))
    text = document.read_text()
    return [int(number) for number in _NUMBER.findall(text[text.index(heading) :])]


def kept() -> Iterator[tuple[str, int]]:
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or path == Path(__file__):
                continue
            if node.name.startswith("test_"):
                found = _NAME.fullmatch(node.name)
                assert found, f"{path.name}: {node.name} says for no promise what it is about"
                yield found[1], int(found[2])


@pytest.mark.parametrize("kind", PROMISES)
def test_every_promise_has_a_test_of_its_number_and_every_number_is_a_promise(kind: str) -> None:
    numbers = promised(kind)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= PROMISES[kind][2]
    assert {number for of, number in kept() if of == kind} == set(numbers)
