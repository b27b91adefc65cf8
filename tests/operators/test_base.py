"""What goes wrong in a task, and what a killed task leaves behind."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound, Unavailable
from airflow_provider_neuro_buckets.buckets.retry import CONTROL_PLANE, DATA, RetryPolicy
from airflow_provider_neuro_buckets.operators.base import BucketsOperator
from airflow_provider_neuro_buckets.operators.blobs import (
    BucketBlobRmOperator,
    BucketGlobBlobsOperator,
    BucketListBlobsOperator,
    BucketMakeSignedUrlOperator,
    BucketPutBlobOperator,
)
from airflow_provider_neuro_buckets.operators.buckets import (
    BucketCreateOperator,
    BucketDiskUsageOperator,
    BucketImportOperator,
    BucketRmOperator,
    BucketSetPublicAccessOperator,
)
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketDownloadFileOperator,
    BucketUploadDirOperator,
    BucketUploadFileOperator,
)
from operators.killing import Task
from platform_rig import Platform, closed_port

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
    "upload_file": lambda bucket, folder: BucketUploadFileOperator(
        task_id="t", neuro_buckets_conn_id=CONN, src=str(folder / "file"), dst=f"blob:{bucket}/up"
    ),
    "download_file": lambda bucket, folder: BucketDownloadFileOperator(
        task_id="t", neuro_buckets_conn_id=CONN, src=f"blob:{bucket}/key", dst=str(folder / "down")
    ),
    "copy_dir": lambda bucket, _: BucketCopyDirOperator(
        task_id="t", neuro_buckets_conn_id=CONN, src=f"blob:{bucket}/", dst=f"blob:{bucket}-2/"
    ),
    "put_blob": lambda bucket, _: BucketPutBlobOperator(
        task_id="t", neuro_buckets_conn_id=CONN, bucket_id_or_name=bucket, key="new", body="body"
    ),
    "list_blobs": lambda bucket, _: BucketListBlobsOperator(
        task_id="t", neuro_buckets_conn_id=CONN, uri=f"blob:{bucket}/"
    ),
    "glob_blobs": lambda bucket, _: BucketGlobBlobsOperator(
        task_id="t", neuro_buckets_conn_id=CONN, uri=f"blob:{bucket}/**"
    ),
    "disk_usage": lambda bucket, _: BucketDiskUsageOperator(
        task_id="t", neuro_buckets_conn_id=CONN, bucket_id_or_name=bucket
    ),
    "set_public_access": lambda bucket, _: BucketSetPublicAccessOperator(
        task_id="t", neuro_buckets_conn_id=CONN, bucket_id_or_name=bucket, public_access=True
    ),
    "import": lambda bucket, _: BucketImportOperator(
        task_id="t",
        neuro_buckets_conn_id=CONN,
        provider="aws",
        provider_bucket_name="elsewhere",
        credentials={"access_key_id": "nobody", "secret_access_key": "nothing"},
        name=f"{bucket}-2",
    ),
}
WRITING = ["create", "rm", "blob_rm", "upload_dir", "upload_file", "put_blob", "set_public_access", "import"]
MAKING = {"create", "rm", "import"}
"""What does not fail where there is no such bucket."""


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN.upper()}", json.dumps({"conn_type": "neuro_buckets", **fields}))


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
        operator.force = operator.allow_whole_bucket = True
    with pytest.raises(AirflowFailException) as error:
        operator.execute({})
    assert platform.running.readonly_token not in told(error)
    assert platform.keys(bucket) == ["key"]
    assert f"{bucket}-2" not in platform.buckets()
    assert platform.ask(lambda buckets: buckets.get(bucket)).public is False


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


@pytest.mark.parametrize("name", [name for name in EACH if name not in MAKING])
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


@pytest.mark.parametrize("name", ["create", "list_blobs", "download_file"])
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
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A platform that takes requests and never answers one; the connection of these tests leads to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        connect(monkeypatch, host=f"http://127.0.0.1:{server.getsockname()[1]}/api/v1", password="token-of-nobody")
        yield server


@pytest.mark.parametrize("name", EACH)
def test_a_task_that_waits_for_an_answer_stops_when_it_is_killed(
    name: str, silent: socket.socket, folder: Path
) -> None:
    operator = EACH[name]("bucket", folder)
    task = Task(operator)
    asked, _ = silent.accept()
    with asked:
        asked.recv(1)
        operator.on_kill()
        assert "t was stopped" in str(task.ended())
    assert not (folder / "down").exists()


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
