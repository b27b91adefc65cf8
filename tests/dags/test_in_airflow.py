"""DAGs in real Airflow: its database, its task runner, its triggers. All in one module: each start of it takes long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.connection import Connection
from airflow.utils import db
from airflow.utils.session import create_session

from platform_rig import Platform, WatchedPlatform, closed_port

pytestmark = [
    # Airflow reads .airflowignore with a name of pathspec's that has a successor.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    # Airflow's in-process API loads a test client that would like another HTTP library.
    pytest.mark.filterwarnings("ignore:Using `httpx` with"),
]

EXAMPLES = Path(__file__).parents[2] / "example_dags"
CASES = Path(__file__).parent / "dag_files" / "neuro_buckets_cases.py"
FILES = {
    "two words": b"1",
    "a+b": b"22",
    "100%": b"333",
    "%20": b"4444",
    "#1": b"",
    "what?": b"6",
    "this & that": b"7",
    'it\'s "so"': b"8",
    "[1]{2}(3)": b"9",
    unicodedata.normalize("NFD", "sub folder/é/") + "日本語 🙂": b"10",
}


LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
BUNDLES = [
    {"name": "examples", "classpath": LOCAL, "kwargs": {"path": str(EXAMPLES)}},
    {"name": "cases", "classpath": LOCAL, "kwargs": {"path": str(CASES.parent)}},
]


@pytest.fixture(scope="module", autouse=True)
def database() -> Iterator[None]:
    """Airflow's database; it finds DAGs in the examples and in the cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(BUNDLES))
        db.initdb()
        yield


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run of a DAG."""

    state: str
    states: dict[str, str]
    tries: dict[str, int]
    results: dict[str, Any]
    said: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a DAG by its id, with its params."""
    dags = {
        dag.dag_id: dag
        for path in (CASES, EXAMPLES / "neuro_buckets_main_job.py", EXAMPLES / "neuro_buckets_publish.py")
        for dag in DagBag(path, bundle_name="any").dags.values()
    }

    def run(dag_id: str, **params: Any) -> Run:
        capfd.readouterr()
        ended = dags[dag_id].test(run_conf=params)
        tasks = ended.get_task_instances()
        return Run(
            state=str(ended.state),
            states={task.task_id: str(task.state) for task in tasks},
            tries={task.task_id: task.try_number for task in tasks},
            results={task.task_id: task.xcom_pull(task_ids=task.task_id, key="return_value") for task in tasks},
            said="".join(capfd.readouterr()),
        )

    return run


# Files


def test_airflow_imports_every_example_without_an_error() -> None:
    bag = DagBag(EXAMPLES, bundle_name="examples")
    assert bag.import_errors == {}
    assert "neuro_buckets_main_job" in bag.dags


# The main job


def test_the_main_job_moves_a_folder_of_hostile_names_and_leaves_nothing(
    run: Any, platform: Platform, tmp_path: Path
) -> None:
    for name, content in FILES.items():
        path = tmp_path / "data #1 & more" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = platform.buckets()
    done = run("neuro_buckets_main_job", data=str(tmp_path / "data #1 & more"), bucket="main-job-test")
    assert done.state == "success", done.said
    assert set(done.states.values()) == {"success"}
    assert done.results["upload"]["files"] == done.results["download"]["files"] == len(FILES)
    assert done.results["compare"] == {"files": len(FILES), "bytes": sum(map(len, FILES.values()))}
    assert platform.buckets() == before
    assert platform.running.token not in done.said


