"""The blocking face of the hook, beside the client that it was generated from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from airflow_here import BaseHook
from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook


def public(kind: type) -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


METHODS = sorted(public(Buckets))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_client_has_a_blocking_twin(name: str) -> None:
    method, twin = getattr(Buckets, name), getattr(NeuroBucketsHook, name)
    assert twin.__name__ == name
    assert inspect.signature(twin) == inspect.signature(method)
    assert inspect.getdoc(twin) == inspect.getdoc(method)
    assert inspect.getdoc(twin)
    assert not inspect.iscoroutinefunction(inspect.unwrap(twin))
    assert not inspect.isasyncgenfunction(inspect.unwrap(twin))


@pytest.mark.parametrize("name", METHODS)
def test_no_twin_hides_something_of_airflows_own_hook(name: str) -> None:
    assert not hasattr(BaseHook, name)
