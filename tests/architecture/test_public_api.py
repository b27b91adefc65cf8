"""Every public name is used in `public_api`, which mypy checks, and is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from airflow_provider_neuro_buckets import buckets, get_provider_info
from airflow_provider_neuro_buckets.buckets import Buckets, sharding
from airflow_provider_neuro_buckets.hooks.blocking import BlockingFace
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from architecture.source import NAME, Module

USES = Path(__file__).with_name("public_api.py")
ROOMS = ("hooks", "operators", "sensors", "triggers")
JOBS = ("Hook", "Operator", "Sensor", "Trigger")
PARAMETER = re.compile(r":param (\w+):")


def listed() -> list[type]:
    """Return the classes that are no bases, of the modules that Airflow is told of."""
    info = get_provider_info()
    found = [
        kind
        for room in ROOMS
        for integration in info[room]
        for module in integration["python-modules"]
        for kind in vars(importlib.import_module(module)).values()
        if inspect.isclass(kind) and kind.__module__ == module and kind.__name__.endswith(JOBS)
    ]
    return [kind for kind in found if not kind.__name__.startswith("_") and not any(kind in k.__bases__ for k in found)]


def methods_of(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


PUBLIC = {
    *buckets.__all__,
    *sharding.__all__,
    *methods_of(Buckets),
    *(kind.__name__ for kind in listed()),
    *methods_of(NeuroBucketsHook),
    *methods_of(BlockingFace),
    *("bucket_sync_group", "BlobFileSystem", "BlobPath", "RunningPlatform", "neuro_buckets_local", "local_platform"),
}


def used() -> set[str]:
    """Return every name that `public_api` uses, beyond importing it."""
    nodes = list(ast.walk(ast.parse(USES.read_text("utf-8"))))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names | attributes | {node.arg for node in nodes if isinstance(node, ast.arg)}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_used_where_types_are_checked(name: str) -> None:
    assert name in used()


@pytest.mark.parametrize("name", sorted(buckets.__all__))
def test_each_public_class_and_function_of_the_client_is_documented(name: str) -> None:
    found = getattr(buckets, name)
    if inspect.isclass(found) or isinstance(found, FunctionType):
        assert own_docstring(found)


@pytest.mark.parametrize("kind", listed(), ids=lambda kind: kind.__name__)
def test_each_job_documents_what_it_takes(kind: type) -> None:
    """What a base takes is documented there."""
    own = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs", "waiting"}  # type: ignore[misc]  # of a class, not of an object
    told = own_docstring(kind)
    missing = {name for name in own if not re.search(rf":param {name}:|`{name}`", told)}
    assert not missing


def test_docstrings_speak_of_parameters_that_there_are(package: list[Module]) -> None:
    wrong = [
        (f"{module.name}.{function.name}", name)
        for module in package
        for function in module.functions()
        for name in PARAMETER.findall(ast.get_docstring(function.node) or "")
        if name not in {parameter.arg for parameter in function.parameters}
    ]
    assert not wrong


def test_docstrings_of_classes_speak_of_parameters_that_there_are(package: list[Module]) -> None:
    wrong = [
        (f"{module.name}.{kind.name}", name)
        for module in package
        for kind in module.tree.body
        if isinstance(kind, ast.ClassDef)
        for name in PARAMETER.findall(ast.get_docstring(kind) or "")
        if name not in taken(getattr(importlib.import_module(module.name), kind.name))
    ]
    assert not wrong


def taken(kind: type) -> set[str]:
    """Return what a class is made with, as its constructor and those of its bases take it."""
    constructors = [vars(base)["__init__"] for base in inspect.getmro(kind)[:-1] if "__init__" in vars(base)]
    return {name for one in constructors for name in inspect.signature(one).parameters}


def own_docstring(found: Any) -> str:
    """Return a docstring that is not the one of a base, nor the one that makes a dataclass show its fields."""
    text = found.__doc__ or ""
    assert not text.startswith(f"{found.__name__}("), f"{found.__name__} of {NAME} has no docstring of its own"
    return text
