"""Which rigs there are: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from typing import cast

from conformance.rigs.base import Server

#: Module and a function that starts its server for the time of a block.
RIGS: Mapping[str, str] = {
    "aws": "aws:serve",
    "azure": "azure:serve",
    "gcp": "gcp:serve",
    "seaweedfs": "seaweedfs:serve",
}


class Servers:
    """The servers of one test process: each starts when the first test asks for it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Server] = {}

    def running(self, name: str) -> Server:
        """Return the server of a rig."""
        if name not in self._running:
            module, _, function = RIGS[name].partition(":")
            serve = getattr(import_module(f"conformance.rigs.{module}"), function)
            start = cast("Callable[[], AbstractContextManager[Server]]", serve)
            self._running[name] = self._stack.enter_context(start())
        return self._running[name]
