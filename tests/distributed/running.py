"""Airflow on several workers: CeleryExecutor, a real Redis, and every component in processes of its own."""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote

from airflow_running import GLANCE_SECONDS, PATIENCE_SECONDS, RunningAirflow, kill
from distributed.redis_server import redis
from distributed.worker_name import VARIABLE, worker_name

TESTS = Path(__file__).parents[1]
HEARTBEAT_TIMEOUT = 20
"""Seconds after which Airflow takes a task for lost whose worker says nothing. It asks to be told every second."""


class Distributed(RunningAirflow):
    """A running Airflow with workers that can be killed."""

    @classmethod
    @contextmanager
    def running(
        cls, home: Path, settings: Mapping[str, str], *, workers: Sequence[str], concurrency: int
    ) -> Iterator[Self]:
        """Start everything, and wait until all of it is well; leaving the block ends every process of it.

        :param workers: their names, which task instances have as `hostname`.
        :param concurrency: tasks that each of them runs at once.
        """
        with redis(home) as url:
            airflow = cls.at(home, {**_settings(url, concurrency), **settings})
            try:
                migration = airflow.start("db-migrate", "db migrate")
                assert migration.wait() == 0, airflow.said()
                airflow.started.remove(migration)
                for command in ("api-server", "scheduler", "dag-processor"):
                    airflow.start(command, command)
                for name in workers:
                    airflow.start_worker(name)
                airflow.until_well("scheduler", "dag_processor")
                for name in workers:
                    airflow.until(f"the worker {name}", partial(airflow.is_ready, name))
                yield airflow
            finally:
                airflow.stop()

    def start_worker(self, name: str) -> None:
        """Start a worker; `is_ready` tells when it takes tasks."""
        command = f"celery worker --celery-hostname {name} --skip-serve-logs --without-mingle --without-gossip"
        self.start(name, command, **{VARIABLE: name})

    def is_ready(self, name: str) -> bool:
        """Whether a worker has said that it takes tasks."""
        return f"{name} ready" in (self.home / f"{name}.out").read_text(errors="replace")

    def kill_worker(self, name: str) -> None:
        """End a worker and all its tasks at once, as the end of its machine does."""
        process = next(one for one in self.started if name in cast("list[str]", one.args))
        while left := [one for one in self.components() if one.session == process.pid]:
            kill(left)
            time.sleep(GLANCE_SECONDS)
        process.wait()
        self.started.remove(process)

    def run(self, dag_id: str, **conf: Any) -> str:
        """Start a run of a DAG with its params; return its id."""
        self.until(f"the DAG {dag_id}", lambda: self.get(f"/dags/{dag_id}"))
        started = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return str(started["dag_run_id"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return all task instances of a run, each as it is now."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        tasks: list[dict[str, Any]] = self.get(f"{path}?limit=500")["task_instances"]
        return tasks

    def ended(self, dag_id: str, run_id: str, *, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until a run has ended, for so many seconds at most; return its state."""

        def state() -> str | None:
            found = str(self.get(f"/dags/{dag_id}/dagRuns/{quote(run_id)}")["state"])
            return found if found in {"success", "failed"} else None

        return self.until(f"the end of {dag_id}", state, seconds=seconds)

    def until_in(self, dag_id: str, run_id: str, what: str, question: Callable[[], object]) -> None:
        """Wait for something in a run; fails if that ends first."""

        def ask() -> bool:
            state = self.get(f"/dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]
            assert state in {"queued", "running"}, f"the run has ended ({state}) before {what}\n{self.said()}"
            return bool(question())

        self.until(what, ask)

    def log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> str:
        """Return what the last try of a task has written."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self.get(f"{path}?full_content=true&map_index={task['map_index']}")["content"]
        return "\n".join(str(line["event"]) for line in content)


def _settings(redis_url: str, concurrency: int) -> dict[str, str]:
    """Return what its processes have to agree on, and how soon a lost task is missed."""
    return {
        "PYTHONPATH": str(TESTS),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CELERY__BROKER_URL": f"{redis_url}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{redis_url}/1",
        "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(concurrency),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{worker_name.__module__}.{worker_name.__name__}",
        "AIRFLOW__CORE__PARALLELISM": "32",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
