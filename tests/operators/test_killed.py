"""What a killed task leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_neuro_buckets.operators.transfers import (
    BucketDownloadDirOperator,
    BucketDownloadFileOperator,
    BucketUploadDirOperator,
    BucketUploadFileOperator,
)
from operators.killing import Task, stalling, wait_until
from platform_rig import Platform, WatchedPlatform

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1024 * 1024


@pytest.fixture
def folder_of_gigabytes(tmp_path: Path) -> Path:
    folder = tmp_path / "gigabytes"
    folder.mkdir()
    for number in range(8):
        with (folder / f"{number}.bin").open("wb") as file:
            file.truncate(256 * MIB)
    return folder


def test_a_killed_upload_stops_and_leaves_no_unfinished_part_f99(
    watched: WatchedPlatform, folder_of_gigabytes: Path
) -> None:
    with watched.fresh_bucket() as bucket, stalling(watched, bucket):
        upload = BucketUploadDirOperator(task_id="upload", src=str(folder_of_gigabytes), dst=f"blob:{bucket}/")
        task = Task(upload)
        wait_until(lambda: watched.unfinished(bucket))
        upload.on_kill()
        error = task.ended()
        assert isinstance(error, AirflowException)
        assert not isinstance(error, AirflowFailException)
        assert "upload was stopped" in str(error)
        assert watched.unfinished(bucket) == []


def test_a_killed_download_stops_and_leaves_no_temporary_file_f99(watched: WatchedPlatform, tmp_path: Path) -> None:
    with watched.fresh_bucket() as bucket:
        watched.put(bucket, **{f"{number}.bin": bytes(24 * MIB) for number in range(6)})
        download = BucketDownloadDirOperator(task_id="download", src=f"blob:{bucket}/", dst=str(tmp_path / "down"))
        with stalling(watched, bucket):
            task = Task(download)
            wait_until(lambda: (tmp_path / "down").exists() and any((tmp_path / "down").iterdir()))
            download.on_kill()
            error = task.ended()
    assert isinstance(error, AirflowException)
    assert "download was stopped" in str(error)
    whole = {f"{number}.bin" for number in range(6)}
    assert {path.name for path in (tmp_path / "down").iterdir()} <= whole
    assert all(path.stat().st_size == 24 * MIB for path in (tmp_path / "down").iterdir())


def test_a_killed_upload_of_one_file_stops_and_leaves_no_unfinished_part(
    watched: WatchedPlatform, folder_of_gigabytes: Path
) -> None:
    file = folder_of_gigabytes / "whole.bin"
    with file.open("wb") as opened:
        opened.truncate(2048 * MIB)
    with watched.fresh_bucket() as bucket, stalling(watched, bucket):
        upload = BucketUploadFileOperator(task_id="upload", src=str(file), dst=f"blob:{bucket}/whole")
        task = Task(upload)
        wait_until(lambda: watched.unfinished(bucket))
        upload.on_kill()
        assert "upload was stopped" in str(task.ended())
        assert watched.unfinished(bucket) == []
        assert watched.keys(bucket) == []


def test_a_killed_download_of_one_file_stops_and_leaves_the_old_file(watched: WatchedPlatform, tmp_path: Path) -> None:
    (tmp_path / "down").mkdir()
    file = tmp_path / "down" / "file"
    file.write_bytes(b"old")
    with watched.fresh_bucket() as bucket:
        watched.put(bucket, big=bytes(64 * MIB))
        download = BucketDownloadFileOperator(task_id="download", src=f"blob:{bucket}/big", dst=str(file))
        with stalling(watched, bucket):
            task = Task(download)
            wait_until(lambda: len(list((tmp_path / "down").iterdir())) > 1)
            download.on_kill()
            assert "download was stopped" in str(task.ended())
    assert list((tmp_path / "down").iterdir()) == [file]
    assert file.read_bytes() == b"old"


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
