"""DAGs in real Airflow: its database, its task runner, its triggers. All in one module: each start of it takes long."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import pickle
import re
import signal
import sqlite3
import subprocess
import sys
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import airflow.sdk
import pytest
from airflow import settings
from airflow.models.asset import AssetEvent as KeptEvent
from airflow.models.asset import AssetModel
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.providers.common.compat.sdk import redact
from airflow.sdk import DAG
from airflow.sdk.definitions.asset import AssetUniqueKey
from airflow.utils import db
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_here import DagSerialization, before, dags_in, keep_dags, masked_texts, needs, run_here
from airflow_provider_neuro_buckets.buckets import Buckets, errors
from platform_rig import Platform, WatchedPlatform, closed_port
from signalling import signal_from_here
from storage_front import where_transfers_stall

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
        keep_dags()
        yield


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run of a DAG."""

    state: str
    states: dict[str, str]
    tries: dict[str, int]
    results: dict[str, Any]
    links: dict[str, str]
    said: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a DAG by its id, with its params."""
    dags = {
        dag.dag_id: dag for path in (CASES, *EXAMPLES.glob("neuro_buckets_*.py")) for dag in dags_in(path).dags.values()
    }

    def run(dag_id: str, **params: Any) -> Run:
        capfd.readouterr()
        ended = run_here(dags[dag_id], **params)
        tasks = ended.get_task_instances()
        return Run(
            state=str(ended.state),
            states={task.task_id: str(task.state) for task in tasks},
            tries={task.task_id: task.try_number for task in tasks},
            results={task.task_id: task.xcom_pull(task_ids=task.task_id, key="return_value") for task in tasks},
            links={task.task_id: link_of(dags[dag_id], task) for task in tasks},
            said="".join(capfd.readouterr()),
        )

    return run


def link_of(dag: DAG, task: TaskInstance) -> str:
    """Return the link that the browser shows beside a task, found as Airflow's API finds it."""
    kept = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task(task.task_id)
    if not hasattr(kept, "get_extra_links"):
        return ""  # a mapped task has none in Airflow 3.0
    return str(kept.get_extra_links(task, "Bucket") or "")


def kept_links() -> list[str]:
    """Return what Airflow has in its database for the links of all tasks so far; some releases keep it as JSON."""
    with create_session() as session:
        kept = session.scalars(select(XComModel.value).where(XComModel.key == "_link_BucketLink"))
        return [str(value).strip('"') for value in kept]


# Files


def test_airflow_imports_every_example_without_an_error() -> None:
    bag = dags_in(EXAMPLES)
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


def test_the_first_dag_reads_what_it_has_put(run: Any, platform: Platform) -> None:
    done = run("neuro_buckets_first")
    platform.ask(lambda buckets: buckets.rm("first", force=True))
    assert done.state == "success", done.said
    assert done.results["read"].startswith("Hello from 20")


