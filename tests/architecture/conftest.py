from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_neuro_buckets

NAME = airflow_provider_neuro_buckets.__name__
PACKAGE = Path(airflow_provider_neuro_buckets.__file__).parent

Graph = dict[str, set[str]]
"""Whom each module imports, anywhere in it: at its top, inside functions, and for the type checker."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that import statements name; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from submodules
            yield node.module


@pytest.fixture(scope="session")
def trees() -> dict[str, ast.Module]:
    return {module_name(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


@pytest.fixture(scope="session")
def foreign(trees: dict[str, ast.Module]) -> Graph:
    """The top names of what each module imports from elsewhere."""
    return {module: {name.split(".")[0] for name in imported(tree)} - {NAME} for module, tree in trees.items()}


@pytest.fixture(scope="session")
def graph(trees: dict[str, ast.Module]) -> Graph:
    """Which of our modules each of our modules imports."""
    return {module: _own(trees, tree) for module, tree in trees.items()}


def _own(trees: dict[str, ast.Module], tree: ast.Module) -> set[str]:
    names = {name for name in imported(tree) if name in trees}
    # `from a import b` means the module a.b where there is one, and a otherwise.
    packages = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and all(f"{node.module}.{alias.name}" in trees for alias in node.names)
    }
    return names - packages
