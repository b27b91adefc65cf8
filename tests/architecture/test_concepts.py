"""One class for each concept: a name means one thing in a room, and a module has one class that does something."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

import pytest

from architecture.source import NAME, Module

VALUES = {"NamedTuple", "Enum", "StrEnum", "IntEnum", "Protocol", "TypedDict"}
"""Bases of classes that are or describe a value."""

TOGETHER = {
    "buckets.transfer.copying": "a copy, and what it remembers of the services that refused",
    "buckets.transfer.local": "the two ends of a local transfer, which share how a folder is opened",
    "buckets.transfer.placing": "the tree of names, and the files that wait until it is known",
    "buckets.transfer.window": "a window is two meters",
    "fs.writing": "the layers of one open file",
    "hooks.blocking": "the face, and the client that it keeps open",
    "hooks.loop": "a loop, and a call on its way through it",
    "hooks.progress": "the lines of a task's log, for what moves and for what is deleted",
}
"""Modules with several classes that do something and have no base in common, and what keeps them together."""


def room(module: Module) -> str:
    return module.name.removeprefix(f"{NAME}.").partition(".")[0]


def public(module: Module) -> list[ast.ClassDef]:
    return [node for node in module.tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def bases(kind: ast.ClassDef) -> set[str]:
    """Return the last names of what a class extends, without parameters."""
    return {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in kind.bases} - {"Generic", "ABC"}


def is_value(kind: ast.ClassDef) -> bool:
    """Whether a class only holds or describes something: frozen, an enumeration, a protocol, an error."""
    decorators = [ast.unparse(decorator) for decorator in kind.decorator_list]
    is_error = any(base.endswith(("Error", "Exception", "Unavailable")) for base in bases(kind))
    return bool(bases(kind) & VALUES) or is_error or any("frozen=True" in text for text in decorators)


def families(kinds: list[ast.ClassDef]) -> int:
    """Count the groups of classes of which each shares with another a base, or what its name ends in: ``…Operator``."""
    groups: list[set[str]] = []
    for kind in kinds:
        role = re.findall("[A-Z][a-z0-9]*", kind.name)[-1:]
        kin = {kind.name, *role, *bases(kind)}
        near = [group for group in groups if group & kin]
        groups = [group for group in groups if group not in near] + [kin.union(*near)]
    return len(groups)


def test_a_name_means_one_thing_in_a_room(package: list[Module]) -> None:
    homes = defaultdict(list)
    for module in package:
        for kind in public(module):
            homes[room(module), kind.name].append(module.name)
    assert not {name: found for name, found in homes.items() if len(found) > 1}


def crowded(package: list[Module]) -> set[str]:
    return {
        module.name.removeprefix(f"{NAME}.")
        for module in package
        if families([kind for kind in public(module) if not is_value(kind)]) > 1
    }


def test_a_module_has_one_class_that_does_something_or_one_family(package: list[Module]) -> None:
    assert not crowded(package) - TOGETHER.keys()


def test_whatever_is_said_to_stand_together_does(package: list[Module]) -> None:
    assert not TOGETHER.keys() - crowded(package)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class A: ...\nclass B: ...", 2),
        ("class A: ...\nclass B(A): ...", 1),
        ("class AnOperator: ...\nclass AnotherOperator: ...", 1),
        ("class A(Operator): ...\nclass B(base.Operator): ...", 1),
        ("class A(Generic[T]): ...\nclass B(Generic[T]): ...", 2),
        ("class A(X): ...\nclass B(Y): ...\nclass C(X, Y): ...", 1),
    ],
)
def test_families_are_found(text: str, expected: int) -> None:
    assert families(public(Module(name="m", text=text, tree=ast.parse(text)))) == expected