def test_files_of_a_partner_are_waited_for_loaded_and_put_away(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_partner", bucket="partner-test")
    assert done.state == "success", done.said
    assert done.results["wait"]["count"] == done.results["archive"]["files"] == done.results["put_away"]["files"] == 3
    assert done.results["load"] == 21
    assert platform.buckets() == before


def test_anybody_gets_a_model_by_its_link_which_no_log_shows(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_model", bucket="models-test", version="v2")
    assert done.state == "success", done.said
    assert done.results["fetch_as_anybody"] == {"weights": [0.1, 0.2, 0.7]}
    assert "/churn/v2/model.json" in done.results["sign"]
    assert done.results["sign"].partition("Signature=")[2] not in done.said
    assert platform.buckets() == before


# Assets


@pytest.fixture
def assets_bucket(platform: Platform) -> Iterator[str]:
    """The bucket of the example, removed afterwards."""
    yield "neuro-buckets-assets"
    platform.ask(lambda buckets: buckets.rm("neuro-buckets-assets", force=True))


def test_a_dag_that_waits_for_an_asset_is_due_once_a_task_has_written_it(run: Any, assets_bucket: str) -> None:
    done = run("neuro_buckets_assets")
    assert done.state == "success", done.said
    read = run("neuro_buckets_assets_reader")
    assert read.results["read_report"] == {"rows": 3, "events": 0}, read.said
    with create_session() as session:
        session.scalars(
            select(DagModel).where(DagModel.dag_id == "neuro_buckets_assets_reader")
        ).one().is_paused = False
    again = run("neuro_buckets_assets")
    assert again.state == "success", again.said
    with create_session() as session:
        uris = [event.asset.uri for event in session.scalars(select(KeptEvent))]
        (report,) = {uri for uri in uris if uri.endswith("/report.json")}
        assert report == f"blob://{assets_bucket}/latest/report.json"
        archives = [uri for uri in uris if uri.startswith(f"blob://{assets_bucket}/archive/")]
        assert len(set(archives)) == len(archives) == 2
        due = DagModel.dags_needing_dagruns(session)[0].all()
        assert "neuro_buckets_assets_reader" in {dag.dag_id for dag in due}


def test_a_dry_run_updates_no_asset(run: Any, platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    platform.ask(lambda buckets: buckets.create("rehearsed"))
    done = run("rehearsed_assets", src=str(tmp_path))
    platform.ask(lambda buckets: buckets.rm("rehearsed"))
    assert done.states == {"upload": "success"}, done.said
    with create_session() as session:
        assert not [event for event in session.scalars(select(KeptEvent)) if "rehearsed" in event.asset.uri]
        assert session.scalar(select(AssetModel).where(AssetModel.uri == "blob://rehearsed/out"))


# Waiting


def test_sensors_wait_for_what_counts_each_in_its_mode(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_sensors", bucket="sensors-test")
    assert done.state == "success", done.said
    assert [found["key"] for found in done.results["marker"]] == ["incoming/_DONE"]
    assert done.results["parts"]["count"] == 3
    assert (done.results["complete"]["count"], done.results["complete"]["size"]) == (4, 1200)
    assert platform.buckets() == before


def test_a_dag_with_a_watcher_runs_also_without_an_event(run: Any, platform: Platform) -> None:
    assert platform.running.token
    done = run("neuro_buckets_watcher")
    assert done.results["process"] == {"blobs": 0, "bytes": 0}, done.said


async def test_the_watcher_of_the_example_tells_the_task_what_to_read(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"watched-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("NEURO_BUCKETS_WATCHED", name)
    spec = importlib.util.spec_from_file_location("watcher_example", EXAMPLES / "neuro_buckets_watcher.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (watcher,) = module.incoming.watchers
    async with Buckets.open(platform.running.config) as buckets:
        await buckets.create(name)
        await buckets.put_blob(name, "incoming/old.csv", b"1")
        async with aclosing(watcher.trigger.run()) as events:
            coming = asyncio.ensure_future(anext(events))
            number = 0
            while not coming.done():
                number += 1
                await buckets.put_blob(name, f"incoming/{number}.csv", b"1,2,3")
                await asyncio.wait([coming], timeout=0.2)
            event = AssetEvent(extra={"from_trigger": True, "payload": (await coming).payload})
        events_of = {AssetUniqueKey.from_asset(module.incoming): [event]}
        (blob,) = module.blobs_of(events_of)
        assert blob["key"].removeprefix("incoming/").removesuffix(".csv").isdigit()
        read = await asyncio.to_thread(module.process.function, events_of)
        assert read == {"blobs": 1, "bytes": 5}
        await buckets.rm(name, force=True)


@dataclass(frozen=True, slots=True)
class AssetEvent:
    """Of an event of an asset, what a task reads."""

    extra: dict[str, Any]


def test_one_task_for_each_folder_that_is_there_when_the_dag_runs(run: Any, platform: Platform) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_mapped", bucket="mapped-test", rehearse=True)
    assert done.state == "success", done.said
    assert sorted(done.results["find_folders"]) == [
        f"blob://local/neuro/demo/mapped-test/in/{city}/" for city in ("%E7%99%BE%E8%89%B2", "Graz", "S%C3%A3o%20Paulo")
    ]
    assert done.said.count("2 files (2 verified by checksum)") == 3
    assert len(done.results["find_archived"]) == 6
    assert (done.results["read_report"]["files"], done.results["read_report"]["bucket"]["files"]) == (6, 12)
    assert done.results["remove_folders"] == {"files": 6, "dry_run": True}
    would = [line.partition("blob:")[2] for line in done.said.splitlines() if "would be deleted" in line]
    assert len(set(would) - {""}) == 6  # Airflow 3.0 prints each line of a log several times
    assert done.results["remove_bucket"] == {"deleted": True, "files": 6 + 6 + 1}
    assert platform.buckets() == before


def test_a_bucket_is_imported_with_keys_of_a_connection_that_nobody_gets_to_see(
    run: Any, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with platform.foreign_bucket() as keys:
        theirs = {
            "conn_type": "aws",
            "login": keys["access_key_id"],
            "password": keys["secret_access_key"],
            "extra": {name: keys[name] for name in ("endpoint_url", "region_name")},
        }
        monkeypatch.setenv("AIRFLOW_CONN_THEIR_STORAGE", json.dumps(theirs))
        done = run("neuro_buckets_import", provider="minio", their_bucket=keys["bucket_name"], name="imported-test")
    assert done.state == "success", done.said
    assert done.results["import_bucket"]["name"] == "imported-test"
    assert (done.results["list"], done.results["count"]["files"]) == ([], 0)
    assert done.results["forget_bucket"] == {"deleted": True, "files": 0}
    assert "imported-test" not in platform.buckets()
    assert keys["secret_access_key"] not in done.said
    with create_session() as session:
        kept = [*session.scalars(select(RenderedTaskInstanceFields.rendered_fields))]
        kept += session.scalars(select(SerializedDagModel._data)).all()
    assert "their_bucket" in str(kept) or keys["bucket_name"] in str(kept)
    assert keys["secret_access_key"] not in str(kept)


@needs(3, 1, reason="keeps the links of no task that runs in one process")
def test_each_task_has_a_link_to_the_web_console_of_its_connection(
    run: Any, platform: Platform, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(platform.running.connection)
    connection["extra"]["console_url"] = "https://console.example.org/{project_name}/{bucket}?at={key}"
    monkeypatch.setenv("AIRFLOW_CONN_WITH_CONSOLE", json.dumps(connection))
    (tmp_path / "file").write_bytes(b"1")
    done = run("one_upload", conn="with_console", bucket=bucket, src=str(tmp_path))
    assert done.links == {"upload": f"https://console.example.org/demo/{bucket}?at=up"}
    failed = run("one_upload", conn="with_console", bucket="no-such-bucket", src=str(tmp_path))
    assert failed.states == {"upload": "failed"}
    assert failed.links == {"upload": "https://console.example.org/demo/no-such-bucket?at=up"}
    assert set(kept_links()) == {*done.links.values(), *failed.links.values()}
    kept = len(kept_links())
    without = run("one_upload", conn="neuro_buckets_default", bucket=bucket, src=str(tmp_path))
    assert without.links == {"upload": ""}
    assert len(kept_links()) == kept  # nor an empty one
    assert "Failed to push an xcom" not in done.said + failed.said + without.said


# What is worth another try


def test_a_retry_policy_fails_at_once_what_no_retry_can_mend_and_tries_the_rest_again(
    run: Any, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = platform.buckets()
    done = run("neuro_buckets_retries", bucket="retries-test")
    assert (done.state, done.results["count_rows"]) == ("success", 2), done.said
    if not hasattr(airflow.sdk, "ExceptionRetryPolicy"):
        return  # before Airflow 3.3 there is no such thing: the example runs, with its usual retries
    missing = run("neuro_buckets_retries", bucket="retries-test", key="missing.csv")
    assert (missing.states["count_rows"], missing.tries["count_rows"]) == ("failed", 1), missing.said
    assert "time alone does not mend it" in missing.said
    wrong = json.loads(platform.running.connection) | {"password": "wrong-token-of-nobody"}
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(wrong))
    refused = run("neuro_buckets_retries", bucket="retries-test")
    assert (refused.states["create_bucket"], refused.tries["create_bucket"]) == ("failed", 1), refused.said
    assert platform.buckets() == before


def test_the_policy_of_the_example_judges_each_error_by_its_type() -> None:
    retry_policy = pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="Airflow 3.3 brought policies")
    spec = importlib.util.spec_from_file_location("retries_example", EXAMPLES / "neuro_buckets_retries.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    policy = module.RETRIES["retry_policy"]
    again = retry_policy.ExceptionRetryPolicy.deserialize(json.loads(json.dumps(policy.serialize())))
    judged = {
        errors.Throttled: 600.0,
        errors.Unavailable: 120.0,
        errors.Timeout: 120.0,
        errors.NotConnected: 120.0,
        errors.TransferError: 10.0,
        errors.ResourceNotFound: "fail",
        errors.QuotaExceeded: "fail",
        errors.IntegrityError: "default",
        errors.SourceChanged: "default",
    }
    for kind, expected in judged.items():
        for judge in (policy, again):
            decision = judge.evaluate(pickle.loads(pickle.dumps(kind("it broke"))), try_number=1, max_tries=3)
            delay = decision.retry_delay and decision.retry_delay.total_seconds()
            assert (delay or decision.action.value) == expected, kind


# Secrets


def test_of_all_that_airflow_keeps_or_prints_at_debug_nothing_holds_a_secret_f112(
    run: Any, platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "file").write_bytes(os.urandom(20 * 1024 * 1024))
    stale = json.loads(platform.running.connection) | {"password": "stale-and-wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_STALE", json.dumps(stale))
    shared = run("neuro_buckets_credentials")
    assert shared.state == "success", shared.said
    assert shared.results["use_connection"] == {"read": "hello", "may_write": False}
    said = [
        run("neuro_buckets_main_job", data=str(tmp_path), bucket="secrets-test").said,
        shared.said,
        run("one_upload", conn="stale", bucket="secrets-test", src=str(tmp_path)).said,
    ]
    secrets = {platform.running.token, "stale-and-wrong", *(re.sub(r"\\(.)", r"\1", text) for text in masked_texts())}
    assert len(secrets) > 5  # the credentials of the buckets are among them
    logs = Path(os.environ["AIRFLOW_HOME"], "logs").rglob("*")
    kept = "\n".join(path.read_text(errors="replace") for path in logs if path.is_file())
    engine: Any = settings.engine
    with sqlite3.connect(f"file:{engine.url.database}?mode=ro", uri=True) as database:
        kept += "\n".join(database.iterdump())
    assert "neuro_buckets_credentials" in kept
    ours = [record for record in caplog.records if record.name.startswith(("airflow_provider", "aiohttp", "asyncio"))]
    logged = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in ours)
    assert logged
    masked = str(redact(caplog.text))  # the libraries' records pass Airflow's masker
    for secret in secrets:
        for place, text in {"kept": kept, "said": "".join(said), "logged": logged, "masked": masked}.items():
            assert secret not in text, place
            assert secret.encode().hex() not in text.lower(), place


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


def test_a_retry_uploads_only_what_the_try_before_it_did_not_and_another_run_everything(
    run: Any, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    for name in ("1", "2", "3", "changing"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "leads out").symlink_to("/")
    done = run("retried_upload", bucket=bucket, src=str(tmp_path))
    assert (done.states, done.tries) == ({"upload": "success"}, {"upload": 2}), done.said
    if not before(3, 3):
        assert "What an earlier try has moved since" in done.said  # so Airflow has kept the mark
    moved = {name: done.results["upload"][name] for name in ("files", "bytes", "kept", "unchanged")}
    assert moved == {"files": 1, "bytes": len(b"new"), "kept": 3, "unchanged": 0}
    assert platform.keys(bucket) == ["up/1", "up/2", "up/3", "up/changing"]
    again = run("retried_upload", bucket=bucket, src=str(tmp_path))
    assert (again.tries, again.results["upload"]["files"], again.results["upload"]["kept"]) == ({"upload": 1}, 4, 0)


@needs(3, 1, reason="ends with a task that is terminated, where all tasks run in one process")
def test_a_task_that_airflow_terminates_stops_its_upload_and_leaves_no_part_f88_f99(
    run: Any, watched: WatchedPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        with (tmp_path / f"{number}.bin").open("wb") as file:
            file.truncate(256 * 1024 * 1024)
    before = signal.getsignal(signal.SIGTERM)  # the task runner sets its own, and leaves it
    with watched.fresh_bucket() as bucket, where_transfers_stall(watched, bucket) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
        is_over = Event()
        killer = Thread(target=terminate_during_upload, args=(watched, bucket, is_over))
        killer.start()
        try:
            done = run("long_upload", bucket=bucket, src=str(tmp_path))
        finally:
            is_over.set()
            killer.join()
            signal.signal(signal.SIGTERM, before)
        assert done.states == {"upload": "failed"}
        assert "upload was stopped; it has cleaned up after itself" in done.said
        assert watched.unfinished(bucket) == []


def terminate_during_upload(watched: WatchedPlatform, bucket: str, is_over: Event) -> None:
    """Send this process what Airflow sends a task to end it, as soon as the storage has parts."""
    while not watched.unfinished(bucket):
        if is_over.wait(0.05):
            return
    signal_from_here(signal.SIGTERM)


def test_a_sensor_gives_the_same_xcom_in_every_mode(run: Any, platform: Platform, bucket: str) -> None:
    done = run("every_mode", bucket=bucket)
    assert set(done.states.values()) == {"success"}, done.said
    assert done.results["deferred"] == done.results["poked"]
    assert done.results["deferred"]["key"] == "deferred"
    assert done.results["rescheduled"]["count"] == 1
    assert sorted(platform.keys(bucket)) == ["deferred", "in/late.csv"]


@needs(3, 2, reason="has no tasks that are coroutines")
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
