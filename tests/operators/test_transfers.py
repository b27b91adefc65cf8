"""Operators that move files, on a real platform."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import NotADirectory, TransferError
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketUploadDirOperator,
)
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")

FILES = {
    "two words": b"1",
    "a+b": b"22",
    "100%": b"333",
    "%20": b"4444",
    "#1": b"",
    "what?": b"6",
    "this & that": b"7",
    'it\'s "so"': b"8",
    "[1]{2}": b"9",
    "sub folder/é/日本語": b"10",
}
NUMBERS = {
    "files": len(FILES),
    "verified": len(FILES),
    "bytes": sum(map(len, FILES.values())),
    "unchanged": 0,
    "skipped": 0,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "what to move #1"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_up_and_comes_down_as_it_was(platform: Platform, bucket: str, folder: Path) -> None:
    up = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data").execute({})
    assert platform.keys(bucket) == sorted(f"data/{name}" for name in FILES)
    back = folder.parent / "back"
    down = BucketDownloadDirOperator(task_id="t", src=f"blob:{bucket}/data", dst=str(back)).execute({})
    assert content_of(back) == FILES
    assert {name: up[name] for name in NUMBERS} == NUMBERS
    assert {name: down[name] for name in NUMBERS} == NUMBERS
    assert up["uri"] == down["uri"] == f"blob:{bucket}/data"


def test_a_folder_is_copied_from_bucket_to_bucket_and_only_what_is_new_a_second_time(
    platform: Platform, bucket: str, folder: Path
) -> None:
    BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data").execute({})
    with platform.fresh_bucket() as other:
        copy = BucketCopyDirOperator(task_id="t", src=f"blob:{bucket}/data", dst=f"blob:{other}/copy/", update=True)
        first = copy.execute({})
        assert platform.keys(other) == sorted(f"copy/{name}" for name in FILES)
        assert {name: first[name] for name in NUMBERS} == NUMBERS
        assert first["uri"] == f"blob:{other}/copy/"
        platform.put(bucket, **{"data/new": b"new"})
        second = copy.execute({})
        assert (second["files"], second["unchanged"]) == (1, len(FILES))
        assert json.loads(json.dumps(second)) == second
        back = folder.parent / "back"
        BucketDownloadDirOperator(task_id="t", src=f"blob:{other}/copy", dst=str(back)).execute({})
    assert content_of(back) == {**FILES, "new": b"new"}


def test_a_folder_that_is_copied_into_itself_fails_the_task_at_once(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"data/blob": b"x"})
    with pytest.raises(AirflowFailException, match="into itself"):
        BucketCopyDirOperator(task_id="t", src=f"blob:{bucket}/data", dst=f"blob:{bucket}/data/copy").execute({})
    assert platform.keys(bucket) == ["data/blob"]


def test_the_result_is_small_and_json_whatever_was_moved(bucket: str, folder: Path) -> None:
    result = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/").execute({})
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {"uri", "files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "skipped"}
    assert len(json.dumps(result)) < 500


def test_update_moves_only_what_changed(bucket: str, folder: Path) -> None:
    again = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/", update=True)
    again.execute({})
    (folder / "new").write_bytes(b"new")
    second = again.execute({})
    assert (second["files"], second["unchanged"]) == (1, len(FILES))
    back = BucketDownloadDirOperator(task_id="t", src=f"blob:{bucket}/", dst=str(folder.parent / "back"), update=True)
    assert back.execute({})["files"] == len(FILES) + 1
    assert back.execute({})["unchanged"] == len(FILES) + 1


def test_ignore_files_are_followed_if_named(platform: Platform, bucket: str, folder: Path) -> None:
    (folder / ".gitignore").write_text("*\n!two words\n")
    BucketUploadDirOperator(
        task_id="t", src=str(folder), dst=f"blob:{bucket}/", ignore_file_names=[".gitignore"]
    ).execute({})
    assert platform.keys(bucket) == ["two words"]


def test_a_link_that_leads_out_of_the_folder_fails_the_task_and_names_the_choice(
    platform: Platform, bucket: str, folder: Path
) -> None:
    secret = folder.parent / "secret"
    secret.write_bytes(b"of the worker")
    (folder / "link").symlink_to(secret)
    upload = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/")
    with pytest.raises(TransferError, match="symlinks") as error:
        upload.execute({})
    assert "neuro_buckets_default" in str(error.value)
    assert "link" not in platform.keys(bucket)
    assert len(platform.keys(bucket)) == len(FILES)
    upload.symlinks = "skip"
    assert upload.execute({})["skipped"] == 1


def test_a_source_that_is_a_file_is_told(bucket: str, folder: Path) -> None:
    with pytest.raises(NotADirectory, match="two words"):
        BucketUploadDirOperator(task_id="t", src=str(folder / "two words"), dst=f"blob:{bucket}/").execute({})


def test_a_file_url_is_a_folder_too(bucket: str, folder: Path) -> None:
    upload = BucketUploadDirOperator(task_id="t", src=folder.as_uri(), dst=f"blob:{bucket}/")
    assert upload.execute({})["files"] == len(FILES)


@pytest.mark.parametrize("dst", ["bucket/folder", "file:///tmp", "blob:", "blob:bucket?x=1"])
def test_a_destination_that_is_no_address_fails_the_task_at_once(platform: Platform, folder: Path, dst: str) -> None:
    assert platform.running.token
    with pytest.raises(AirflowFailException) as error:
        BucketUploadDirOperator(task_id="t", src=str(folder), dst=dst).execute({})
    assert repr(dst) in str(error.value)


def test_the_log_sums_a_transfer_up_in_one_line(
    bucket: str, folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/").execute({})
    said = caplog.text + "".join(capfd.readouterr())
    assert f"{len(FILES)} files" in said
