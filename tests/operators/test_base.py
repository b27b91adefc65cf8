"""What goes wrong in a task, and what a killed task leaves behind."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound, Unavailable
from airflow_provider_neuro_buckets.buckets.retry import CONTROL_PLANE, DATA, RetryPolicy
from airflow_provider_neuro_buckets.operators.base import BucketsOperator
from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketMakeSignedUrlOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import BucketDownloadDirOperator, BucketUploadDirOperator
from platform_rig import Platform, WatchedPlatform, closed_port

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1024 * 1024
CONN = "neuro_buckets_special"

Make = Callable[[str, Path], BucketsOperator]
EACH: dict[str, Make] = {
    "create": lambda bucket, _: BucketCreateOperator(task_id="t", neuro_buckets_conn_id=CONN, name=f"{bucket}-2"),
    "rm": lambda bucket, _: BucketRmOperator(task_id="t", neuro_buckets_conn_id=CONN, bucket_id_or_name=bucket),
    "blob_rm": lambda bucket, _: BucketBlobRmOperator(
        task_id="t", neuro_buckets_conn_id=CONN, uri=f"blob:{bucket}/key", if_missing="fail"
    ),
    "make_signed_url": lambda bucket, _: BucketMakeSignedUrlOperator(
        task_id="t", neuro_buckets_conn_id=CONN, uri=f"blob:{bucket}/key"
    ),
    "upload_dir": lambda bucket, folder: BucketUploadDirOperator(
        task_id="t", neuro_buckets_conn_id=CONN, src=str(folder), dst=f"blob:{bucket}/up"
    ),
    "download_dir": lambda bucket, folder: BucketDownloadDirOperator(
        task_id="t", neuro_buckets_conn_id=CONN, src=f"blob:{bucket}/", dst=str(folder / "down")
    ),
}
WRITING = ["create", "rm", "blob_rm", "upload_dir"]


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN.upper()}", json.dumps({"conn_type": "neuro_buckets", **fields}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


def told(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the text of an error, once it is known to be one sentence and its remedy about the connection."""
    text = str(error.value)
    assert CONN in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


# What a retry cannot mend


@pytest.mark.parametrize("name", EACH)
def test_no_such_connection_fails_the_task_at_once(name: str, folder: Path) -> None:
    with pytest.raises(AirflowFailException) as error:
        EACH[name]("bucket", folder).execute({})
    assert told(error).startswith(f"there is no Airflow connection {CONN!r}. Add one of type 'neuro_buckets'")


@pytest.mark.parametrize("name", EACH)
def test_a_connection_without_a_host_fails_the_task_at_once(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, password="token-of-nobody")
    with pytest.raises(AirflowFailException) as error:
        EACH[name]("bucket", folder).execute({})
    assert "has no host. Set the host" in told(error)


@pytest.mark.parametrize("name", EACH)
def test_a_wrong_token_fails_the_task_at_once_and_changes_nothing(
    name: str, platform: Platform, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, key=b"1")
    connect(monkeypatch, host=platform.running.api_url, password="wrong-token-of-nobody")
    with pytest.raises(AirflowFailException) as error:
        EACH[name](bucket, folder).execute({})
    assert "token" in told(error)
    assert "wrong-token-of-nobody" not in told(error)
    assert platform.keys(bucket) == ["key"]
    assert not (folder / "down").exists()


@pytest.mark.parametrize("name", WRITING)
def test_a_token_that_may_only_read_fails_a_task_that_writes_at_once_and_changes_nothing(
    name: str, platform: Platform, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, key=b"1")
    connect(monkeypatch, host=platform.running.api_url, password=platform.running.readonly_token)
    operator = EACH[name](bucket, folder)
    if isinstance(operator, BucketRmOperator):
        operator.force = True
    with pytest.raises(AirflowFailException) as error:
        operator.execute({})
    assert platform.running.readonly_token not in told(error)
    assert platform.keys(bucket) == ["key"]
    assert f"{bucket}-2" not in platform.buckets()


def test_a_token_that_may_only_read_reads(
    platform: Platform, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, key=b"1")
    connect(monkeypatch, host=platform.running.api_url, password=platform.running.readonly_token)
    assert EACH["download_dir"](bucket, folder).execute({})["files"] == 1


def test_an_address_that_can_mean_nothing_fails_the_task_at_once(platform: Platform, folder: Path) -> None:
    operator = BucketUploadDirOperator(task_id="t", src=str(folder), dst="s3://bucket/key")
    with pytest.raises(
        AirflowFailException, match=r"s3://bucket/key.*neuro_buckets_default|neuro_buckets_default.*s3:"
    ):
        operator.execute({})
    assert platform.running.token


def test_the_first_error_stays_the_cause(bucket: str, folder: Path) -> None:
    with pytest.raises(AirflowFailException) as error:
        EACH["upload_dir"](bucket, folder).execute({})
    assert type(error.value.__cause__).__name__ == "ConfigurationError"


# What may be mended by itself: an error of its own type, for a retry policy


