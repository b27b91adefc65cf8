"""No module and no function is longer than a reader holds in mind, but for those that say why."""

from __future__ import annotations

from architecture.source import NAME, Module

LONGEST_MODULE = 350
LONGEST_FUNCTION = 60

LONGER = {
    f"{NAME}.buckets.client": "one class with the reference's signatures and their promises, and hardly any code",
    f"{NAME}.operators.groups.bucket_sync_group": "two thirds are its parameters, the rest the tasks in their order",
}
"""Each module or function that is longer, and why that reads better than its parts would."""


def too_long(package: list[Module]) -> set[str]:
    return {module.name for module in package if module.lines > LONGEST_MODULE} | {
        f"{module.name}.{function.name}"
        for module in package
        for function in module.functions()
        if function.lines > LONGEST_FUNCTION
    }


def test_modules_and_functions_are_short(package: list[Module]) -> None:
    assert not too_long(package) - LONGER.keys()


def test_whatever_is_said_to_be_longer_is(package: list[Module]) -> None:
    """An exception that is not needed any more would hide the next long module of that name."""
    assert not LONGER.keys() - too_long(package)


def test_a_module_that_is_longer_says_so_itself(package: list[Module]) -> None:
    for module in package:
        assert ("Longer than our modules are" in module.text) == (module.name in LONGER), module.name
