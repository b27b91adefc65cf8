"""`airflow standalone` as a person runs it: scheduler, triggerer, DAG processor and API server, on a real platform.

Its DAGs come from a bucket, its task logs go to it, and blobs that arrive there make DAGs run. All of it is seen
through Airflow's REST API, in the storage, and in a browser. The triggerer is ended and another is started in its
place, as `airflow standalone` starts it: it restarts none itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from airflow_provider_neuro_buckets.buckets.uri import quote_key
from airflow_provider_neuro_buckets.get_provider_info import get_provider_info
from platform_rig import Platform
from standalone.browser import Browser, needs_chromium
from standalone.running import Standalone

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

EXAMPLES = Path(__file__).parents[2] / "example_dags"
DAG_FILES = [EXAMPLES / "neuro_buckets_watcher.py", *Path(__file__).parent.glob("dag_files/*.py")]
WATCHER, WAITING, MOVING = "neuro_buckets_watcher", "neuro_buckets_waiting", "neuro_buckets_moving"
CONSOLE = "https://console.example.org/{project_name}/{bucket}/{key}"


@pytest.fixture(scope="module")
def lake(neuro_buckets_local: RunningPlatform) -> Iterator[tuple[Platform, str]]:
    """A platform and the name of a bucket, in which DAGs are, and a blob that was there before everything."""
    platform = Platform(neuro_buckets_local)
    with platform.fresh_bucket() as bucket:
        platform.put(bucket, **{f"dags/{path.name}": path.read_bytes() for path in DAG_FILES})
        platform.put(bucket, **{"incoming/long ago.csv": b"old"})
        yield platform, bucket


@pytest.fixture(scope="module")
def airflow(lake: tuple[Platform, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    platform, bucket = lake
    bundle = {
        "name": "lake",
        "classpath": "airflow_provider_neuro_buckets.bundles.blob.NeuroBucketsDagBundle",
        "kwargs": {"uri": f"blob:{bucket}/dags"},
    }
    connection = json.loads(platform.running.connection)
    connection["extra"]["console_url"] = CONSOLE
    settings = {
        "AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": json.dumps(connection),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "airflow_provider_neuro_buckets.logs.config.LOGGING_CONFIG",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"blob:{bucket}/logs",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "neuro_buckets_default",
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "NEURO_BUCKETS_WATCHED": bucket,
    }
    with Standalone.running(tmp_path_factory.mktemp("standalone"), settings) as running:
        yield running


class Seen:
    """What the tests ask of Airflow's REST API."""

    def __init__(self, airflow: Standalone) -> None:
        self.airflow = airflow

    def run(self, dag_id: str, **conf: str) -> str:
        """Start a run of a DAG with its params; return its id."""
        self.airflow.until(f"the DAG {dag_id}", lambda: self.airflow.get(f"/dags/{dag_id}"))
        started = self.airflow.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return str(started["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG, the oldest first."""
        runs: list[dict[str, Any]] = self.airflow.get(f"/dags/{dag_id}/dagRuns?order_by=id")["dag_runs"]
        return runs

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return what Airflow knows of a task of a run."""
        task: dict[str, Any] = self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return task

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task has returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.airflow.get(f"{path}?deserialize=true")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str) -> list[str]:
        """Return the log of the last try of a task, line by line."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        number = self.airflow.get(path)["try_number"]
        content = self.airflow.get(f"{path}/logs/{number}?full_content=true")["content"]
        return [str(line["event"]) for line in content]

    def cursor(self) -> Any:
        """Return what the watcher remembers; `None` before it has looked for the first time."""
        assets = self.airflow.get("/assets?name_pattern=neuro_buckets_incoming")["assets"]
        stored = self.airflow.get(f"/assets/{assets[0]['id']}/state-store")["asset_state_store"] if assets else []
        return stored[0]["value"] if stored else None

    def events(self) -> list[str]:
        """Return the keys of the blobs that the watcher has told of, in this order."""
        events = self.airflow.get("/assets/events?order_by=timestamp")["asset_events"]
        return [event["extra"]["payload"]["key"] for event in events]


@pytest.fixture
def seen(airflow: Standalone) -> Seen:
    return Seen(airflow)


def ended_runs(seen: Seen, dag_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until a DAG has so many runs, and all of them have ended well; return them."""

    def ask() -> list[dict[str, Any]] | None:
        runs = seen.runs(dag_id)
        is_over = len(runs) >= count and all(run["state"] in {"success", "failed"} for run in runs)
        return runs if is_over else None

    runs = seen.airflow.until(f"{count} ended runs of {dag_id}", ask)
    assert {run["state"] for run in runs} == {"success"}, seen.airflow.said()
    return runs


def content(platform: Platform, bucket: str, key: str) -> bytes:
    async def read(buckets: Buckets) -> bytes:
        return b"".join([chunk async for chunk in buckets.fetch_blob(bucket, key)])

    return platform.ask(read)


def waits_in_triggerer(seen: Seen, run_id: str) -> bool:
    task = seen.task(WAITING, run_id, "wait")
    assert task["state"] not in {"failed", "success"}, seen.airflow.said()
    return task["state"] == "deferred" and task["triggerer_job"] is not None


def test_blobs_that_arrive_start_one_run_each_and_end_a_deferred_wait_across_a_restart_of_the_triggerer(
    airflow: Standalone, seen: Seen, lake: tuple[Platform, str]
) -> None:
    platform, bucket = lake
    run_id = seen.run(WAITING)
    airflow.until("a deferred task", lambda: waits_in_triggerer(seen, run_id))
    before = airflow.until("the watcher's first look", seen.cursor)
    assert seen.runs(WATCHER) == []  # nobody is told what was there before

    platform.put(bucket, **{"incoming/early/1.csv": b"one"})
    ended_runs(seen, WATCHER, 1)
    airflow.until("the watcher's memory of it", lambda: seen.cursor() != before)

    airflow.stop_triggerer()
    platform.put(bucket, **{"incoming/late/2.csv": b"twenty-two"})
    airflow.start_triggerer()
    ended_runs(seen, WATCHER, 2)
    (waited,) = ended_runs(seen, WAITING, 1)

    platform.put(bucket, **{"incoming/late/3.csv": b"3"})
    runs = ended_runs(seen, WATCHER, 3)

    assert seen.events() == ["incoming/early/1.csv", "incoming/late/2.csv", "incoming/late/3.csv"]
    assert len(runs) == 3
    assert [seen.result(WATCHER, run["dag_run_id"], "process") for run in runs] == [
        {"blobs": 1, "bytes": size} for size in (3, 10, 1)
    ]
    assert waited["dag_run_id"] == run_id
    assert seen.result(WAITING, run_id, "wait") == {
        "count": 1,
        "uris": [address(platform, bucket, "incoming/late/2.csv")],
    }
    # The log before the wait, and that after it.
    assert len(parts_of_log(seen, lake, dag_id=WAITING, run_id=run_id, task_id="wait")) >= 2
    for run in runs:
        assert len(parts_of_log(seen, lake, dag_id=WATCHER, run_id=run["dag_run_id"], task_id="process")) == 1


def address(platform: Platform, bucket: str, key: str) -> str:
    at = platform.running
    return f"blob://{at.cluster_name}/{at.org_name}/{at.project_name}/{bucket}/{key}"


def parts_of_log(seen: Seen, lake: tuple[Platform, str], *, dag_id: str, run_id: str, task_id: str) -> list[str]:
    """Return what the log of a task says, by the blobs that it is in; sees to it that the API shows all of it."""
    platform, bucket = lake
    folder = f"dag_id={dag_id}/run_id={run_id}/task_id={task_id}/"
    local = seen.airflow.home / "airflow" / "logs" / folder
    # A run may end before the log of its last task has been uploaded; Airflow never uploads that of a trigger which a
    # triggerer leaves to the next one.
    seen.airflow.until("an uploaded log", lambda: {path.read_bytes() for path in local.glob("attempt=1.log")} == {b""})
    keys = [key for key in platform.keys(bucket) if key.startswith(f"logs/{folder}")]
    parts = [content(platform, bucket, key).decode() for key in keys]
    shown = seen.log(dag_id, run_id, task_id)
    said = [json.loads(line)["event"] for part in parts for line in part.splitlines()]
    assert [line for line in said if line not in shown] == []
    # Whoever reads it is told where it lies: it was not read from the disk.
    assert [key for key in keys if address(platform, bucket, quote_key(key)) not in "\n".join(shown)] == []
    return parts


def test_a_task_log_lies_in_the_bucket_and_reads_back_through_the_api(seen: Seen, lake: tuple[Platform, str]) -> None:
    platform, bucket = lake
    platform.put(bucket, **{"incoming/late/0.csv": b"0"})
    run_id = seen.run(WAITING)
    ended_runs(seen, WAITING, 1)
    (log,) = parts_of_log(seen, lake, dag_id=WAITING, run_id=run_id, task_id="tell")
    assert f"What came is {address(platform, bucket, 'incoming/late/0.csv')}" in log
    assert platform.running.token not in log


def test_a_run_keeps_the_version_of_the_dags_in_the_bucket_that_it_began_with(
    seen: Seen, lake: tuple[Platform, str]
) -> None:
    platform, bucket = lake
    seen.run(WAITING)
    (version,) = {run["bundle_version"] for run in seen.runs(WAITING)}
    assert f"dags-versions/{version}.json" in platform.keys(bucket)


# The test of a connection

WRONG = "token-that-nobody-gave"
REFUSED = "does not accept the token"
MESSAGE = '[data-scope="toast"][data-part="root"]'


def typed(platform: Platform, **fields: Any) -> dict[str, Any]:
    """Return a connection as a person types it."""
    host, token = platform.running.api_url, platform.running.token
    return {"connection_id": "typed", "conn_type": "neuro_buckets", "host": host, "password": token, **fields}


def place(platform: Platform) -> str:
    """Return how the answer to a good connection begins."""
    at = platform.running
    return f"cluster {at.cluster_name}, org {at.org_name}, project {at.project_name}: "


def test_the_test_of_a_connection_proves_token_and_listing_and_says_for_which_place(
    airflow: Standalone, lake: tuple[Platform, str]
) -> None:
    platform, _ = lake
    answer = airflow.post("/connections/test", typed(platform))
    assert answer["status"] is True
    assert re.fullmatch(re.escape(place(platform)) + r"\d+ buckets? to read", answer["message"])


def test_the_test_of_a_connection_says_in_one_sentence_that_the_token_is_wrong(
    airflow: Standalone, lake: tuple[Platform, str]
) -> None:
    platform, _ = lake
    answer = airflow.post("/connections/test", typed(platform, password=WRONG))
    assert answer["status"] is False
    assert REFUSED in answer["message"]
    assert "\n" not in answer["message"]
    assert WRONG not in answer["message"]


# What a person sees


@pytest.fixture
def browser(airflow: Standalone, tmp_path: Path) -> Iterator[Browser]:
    with Browser.open(airflow.url, tmp_path / "profile") as opened:
        yield opened


@needs_chromium
def test_the_form_of_a_connection_has_each_field_with_its_help_and_saves_what_is_typed(
    airflow: Standalone, browser: Browser, lake: tuple[Platform, str]
) -> None:
    platform, _ = lake
    (declared,) = get_provider_info()["connection-types"]
    browser.go("/connections", height=2200)
    browser.press("Add Connection")
    browser.write('input[name="connection_id"]', "lake")
    browser.write('[role="dialog"] input[role="combobox"]', declared["hook-name"] + "\n")
    browser.says(*declared["ui-field-behaviour"]["relabeling"].values())
    assert [browser.count(f'input[name="{hidden}"]') for hidden in ("login", "port", "schema")] == [0, 0, 0]
    browser.write('input[name="host"]', platform.running.api_url)
    browser.write('input[name="password"]', platform.running.token)
    browser.picture("connection-form", part='[role="dialog"]')
    browser.press("Extra Fields")
    for name, field in declared["conn-fields"].items():
        browser.says(field["label"], field["description"])
        assert browser.count(f'[name="element_{name}"]') == 1, name
    assert browser.attribute('[name="element_persistent_credentials_secret"]', "type") == "password"
    browser.write('[name="element_project_name"]', "ml")
    browser.picture("connection-form-extra", part='[role="dialog"]')
    browser.press("Save")
    saved = airflow.until("the saved connection", lambda: airflow.get("/connections/lake"))
    assert (saved["conn_type"], saved["host"]) == ("neuro_buckets", platform.running.api_url)
    assert json.loads(saved["extra"])["project_name"] == "ml"
    assert platform.running.token not in browser.text()


@needs_chromium
def test_a_press_of_the_button_tells_what_a_connection_proves_and_what_is_wrong_with_it(
    airflow: Standalone, browser: Browser, lake: tuple[Platform, str]
) -> None:
    platform, _ = lake
    # Some releases of Airflow 3.3 send port 0 where there is none, take it for another place than what is stored, and
    # answer 400 for every type of connection: https://github.com/apache/airflow/pull/73298
    airflow.post("/connections", typed(platform, port=0))
    browser.go("/connections")
    browser.listen()
    browser.press("Test Connection", row="typed")
    browser.told("Test Connection Successful", place(platform))
    browser.picture("connection-test", part=MESSAGE)

    wrong = {"connection_id": "typed", "conn_type": "neuro_buckets", "password": WRONG}
    airflow.patch("/connections/typed?update_mask=password", wrong)
    browser.go("/connections")
    browser.listen()
    browser.press("Test Connection", row="typed")
    browser.told("Test Connection Failed", REFUSED)


@needs_chromium
def test_a_person_sees_in_the_log_how_far_a_transfer_is_and_a_link_to_the_bucket(
    browser: Browser, seen: Seen, lake: tuple[Platform, str], tmp_path: Path
) -> None:
    platform, bucket = lake
    for number in range(6):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{number}.csv").write_bytes(bytes(1_000_000))
    run_id = seen.run(MOVING, src=str(tmp_path / "data"))
    ended_runs(seen, MOVING, 1)
    browser.go(f"/dags/{MOVING}/runs/{quote(run_id)}/tasks/upload", width=1600)
    browser.says(f"Uploading to blob:{bucket}/reports/: 6 of 6 files, 6.0 MB of 6.0 MB")
    browser.picture("task-log")
    browser.go(f"/dags/{MOVING}/runs/{quote(run_id)}/tasks/upload/details")
    page = CONSOLE.format(project_name=platform.running.project_name, bucket=bucket, key="reports/")
    browser.until("the link to the bucket", lambda: browser.links("Bucket") == [page])
    browser.picture("task-link")
