"""The reference has everything that DAGs are written with, and says of it what a reader needs."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from airflow_provider_neuro_buckets import buckets, get_provider_info
from airflow_provider_neuro_buckets.buckets import sharding
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


def shown_on(*pages: str) -> set[str]:
    """Return the names that directives on these pages show."""
    text = "".join((REFERENCE / page).read_text() for page in pages)
    names = set(re.findall(r"auto(?:class|function):: (?:[\w.]*\.)?(\w+)", text))
    for module, members in re.findall(r"automodule:: (\S+)\n +:members:((?: [\w, \n]+)?)", text):
        found = vars(importlib.import_module(module))
        names |= set(re.findall(r"\w+", members)) or {
            name for name, value in found.items() if getattr(value, "__module__", None) == module
        }
    return names


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_each_has_a_heading_of_its_own(kind: str) -> None:
    names = {found.__name__ for found in classes(kind) if not is_base(found)}
    assert {name.lower() for name in names} <= anchors_of(REFERENCE / f"{kind}.md")
    assert names <= shown_on(f"{kind}.md")


def test_each_trigger_is_shown() -> None:
    assert {found.__name__ for found in classes("triggers")} <= shown_on("triggers.md")


def test_each_name_of_the_client_is_shown() -> None:
    aliases = {"BlobURI", "Job", "LocalPath"}
    assert not {*buckets.__all__, *sharding.__all__} - aliases - shown_on("client.md", "errors.md")