@pytest.mark.parametrize("name", [name for name in EACH if name not in {"create", "rm"}])
def test_a_bucket_that_does_not_exist_is_told_with_connection_and_remedy(
    name: str, platform: Platform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=platform.running.api_url, password=platform.running.token)
    with pytest.raises(ResourceNotFound) as error:
        EACH[name]("no-such-bucket", folder).execute({})
    assert "no-such-bucket" in told(error)
    assert error.value.remedy
    assert not (folder / "down").exists()


def test_a_source_folder_that_does_not_exist_is_told_with_connection_and_remedy(
    platform: Platform, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=platform.running.api_url, password=platform.running.token)
    with pytest.raises(ResourceNotFound) as error:
        EACH["upload_dir"](bucket, tmp_path / "no such folder").execute({})
    assert "no such folder" in told(error)
    assert error.value.remedy
    assert platform.keys(bucket) == []


@pytest.mark.parametrize("name", EACH)
def test_a_platform_that_is_not_running_is_told_with_connection_address_and_remedy(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"http://127.0.0.1:{closed_port()}/api/v1"
    connect(monkeypatch, host=host, password="token-of-nobody")
    with pytest.raises(Unavailable) as error:
        EACH[name]("bucket", folder).execute({})
    assert host in told(error)
    assert "running" in told(error)


@pytest.mark.parametrize(("policy", "seconds"), [(CONTROL_PLANE, 15.0), (DATA, 15.0)])
def test_nobody_waits_longer_than_a_quarter_of_a_minute_for_a_service_that_is_not_there(
    policy: RetryPolicy, seconds: float
) -> None:
    """The most that all waits of a policy sum up to, when no attempt itself takes time."""
    waits = [min(policy.longest_wait, policy.first_wait * 2**attempt) for attempt in range(policy.attempts - 1)]
    assert sum(waits) <= seconds


# Killed


@pytest.fixture
def folder_of_gigabytes(tmp_path: Path) -> Path:
    folder = tmp_path / "gigabytes"
    folder.mkdir()
    for number in range(8):
        with (folder / f"{number}.bin").open("wb") as file:
            file.truncate(256 * MIB)
    return folder


class Task:
    """An operator that runs in a thread of its own, as a task runs beside the signal that ends it."""

    def __init__(self, operator: BucketsOperator) -> None:
        self.operator = operator
        self.raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.operator.execute({})
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.raised.append(error)

    def ended(self) -> BaseException | None:
        """Wait for the end; return what was raised."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.raised[0] if self.raised else None


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(60 * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("it never came to that")


def test_a_killed_upload_stops_and_leaves_no_unfinished_part(
    watched: WatchedPlatform, folder_of_gigabytes: Path
) -> None:
    with watched.fresh_bucket() as bucket:
        upload = BucketUploadDirOperator(task_id="upload", src=str(folder_of_gigabytes), dst=f"blob:{bucket}/")
        task = Task(upload)
        wait_until(lambda: watched.unfinished(bucket))
        upload.on_kill()
        error = task.ended()
        assert isinstance(error, AirflowException)
        assert not isinstance(error, AirflowFailException)
        assert "upload was stopped" in str(error)
        assert watched.unfinished(bucket) == []


def test_a_killed_download_stops_and_leaves_no_temporary_file(watched: WatchedPlatform, tmp_path: Path) -> None:
    with watched.fresh_bucket() as bucket:
        watched.put(bucket, **{f"{number}.bin": bytes(64 * MIB) for number in range(6)})
        download = BucketDownloadDirOperator(task_id="download", src=f"blob:{bucket}/", dst=str(tmp_path / "down"))
        task = Task(download)
        wait_until(lambda: (tmp_path / "down").exists() and any((tmp_path / "down").iterdir()))
        download.on_kill()
        error = task.ended()
    assert isinstance(error, AirflowException)
    assert "download was stopped" in str(error)
    whole = {f"{number}.bin" for number in range(6)}
    assert {path.name for path in (tmp_path / "down").iterdir()} <= whole
    assert all(path.stat().st_size == 64 * MIB for path in (tmp_path / "down").iterdir())


def test_a_task_that_is_killed_before_it_begins_does_nothing(platform: Platform, bucket: str, folder: Path) -> None:
    upload = BucketUploadDirOperator(task_id="upload", src=str(folder), dst=f"blob:{bucket}/")
    upload.on_kill()
    with pytest.raises(AirflowException, match="upload was stopped"):
        upload.execute({})
    assert platform.keys(bucket) == []


def test_killing_a_task_makes_no_hook() -> None:
    """It is a signal handler: it must not import anything."""
    upload = BucketUploadDirOperator(task_id="upload", src="src", dst="blob:bucket/")
    upload.on_kill()
    assert "hook" not in vars(upload)


# Secrets


def test_what_an_operator_shows_of_itself_holds_no_secret(
    platform: Platform, bucket: str, folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    upload = BucketUploadDirOperator(task_id="upload", src=str(folder), dst=f"blob:{bucket}/")
    result = upload.execute({})
    link = BucketMakeSignedUrlOperator(task_id="link", uri=f"blob:{bucket}/file").execute({})
    shown = f"{upload!r} {vars(upload)} {result} {caplog.text} {''.join(capfd.readouterr())}"
    assert platform.running.token not in shown
    assert link not in shown
