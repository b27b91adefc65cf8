"""A worker of Airflow that may be killed: each try of its task is a process."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = [
    "airflow_provider_neuro_buckets.operators.transfers",
    "airflow_provider_neuro_buckets.buckets.client",
    "airflow_provider_neuro_buckets.buckets.opening",
    "airflow_provider_neuro_buckets.buckets.persistent",
    "airflow_provider_neuro_buckets.buckets.stores.s3",
    "airflow_provider_neuro_buckets.buckets.transfer.engine",
    "airflow_provider_neuro_buckets.hooks.buckets",
    __name__,
]
MOST_TRIES = 99


@dataclass
class States:
    """A task state store that outlives the process, as Airflow's does."""

    file: Path

    def _kept(self) -> dict[str, Any]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def _keep(self, kept: dict[str, Any]) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self.file)

    def get(self, key: str, default: Any = None) -> Any:
        return self._kept().get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert retention is None
        self._keep(self._kept() | {key: value})

    def delete(self, key: str) -> None:
        kept = self._kept()
        kept.pop(key, None)
        self._keep(kept)


@dataclass(frozen=True)
class Tried:
    """The task instance of a try."""

    try_number: int
    max_tries: int = MOST_TRIES


def _work(name: str, options: Mapping[str, Any], connection: str, states: Path, try_number: int) -> None:
    os.environ["AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT"] = connection
    from airflow_provider_neuro_buckets.operators import transfers, tries  # noqa: PLC0415 - loaded where it runs

    tries.WRITES_EVERY = 0.01
    operator = getattr(transfers, name)(task_id="t", **options)
    operator.execute({"ti": Tried(try_number), "task_state_store": States(states)})


def start(name: str, options: Mapping[str, Any], *, connection: str, states: Path, try_number: int) -> BaseProcess:
    """Begin a try of an operator in a process of its own."""
    context = multiprocessing.get_context("forkserver")  # which has loaded the modules once
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_work, args=(name, options, connection, states, try_number), daemon=True)
    process.start()
    return process
