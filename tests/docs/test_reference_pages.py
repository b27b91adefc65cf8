"""The reference has everything that DAGs are written with, and says of it what a reader needs."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from airflow_provider_neuro_buckets import get_provider_info
from docs.pages import DOCS, anchors_of

INFO = get_provider_info()
REFERENCE = DOCS / "reference"


def classes(kind: str) -> list[type]:
    """Return the public classes in the modules of a kind, as Airflow is told of them."""
    names = [name for group in INFO[kind] for name in group["python-modules"]]
    return [
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value) and value.__module__ == name and value.__name__[0] != "_"
    ]


def is_base(kind: type) -> bool:
    return (inspect.getdoc(kind) or "").startswith("Base of")


DONE = [kind for kind in (*classes("operators"), *classes("sensors")) if not is_base(kind)]


@pytest.mark.parametrize("kind", DONE, ids=lambda kind: kind.__name__)
def test_a_docstring_says_parameters_xcom_and_errors(kind: type) -> None:
    said = inspect.getdoc(kind) or ""
    takes = set(inspect.signature(vars(kind)["__init__"]).parameters) if "__init__" in vars(kind) else set()
    assert takes - {"self", "kwargs"} <= set(re.findall(r":param (\w+):", said))
    assert "\nXCom: " in said
    assert ":raises " in said


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_each_has_a_heading_of_its_own(kind: str) -> None:
    names = {found.__name__ for found in classes(kind) if not is_base(found)}
    assert {name.lower() for name in names} <= anchors_of(REFERENCE / f"{kind}.md")
    shown = set(re.findall(r"autoclass:: (?:[\w.]*\.)?(\w+)", (REFERENCE / f"{kind}.md").read_text()))
    assert names <= shown


def test_each_trigger_is_shown() -> None:
    shown = set(re.findall(r"autoclass:: (?:[\w.]*\.)?(\w+)", (REFERENCE / "triggers.md").read_text()))
    assert {found.__name__ for found in classes("triggers")} <= shown
