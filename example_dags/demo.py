"""Runs the main job in real Airflow against a local platform, and leaves nothing behind, however it ends.

``make demo`` calls it; ``--data folder`` moves another folder than Airflow's own source. Airflow runs in one process, a
child of this one: it takes an interrupted task for a failed one and goes on, but a demo that is stopped should stop.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow_provider_neuro_buckets.local.child import local_platform
from airflow_provider_neuro_buckets.local.process import dies_with_parent

HERE = Path(__file__).parent
STOPPED = 130
_STOP_SECONDS = 3.0


def main() -> int:
    """Run the demo; returns the exit status."""
    options = _parser().parse_args()
    if options.data is not None and not options.data.is_dir():
        print(f"demo: there is no folder {options.data}. Pass another: make demo DATA=folder")
        return 2
    if options.inside:
        return _run(options.data)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_once)
    try:
        with tempfile.TemporaryDirectory(prefix="neuro-buckets-demo-") as home:
            os.environ["TMPDIR"] = tempfile.tempdir = home
            print("demo: starting the local platform", flush=True)
            Path(home, "airflow").mkdir()  # Airflow 3.0 does not make it
            with local_platform() as platform:
                return _run_in_child(Path(home), platform.connection, options.data)
    except RuntimeError as error:
        print(f"demo: failed to start: {error}")
        return 1
    except KeyboardInterrupt:
        print("demo: stopped; everything is cleaned up")
        return STOPPED


def _stop_once(*_: object) -> None:
    """Begin to stop; a second signal does not disturb the cleaning."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="Runs the main job against a local platform.")
    parser.add_argument("--data", type=Path, help="folder to move (default: the source of Airflow)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


def _run_in_child(home: Path, connection: str, data: Path | None) -> int:
    command = [sys.executable, __file__, "--inside", *(["--data", str(data.resolve())] if data else [])]
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.api_fastapi=WARNING alembic=WARNING",
        "AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": connection,
    }
    # Ctrl-C is for this process, which then stops the other.
    child = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - nothing in it takes a lock
    )
    try:
        return child.wait()
    finally:
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _run(data: Path | None) -> int:
    """Run the DAG in this process; the environment names the Airflow home and the connection."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print("demo: preparing a fresh Airflow home", flush=True)
    from airflow.utils import db  # noqa: PLC0415 - Airflow reads the environment when it is imported

    db.initdb()
    sys.path.insert(0, str(HERE))
    from neuro_buckets_main_job import dag  # type: ignore[import-not-found]  # noqa: PLC0415 - found beside this file

    print("demo: running the DAG", flush=True)
    begun = time.monotonic()
    run = _runnable(dag).test(run_conf={"data": str(data)} if data else None)
    return _conclude(run, time.monotonic() - begun)


def _runnable(dag: Any) -> Any:
    """Return what has the method `test`: in Airflow 3.0.0 that is not the DAG as it is written."""
    if hasattr(dag, "test"):
        return dag
    return import_module("airflow.models.dag").DAG.from_sdk_dag(dag)


def _conclude(run: Any, seconds: float) -> int:
    """Print the table and the verdict."""
    tasks = sorted(run.get_task_instances(), key=lambda task: str(task.start_date))
    print(f"\n{'task':<20}{'state':<12}{'files':>8}{'bytes':>14}{'seconds':>9}{'MB/s':>8}")
    for task in tasks:
        result = _result(task)
        size, took = result.get("bytes"), result.get("seconds", task.duration)
        rate = f"{size / took / 1e6:.1f}" if size and took else ""
        print(
            f"{task.task_id:<20}{task.state or 'not run':<12}{result.get('files', ''):>8}"
            f"{'' if size is None else size:>14}{took or 0:>9.1f}{rate:>8}"
        )
    print(f"{'all':<20}{run.state:<12}{'':>22}{seconds:>9.1f}\n")
    failed = [task.task_id for task in tasks if task.state in {"failed", "up_for_retry"}]
    if run.state != "success" or failed:
        print(f"demo: failed in {', '.join(failed) or 'an unknown step'}; its log is above")
        return 1
    print("demo: ok")
    return 0


def _result(task: Any) -> dict[str, Any]:
    value = task.xcom_pull(task_ids=task.task_id, key="return_value")
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
