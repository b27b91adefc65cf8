"""The package as text: its modules, classes and functions, and whom they import. Nothing of it is run."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import airflow_provider_neuro_buckets

NAME = airflow_provider_neuro_buckets.__name__
PACKAGE = Path(airflow_provider_neuro_buckets.__file__).parent
ROOT = PACKAGE.parent

Graph = dict[str, set[str]]
"""Whom each module imports, anywhere in it: at its top, inside functions, and for the type checker."""
Callable = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function or method. `name` is dotted, from the top of its module."""

    name: str
    node: Callable
    owner: ast.Module | ast.ClassDef | Callable

    @property
    def lines(self) -> int:
        """How long it is, from `def` to its last line, docstring included."""
        return span(self.node)

    @property
    def is_public(self) -> bool:
        return not isinstance(self.owner, Callable) and not any(part.startswith("_") for part in self.name.split("."))

    @property
    def positional(self) -> list[ast.arg]:
        """What can be passed by position, but for `self` and `cls`."""
        arguments = [*self.node.args.posonlyargs, *self.node.args.args]
        decorators = {ast.unparse(decorator) for decorator in self.node.decorator_list}
        return arguments[1:] if isinstance(self.owner, ast.ClassDef) and "staticmethod" not in decorators else arguments

    @property
    def parameters(self) -> list[ast.arg]:
        """All of them, but for `self` and `cls`."""
        arguments = self.node.args
        return [*self.positional, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file of Python. `name` is dotted, below the folder it was looked for in."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        """Yield every function, also those inside others."""
        yield from _functions(self.tree, "")

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yield every class, also those inside others."""
        yield from (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def comments(self) -> Iterator[tokenize.TokenInfo]:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        yield from (token for token in tokens if token.type == tokenize.COMMENT)


def modules(folder: Path) -> list[Module]:
    """Read every Python file below a folder."""
    return [
        Module(name=_dotted(path.relative_to(folder.parent)), text=text, tree=ast.parse(text))
        for path in sorted(folder.rglob("*.py"))
        for text in [path.read_text("utf-8")]
    ]


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _functions(owner: ast.AST, prefix: str) -> Iterator[Function]:
    for node in _scope(owner):
        name = f"{prefix}{node.name}"
        if isinstance(node, Callable):
            assert isinstance(owner, ast.Module | ast.ClassDef | Callable)
            yield Function(name=name, node=node, owner=owner)
        yield from _functions(node, f"{name}.")


def _scope(owner: ast.AST) -> Iterator[Callable | ast.ClassDef]:
    """Yield what is defined in a scope itself, under whatever conditions."""
    for node in ast.iter_child_nodes(owner):
        if isinstance(node, Callable | ast.ClassDef):
            yield node
        else:
            yield from _scope(node)


def span(node: ast.expr | ast.stmt) -> int:
    """Return over how many lines a node goes."""
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that import statements name; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def graph_of(trees: dict[str, ast.Module]) -> Graph:
    """Return which of the modules each of them imports."""
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
