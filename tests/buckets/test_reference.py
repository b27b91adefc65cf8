"""Every name of the API reference is there, with its parameters and their defaults (decision 1)."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets import buckets
from airflow_provider_neuro_buckets.buckets import Bucket, BucketEntry, Buckets
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from reference.derive import TABLE, TEXT, derive

REFERENCE: dict[str, Any] = json.loads(TABLE.read_text())
METHODS: dict[str, Any] = REFERENCE["Buckets"]["methods"]
CLASSES = [name for name in REFERENCE if name not in {"Buckets", "Bucket.Provider"}]

#: Required by the text of the reference, and optional in the code of its own time (wire protocol 1.3) and here.
OPTIONAL_HERE = {("create", "name"), ("persistent_credentials_create", "name")}
#: Ours, keyword-only, beyond the reference.
BEYOND = {"org_name", "project_name", "force", "symlinks", "continue_", "tries", "dry_run", "progress"}
MOST_POSITIONAL = {"import_external": 3, "put_blob": 3}


def documented(name: str) -> dict[str, str | None]:
    """Return parameters and defaults of a method, as the reference writes them."""
    parts = [part.partition("=") for part in METHODS[name]["parameters"] if part != "*"]
    return {name: default if equals else None for name, equals, default in parts}


def parameters(owner: type, name: str) -> dict[str, inspect.Parameter]:
    return {key: it for key, it in inspect.signature(getattr(owner, name)).parameters.items() if key != "self"}


def positional(owner: type, name: str) -> list[str]:
    return [key for key, it in parameters(owner, name).items() if it.kind is it.POSITIONAL_OR_KEYWORD]


@pytest.mark.skipif(not TEXT.exists(), reason="the text of the reference is not beside this checkout")
def test_the_table_is_what_the_text_of_the_reference_says() -> None:
    assert derive(TEXT.read_text()) == REFERENCE


def test_the_table_is_not_empty() -> None:
    assert len(METHODS) == 25
    assert sum(len(REFERENCE[name].get("attributes", [])) for name in CLASSES) == 26


@pytest.mark.parametrize("owner", [Buckets, NeuroBucketsHook])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_every_parameter_with_its_default(owner: type, name: str) -> None:
    ours = parameters(owner, name)
    for parameter, default in documented(name).items():
        if default is not None:
            value = frozenset() if default == "frozenset()" else ast.literal_eval(default)
            assert ours[parameter].default == value
        elif (name, parameter) in OPTIONAL_HERE:
            assert ours[parameter].default is None
        else:
            assert ours[parameter].default is inspect.Parameter.empty
    assert set(ours) - set(documented(name)) <= BEYOND


@pytest.mark.parametrize("owner", [Buckets, NeuroBucketsHook])
@pytest.mark.parametrize("name", METHODS)
def test_the_nouns_come_in_the_order_of_the_reference_and_all_else_goes_by_its_name(owner: type, name: str) -> None:
    nouns = positional(owner, name)
    assert nouns == list(documented(name))[: len(nouns)]
    assert 1 <= len(nouns) <= MOST_POSITIONAL.get(name, 2)


@pytest.mark.parametrize("name", METHODS)
def test_what_yields_in_the_reference_yields_here_and_what_is_awaited_is_awaited(name: str) -> None:
    method = inspect.unwrap(getattr(Buckets, name))
    assert inspect.isasyncgenfunction(method) is (METHODS[name]["kind"] == "stream")
    assert inspect.iscoroutinefunction(method) is (METHODS[name]["kind"] == "coroutine")


@pytest.mark.parametrize("name", METHODS)
def test_the_hook_has_the_method_with_the_same_signature_and_blocks(name: str) -> None:
    twin = getattr(NeuroBucketsHook, name)
    assert inspect.signature(twin) == inspect.signature(getattr(Buckets, name))
    assert not inspect.iscoroutinefunction(twin)
    assert twin.__doc__ == getattr(Buckets, name).__doc__


@pytest.mark.parametrize("name", [name for name in METHODS if "bucket_owner" in documented(name)])
def test_who_takes_an_owner_also_takes_an_org_and_a_project(name: str) -> None:
    for parameter in ("org_name", "project_name"):
        found = parameters(Buckets, name)[parameter]
        assert (found.kind, found.default) == (inspect.Parameter.KEYWORD_ONLY, None)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_its_attributes_and_is_read_only(name: str) -> None:
    kind = getattr(buckets, name)
    fields = {field.name for field in dataclasses.fields(kind)}
    properties = {key for key, value in inspect.getmembers(kind) if isinstance(value, property)}
    assert set(REFERENCE[name].get("attributes", [])) <= fields | properties
    for method, facts in REFERENCE[name].get("methods", {}).items():
        assert list(parameters(kind, method)) == facts["parameters"]
    assert kind.__dataclass_params__.frozen


def test_the_providers_of_the_reference_are_members() -> None:
    assert {member: Bucket.Provider[member] for member in REFERENCE["Bucket.Provider"]["members"]} == {
        "AWS": "aws",
        "MINIO": "minio",
        "AZURE": "azure",
    }


def test_blobs_and_common_prefixes_are_bucket_entries() -> None:
    assert issubclass(buckets.BlobObject, BucketEntry)
    assert issubclass(buckets.BlobCommonPrefix, BucketEntry)


def test_every_public_name_loads_and_type_checkers_see_the_same_names() -> None:
    for name in buckets.__all__:
        assert getattr(buckets, name).__module__.startswith((buckets.__name__, "types", "typing"))
    tree = ast.parse(Path(str(buckets.__file__)).read_text())
    seen = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted({*seen} - {"TYPE_CHECKING", "Any", "annotations"}) == buckets.__all__ == dir(buckets)


def test_a_name_that_is_not_public_is_refused_like_any_missing_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = buckets.Nope
