"""Which way imports point: each test is a sentence of the layout."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from architecture.source import NAME, Graph

ROOMS = {
    "buckets": {"buckets"},
    "hooks": {"hooks", "buckets"},
    "operators": {"operators", "links", "assets", "hooks", "buckets"},
    "triggers": {"triggers", "hooks", "buckets"},
    "sensors": {"sensors", "operators", "triggers", "hooks", "buckets"},
    "assets": {"assets", "hooks", "buckets"},
    "fs": {"fs", "hooks", "buckets"},
    "links": {"links", "hooks", "buckets"},
    "logs": {"logs", "hooks", "buckets"},
    "bundles": {"bundles", "hooks", "buckets"},
    "cli": {"cli", "hooks", "buckets"},
    "local": {"local", "buckets"},
    "get_provider_info": {"get_provider_info"},
    "__init__": {"get_provider_info"},
}
"""Each room, and the rooms that its modules may import."""

LEVELS = [
    {"models", "errors", "uri"},
    {"retry", "credentials", "failures", "http"},
    {"platform", "transfer", "stores"},
    {"client"},
    {"sharding"},
]
"""Inside `buckets`, from the bottom up: none imports what is beside or above it, but its own parts."""

CONTRACT = {f"{NAME}.buckets.stores.{name}" for name in ("base", "checksums", "crc")}
"""What a store must do, and tell: everything above the stores knows this, and no store."""

AT_THE_BOTTOM = {"yarl"}
"""What the values and errors may use besides the standard library."""


def room(module: str) -> str:
    return f"{module}.".removeprefix(f"{NAME}.").partition(".")[0] or "__init__"


def part(module: str) -> str:
    return module.removeprefix(f"{NAME}.buckets").strip(".").partition(".")[0]


def test_there_is_a_rule_for_every_room(graph: Graph) -> None:
    assert {room(module) for module in graph} <= ROOMS.keys()


@pytest.mark.parametrize("here", ROOMS)
def test_a_room_imports_only_rooms_below_it(graph: Graph, here: str) -> None:
    wrong = {
        (module, other)
        for module, others in graph.items()
        for other in others
        if room(module) == here and room(other) not in ROOMS[here]
    }
    assert not wrong


def test_no_imports_go_in_a_circle(graph: Graph) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_buckets_implementation_knows_no_airflow(foreign: Graph) -> None:
    assert not [module for module, names in foreign.items() if room(module) == "buckets" and "airflow" in names]


def test_only_the_rooms_that_face_airflow_know_it(foreign: Graph) -> None:
    facing = {"hooks", "operators", "sensors", "triggers", "assets", "fs", "links", "logs", "bundles", "cli"}
    assert {room(module) for module, names in foreign.items() if "airflow" in names} <= facing


@pytest.mark.parametrize("height", range(1, len(LEVELS)))
def test_a_level_of_the_implementation_imports_only_what_lies_below_it(graph: Graph, height: int) -> None:
    here, above = LEVELS[height], set().union(*LEVELS[height:])
    wrong = {
        (module, other)
        for module, others in graph.items()
        for other in others - CONTRACT
        if room(module) == "buckets" and part(module) in here
        if part(other) in above and part(other) != part(module)
    }
    assert not wrong


def test_values_errors_and_addresses_import_nothing_else(graph: Graph, foreign: Graph) -> None:
    for module in (f"{NAME}.buckets.{name}" for name in LEVELS[0]):
        assert {part(other) for other in graph[module]} <= LEVELS[0]
        assert foreign[module] <= sys.stdlib_module_names | AT_THE_BOTTOM


def test_the_local_platform_shares_only_values_errors_and_addresses_with_the_client(graph: Graph) -> None:
    """Otherwise it could not tell when the client is wrong. What starts it also hands out a configuration for it."""
    shared = {(module, other) for module, others in graph.items() for other in others if room(module) == "local"}
    assert {
        (module, other) for module, other in shared if room(other) == "buckets" and part(other) not in LEVELS[0]
    } <= {(f"{NAME}.local.child", f"{NAME}.buckets")}


def test_nothing_but_what_starts_it_knows_the_local_platform(graph: Graph) -> None:
    assert not [
        (module, other)
        for module, others in graph.items()
        for other in others
        if room(other) == "local" and room(module) != "local"
    ]


def test_a_store_of_one_provider_knows_no_other_provider(graph: Graph) -> None:
    providers = {"s3", "azure", "gcs"}

    def provider(module: str) -> str | None:
        _, stores, name = module.rpartition(".stores.")
        return next((name for name in [name.partition("_")[0]] if stores and name in providers), None)

    assert not [
        (module, other)
        for module, others in graph.items()
        for other in others
        if provider(module) and provider(other) and provider(module) != provider(other)
    ]
