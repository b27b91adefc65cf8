"""Task logs in a bucket: written, appended to, streamed back; on a real platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import GeneratorType

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, NotConnected
from airflow_provider_neuro_buckets.hooks import lineage
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.logs.remote import NeuroBucketsRemoteLogIO
from platform_rig import Platform, closed_port

pytestmark = pytest.mark.usefixtures("nothing_left")

LOG = "dag_id=d/run_id=manual__2026-01-01T00:00:00+00:00/task_id=t/attempt=1.log"


@pytest.fixture
def logs(bucket: str, tmp_path: Path) -> NeuroBucketsRemoteLogIO:
    return NeuroBucketsRemoteLogIO(remote_base=f"blob:{bucket}/logs/", base_log_folder=tmp_path)


def write(logs: NeuroBucketsRemoteLogIO, text: str, name: str = LOG) -> Path:
    path = logs.base_log_folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return path


def keys(bucket: str) -> list[str]:
    return sorted(entry.key for entry in NeuroBucketsHook().list_blobs(f"blob:{bucket}", recursive=True))


def lines(logs: NeuroBucketsRemoteLogIO) -> list[list[str]]:
    return [list(stream) for stream in logs.stream(LOG, None)[1]]


def test_a_log_is_a_blob_of_its_name_and_reads_back(logs: NeuroBucketsRemoteLogIO, bucket: str) -> None:
    write(logs, "first\nзweite\n")
    logs.upload(LOG)
    assert keys(bucket) == [f"logs/{LOG}"]
    sources, streams = logs.stream(LOG, None)
    assert len(sources) == len(streams) == 1
    assert Path(LOG).name in sources[0]
    assert isinstance(streams[0], GeneratorType)
    assert list(streams[0]) == ["first", "зweite"]
    assert logs.read(LOG, None)[1] == ["first\nзweite"]


def test_what_is_added_later_is_a_blob_of_its_own_and_nothing_is_read_twice(
    logs: NeuroBucketsRemoteLogIO, bucket: str
) -> None:
    for number in range(3):
        local = write(logs, f"poke {number}\n")
        logs.upload(local)
        assert local.read_bytes() == b""
    first, *added = keys(bucket)
    assert first == f"logs/{LOG}"
    assert len(added) == 2
    assert lines(logs) == [["poke 0"], ["poke 1"], ["poke 2"]]


def test_an_empty_log_or_none_adds_nothing(logs: NeuroBucketsRemoteLogIO, bucket: str) -> None:
    logs.upload(LOG)
    write(logs, "")
    logs.upload(LOG)
    assert keys(bucket) == []
    assert logs.stream(LOG, None) == ([], [])
    assert logs.read(LOG, None) == ([], None)


def test_where_there_is_no_bucket_there_are_no_logs(
    logs: NeuroBucketsRemoteLogIO, bucket: str, platform: Platform
) -> None:
    platform.ask(lambda buckets: buckets.rm(bucket))
    assert logs.stream(LOG, None) == ([], [])
    platform.ask(lambda buckets: buckets.create(bucket))


def test_the_log_of_the_triggerer_is_read_with_that_of_the_task(logs: NeuroBucketsRemoteLogIO) -> None:
    write(logs, "task\n")
    logs.upload(LOG)
    write(logs, "trigger\n", LOG + ".trigger.7.log")
    logs.upload(LOG + ".trigger.7.log")
    write(logs, "another try\n", LOG.replace("=1", "=10"))
    logs.upload(LOG.replace("=1", "=10"))
    assert lines(logs) == [["task"], ["trigger"]]


def test_a_large_log_streams_whatever_its_chunks(logs: NeuroBucketsRemoteLogIO) -> None:
    wanted = [f"{number} " + "ж" * 333 for number in range(20_000)]
    write(logs, "\n".join(wanted))
    logs.upload(LOG)
    assert lines(logs) == [wanted]


def test_bytes_that_are_no_text_do_not_hide_the_rest(logs: NeuroBucketsRemoteLogIO) -> None:
    write(logs, "").write_bytes(b"good\n\xff\xfe bad\nend \xd0")
    logs.upload(LOG)
    assert lines(logs) == [["good", "\\xff\\xfe bad", "end \\xd0"]]


def test_a_log_that_cannot_be_uploaded_stays_on_the_disk(
    logs: NeuroBucketsRemoteLogIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {
        "conn_type": "neuro_buckets",
        "host": f"http://127.0.0.1:{closed_port()}/api/v1",
        "password": "token",
        "extra": {"cluster_name": "c", "org_name": "o", "project_name": "p"},
    }
    local = write(logs, "precious\n")
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(nowhere))
        with pytest.raises(NotConnected):
            logs.upload(LOG)
    assert local.read_text() == "precious\n"
    logs.upload(LOG)
    assert lines(logs) == [["precious"]]


def test_the_local_folder_goes_where_airflow_wants_it_gone(bucket: str, tmp_path: Path) -> None:
    logs = NeuroBucketsRemoteLogIO(remote_base=f"blob:{bucket}", base_log_folder=tmp_path, delete_local_copy=True)
    local = write(logs, "gone\n")
    logs.upload(LOG)
    assert not local.parent.exists()
    assert lines(logs) == [["gone"]]


@pytest.mark.parametrize("path", ["../outside.log", "a/../../b.log", "/elsewhere/c.log"])
def test_a_path_out_of_the_log_folder_is_refused(logs: NeuroBucketsRemoteLogIO, path: str) -> None:
    with pytest.raises(ConfigurationError, match="outside"):
        logs.upload(path)
    with pytest.raises(ConfigurationError, match="outside"):
        logs.stream(path, None)


def test_logs_are_no_lineage(logs: NeuroBucketsRemoteLogIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        pytest.fail("lineage was told")

    monkeypatch.setattr(lineage, "get_hook_lineage_collector", refuse)
    write(logs, "line\n")
    logs.upload(LOG)
    assert lines(logs) == [["line"]]


# Airflow's own configuration, in processes of their own: it is read once in each


def airflow_python(script: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "airflow_provider_neuro_buckets.logs.config.LOGGING_CONFIG",
        **{f"AIRFLOW__LOGGING__{name.upper()}": value for name, value in settings.items()},
    }
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_airflow_takes_the_logging_configuration(tmp_path: Path) -> None:
    script = (
        "import airflow.logging_config as core, airflow.sdk.log as sdk, logging\n"
        "core.load_logging_config() if hasattr(core, 'load_logging_config') else core.configure_logging()\n"
        # Airflow 3.0 keeps it as an attribute, and asks for no connection.
        "kept = vars(core).get('get_remote_task_log') or (lambda: core.REMOTE_TASK_LOG)\n"
        "for found in (kept(), sdk.load_remote_log_handler()):\n"
        "    print(type(found).__name__, found.remote_base, found.neuro_buckets_conn_id)\n"
        "print(getattr(sdk, 'load_remote_conn_id', lambda: found.neuro_buckets_conn_id)())\n"
    )
    done = airflow_python(
        script,
        tmp_path,
        remote_logging="True",
        remote_base_log_folder="blob:bkt/logs",
        remote_log_conn_id="lake",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [*["NeuroBucketsRemoteLogIO blob:bkt/logs lake"] * 2, "lake"]


def test_with_remote_logging_off_the_configuration_is_airflows_own(tmp_path: Path) -> None:
    script = (
        "import airflow\n"
        "from airflow_provider_neuro_buckets.logs import config\n"
        "from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG as own\n"
        "same = [config.LOGGING_CONFIG[part] == own[part] for part in ('formatters', 'loggers', 'root')]\n"
        "print(same, config.REMOTE_TASK_LOG)\n"
    )
    done = airflow_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[True, True, True] None"


def test_a_folder_that_is_no_blob_address_is_told(tmp_path: Path) -> None:
    done = airflow_python("import airflow", tmp_path, remote_logging="True", remote_base_log_folder="/var/log")
    assert done.returncode
    assert "[logging] remote_base_log_folder is '/var/log'" in done.stderr
    assert "Write blob:bucket/folder" in done.stderr


def test_every_process_of_airflow_can_afford_the_configuration(tmp_path: Path) -> None:
    script = (
        "import airflow, airflow_provider_neuro_buckets.logs.config, sys\n"
        "print([name for name in ('aiohttp', 'botocore', 'azure') if name in sys.modules])\n"
    )
    done = airflow_python(script, tmp_path, remote_logging="True", remote_base_log_folder="blob:bkt/logs")
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
