from __future__ import annotations

import ast

import pytest

from architecture.source import NAME, PACKAGE, Graph, Module, graph_of, imported, modules


@pytest.fixture(scope="session")
def package() -> list[Module]:
    return modules(PACKAGE)


@pytest.fixture(scope="session")
def trees(package: list[Module]) -> dict[str, ast.Module]:
    return {module.name: module.tree for module in package}


@pytest.fixture(scope="session")
def foreign(trees: dict[str, ast.Module]) -> Graph:
    """The top names of what each module imports from elsewhere."""
    return {module: {name.split(".")[0] for name in imported(tree)} - {NAME} for module, tree in trees.items()}


@pytest.fixture(scope="session")
def graph(trees: dict[str, ast.Module]) -> Graph:
    """Which of our modules each of our modules imports."""
    return graph_of(trees)