def test_results_are_published_from_one_bucket_to_another(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_publish", staging="publish-a", releases="publish-b", version="v2")
    assert done.state == "success", done.said
    assert done.results["publish"]["files"] == done.results["make_results"] + 1
    assert done.results["publish"]["uri"] == "blob:publish-b/v2/"
    published = {name: done.results["publish"][name] for name in ("files", "bytes")}
    assert done.results["read_release"] == published
    assert platform.buckets() == before


# Bad input


@dataclass(frozen=True, slots=True)
class Bad:
    """A mistake: how the connection differs from a good one, what the params are, and what the task's log must say."""

    says: tuple[str, ...]
    connection: dict[str, Any] | None
    params: dict[str, str]
    retried: bool = False


GOOD: dict[str, Any] = {}
BAD = {
    "a missing source folder": Bad(
        ("no such folder", "Check the path"), GOOD, {"src": "/no such folder"}, retried=True
    ),
    "a bucket that does not exist": Bad(
        ("no-such-bucket", "Check the name"), GOOD, {"bucket": "no-such-bucket"}, retried=True
    ),
    "a wrong token": Bad(("token", "Put a valid token"), {"password": "wrong-token-of-nobody"}, {}),
    "a platform that is not running": Bad(("no connection", "running"), {"host": "closed"}, {}, retried=True),
    "a connection with no host": Bad(("has no host", "Set the host"), {"host": None}, {}),
    "no connection at all": Bad(("no Airflow connection", "Add one of type 'neuro_buckets'"), None, {}),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_ends_in_one_clear_sentence_with_connection_and_remedy(
    run: Any, platform: Platform, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    bad, conn = BAD[mistake], f"bad_{mistake.replace(' ', '_')}"
    (tmp_path / "file").write_bytes(b"1")
    if bad.connection is not None:
        connection = json.loads(platform.running.connection) | bad.connection
        if connection["host"] == "closed":
            connection["host"] = f"http://127.0.0.1:{closed_port()}/api/v1"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn.upper()}", json.dumps(connection))
    done = run("one_upload", **{"conn": conn, "bucket": bucket, "src": str(tmp_path), **bad.params})
    assert done.states == {"upload": "failed"}
    sentences = [line for line in done.said.splitlines() if conn in line and all(word in line for word in bad.says)]
    assert sentences, done.said
    assert done.tries == {"upload": 2 if bad.retried else 1}
    assert platform.keys(bucket) == []
    assert platform.running.token not in done.said
    assert "wrong-token-of-nobody" not in done.said


@pytest.mark.parametrize(("dag_id", "task_id"), [("one_sensor", "wait"), ("one_removal", "remove")])
def test_other_tasks_say_the_same_of_a_bucket_that_does_not_exist(
    run: Any, platform: Platform, dag_id: str, task_id: str
) -> None:
    done = run(dag_id, bucket="no-such-bucket")
    assert done.states == {task_id: "failed"}
    assert any(
        "no-such-bucket" in line and "neuro_buckets_default" in line and "Check the name" in line
        for line in done.said.splitlines()
    ), done.said
    assert platform.running.token not in done.said


# Everything else that Airflow does with a task


def test_a_task_that_airflow_terminates_stops_its_upload_and_leaves_no_part(
    run: Any, watched: WatchedPlatform, tmp_path: Path
) -> None:
    for number in range(8):
        with (tmp_path / f"{number}.bin").open("wb") as file:
            file.truncate(256 * 1024 * 1024)
    before = signal.getsignal(signal.SIGTERM)  # the task runner sets its own, and leaves it
    with watched.fresh_bucket() as bucket:
        killer = Thread(target=terminate_during_upload, args=(watched, bucket))
        killer.start()
        try:
            done = run("long_upload", bucket=bucket, src=str(tmp_path))
        finally:
            killer.join()
            signal.signal(signal.SIGTERM, before)
        assert done.states == {"upload": "failed"}
        assert "upload was stopped; it has cleaned up after itself" in done.said
        assert watched.unfinished(bucket) == []


def terminate_during_upload(watched: WatchedPlatform, bucket: str) -> None:
    """Send this process what Airflow sends a task to end it, as soon as the storage has parts."""
    for _ in range(60 * 20):
        if watched.unfinished(bucket):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        Event().wait(0.05)


def test_a_sensor_gives_the_same_xcom_in_every_mode(run: Any, platform: Platform, bucket: str) -> None:
    done = run("every_mode", bucket=bucket)
    assert set(done.states.values()) == {"success"}, done.said
    assert done.results["deferred"] == done.results["poked"]
    assert done.results["deferred"]["key"] == "deferred"
    assert done.results["rescheduled"]["count"] == 1
    assert sorted(platform.keys(bucket)) == ["deferred", "in/late.csv"]


def test_mapped_operators_and_the_hook_in_tasks_of_every_kind(
    run: Any, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_bytes(name.encode())
    done = run("mapped_and_tasks", bucket=bucket, sources=[str(tmp_path / name) for name in "ab"])
    assert set(done.states.values()) == {"success"}, done.said
    assert done.results["in_a_task"] == ["a.txt", "b.txt", "by a task"]
    assert done.results["in_an_async_task"] == ["a.txt", "b.txt", "by a coroutine", "by a task"]
    assert done.results["blocking_in_an_async_task"] == "content"
    assert platform.running.token not in done.said


# The command line

COMMANDS = """
import json, runpy, sys
for arguments in json.load(sys.stdin):
    sys.argv = ["airflow", *arguments]
    print("---", flush=True)
    try:
        runpy.run_module("airflow", run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, arguments
"""


def test_airflows_command_line_knows_the_provider_and_its_connections(platform: Platform) -> None:
    connection = json.loads(platform.running.connection)
    commands = [
        ["providers", "list", "--output", "json"],
        ["providers", "get", "airflow-provider-neuro-buckets", "--full", "--output", "json"],
        ["providers", "hooks", "--output", "json"],
        [
            "connections",
            "add",
            "by_hand",
            *("--conn-type", "neuro_buckets", "--conn-host", connection["host"]),
            *("--conn-password", connection["password"], "--conn-extra", json.dumps(connection["extra"])),
        ],
        ["connections", "get", "by_hand", "--output", "json"],
        ["connections", "test", "by_hand"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AIRFLOW__CORE__TEST_CONNECTION": "Enabled"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed, got, hooks, added, connected, tested = done.stdout.split("---\n")[1:]
    assert "airflow-provider-neuro-buckets" in listed
    assert "neuro_buckets" in got
    assert any(item["connection_type"] == "neuro_buckets" for item in last_json(hooks))
    assert "Successfully added" in added
    (shown,) = last_json(connected)
    assert (shown["conn_type"], shown["host"]) == ("neuro_buckets", connection["host"])
    assert "Connection success" in tested


def last_json(text: str) -> Any:
    """Return the JSON that ends what a command printed; log lines come before it."""
    return json.loads(text[text.rindex("\n[") if "\n[" in text else text.index("[") :])


def test_a_connection_of_the_database_is_as_good_as_one_of_the_environment(
    run: Any, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    connection = json.loads(platform.running.connection)
    with create_session() as session:
        session.add(
            Connection(**{**connection, "conn_id": "of_the_database", "extra": json.dumps(connection["extra"])})
        )
    (tmp_path / "file").write_bytes(b"1")
    done = run("one_upload", conn="of_the_database", bucket=bucket, src=str(tmp_path))
    assert done.states == {"upload": "success"}, done.said
    assert platform.keys(bucket) == ["up/file"]
    assert platform.running.token not in done.said
