"""No call says `True` or `False` without a name beside it, but where somebody else has fixed the signature."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest

from architecture.source import NAME, Function, Module

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "api.json").read_text())
FSSPEC = f"{NAME}.fs."
CALLBACKS = {f"{NAME}.hooks.loop.LoopThread._begin": "call_soon_threadsafe passes no keywords"}


def flags(function: Function) -> list[str]:
    """Return the parameters that can be passed a truth value by position."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    defaults = dict(zip((argument.arg for argument in positional[without:]), arguments.defaults, strict=True))
    return [argument.arg for argument in function.positional if is_flag(argument, defaults.get(argument.arg))]


def is_flag(argument: ast.arg, default: ast.expr | None) -> bool:
    annotated = "" if argument.annotation is None else ast.unparse(argument.annotation)
    return "bool" in annotated.split(" | ") or (isinstance(default, ast.Constant) and isinstance(default.value, bool))


def flagged(package: list[Module]) -> dict[str, list[str]]:
    return {
        f"{module.name}.{function.name}": found
        for module in package
        for function in module.functions()
        if (found := flags(function))
    }


def by_position_in_the_reference(name: str, flag: str) -> bool:
    """Whether the API reference has this parameter before the ``*`` of a method of its client."""
    kind, _, method = name.removeprefix(f"{NAME}.buckets.client.").partition(".")
    found = REFERENCE[kind]["methods"][method]["parameters"] if kind in REFERENCE else []
    return flag in {text.partition("=")[0] for text in found[: found.index("*") if "*" in found else None]}


def by_position_in_fsspec(name: str, flag: str) -> bool:
    """Whether a class of fsspec, which ours extends, calls this method with the parameter by position."""
    module, _, rest = name.rpartition(".")
    module, _, kind = module.rpartition(".")
    bases = inspect.getmro(getattr(importlib.import_module(module), kind))
    theirs = [
        vars(base)[called]
        for base in bases
        for called in (rest, rest.removeprefix("_"))  # fsspec makes the blocking one of the other
        if base.__module__.startswith("fsspec.") and called in vars(base)
    ]
    parameters = [inspect.signature(method).parameters.get(flag) for method in theirs]
    return any(found and found.kind is found.POSITIONAL_OR_KEYWORD for found in parameters)


def test_a_flag_has_its_name_wherever_it_is_passed(package: list[Module]) -> None:
    wrong = {
        (name, flag)
        for name, found in flagged(package).items()
        for flag in found
        if name not in CALLBACKS
        and not (name.startswith(f"{NAME}.buckets.client.") and by_position_in_the_reference(name, flag))
        and not (name.startswith(FSSPEC) and by_position_in_fsspec(name, flag))
    }
    assert not wrong


def test_whatever_is_called_without_keywords_still_takes_a_flag(package: list[Module]) -> None:
    assert CALLBACKS.keys() <= flagged(package).keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(a: bool): ...", ["a"]),
        ("def f(a: str, b: bool | None = None): ...", ["b"]),
        ("def f(a=True): ...", ["a"]),
        ("def f(*, a: bool = True): ...", []),
        ("def f(a: int = 1): ...", []),
        ("def f(a: Callable[[str], bool]): ...", []),
        ("class A:\n def f(self, a: bool, /): ...", ["a"]),
    ],
)
def test_flags_are_found(text: str, expected: list[str]) -> None:
    (function,) = Module(name="m", text=text, tree=ast.parse(text)).functions()
    assert flags(function) == expected
