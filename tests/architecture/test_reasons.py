"""Whoever switches a check off says why, beside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest

from architecture.source import ROOT, Module, modules

FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["files"]
SWITCHES = re.compile(r"#\s*(ruff:\s*)?noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?|#\s*type:\s*ignore(\[[\w, -]+\])?")
WORD = re.compile(r"[A-Za-z]{2}")
#: Where pyproject.toml lists what is not checked: from the line that matches to the next table.
EXCEPTIONS = (
    "[tool.ruff.lint]",
    "[tool.ruff.lint.per-file-ignores]",
    "untyped_calls_exclude = [",
    "[[tool.mypy.overrides]]",
)


def without_reason(comment: str) -> bool:
    """Whether a comment switches something off, and says nothing else."""
    return bool(SWITCHES.search(comment)) and not WORD.search(SWITCHES.sub("", comment))


def parts_of_pyproject() -> Iterator[tuple[str, list[str]]]:
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        if line in EXCEPTIONS:
            end = next((later for later in range(at + 1, len(lines)) if lines[later].startswith("[")), len(lines))
            yield line, [text for text in lines[at + 1 : end] if text.strip()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_whatever_is_switched_off_in_the_code_has_a_reason(folder: str) -> None:
    read: list[Module] = modules(ROOT / folder)
    assert read
    bare = [
        f"{module.name}:{comment.start[0]} {comment.string}"
        for module in read
        for comment in module.comments()
        if without_reason(comment.string)
    ]
    assert not bare


@pytest.mark.parametrize("where", EXCEPTIONS)
def test_whatever_is_switched_off_in_pyproject_has_a_reason(where: str) -> None:
    found = [lines for name, lines in parts_of_pyproject() if name == where]
    assert found
    for lines in found:
        if where == "[[tool.mypy.overrides]]":
            assert any("#" in line for line in lines), lines
        else:
            bare = [line for line in lines if re.match(r'\s+"|.*= \["', line) and "#" not in line]
            assert not [line for line in bare if "select" not in line]


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# noqa: S603", True),
        ("# noqa", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore[misc, index]", True),
        ("# type: ignore[misc]  # noqa: ANN001, ANN204", True),
        ("# noqa: S603 - our own program", False),
        ("# type: ignore[arg-type]  # by name", False),
        ("# ruff: noqa: I001 - a list to read", False),
        ("# nothing is switched off", False),
    ],
)
def test_a_reason_is_more_than_the_switch(comment: str, bare: bool) -> None:  # noqa: FBT001 - an expectation
    assert without_reason(comment) is bare
