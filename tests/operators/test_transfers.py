"""Operators that move files, on a real platform."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import IsADirectory, NotADirectory, TransferError
from airflow_provider_neuro_buckets.buckets.uri import quote_key
from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketRmOperator
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketDownloadFileOperator,
    BucketUploadDirOperator,
    BucketUploadFileOperator,
)
from platform_rig import Platform

Contents = Callable[[str], dict[str, bytes]]

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
    numbers = {"files", "verified", "bytes", "seconds", "bytes_per_second", "unchanged", "kept", "skipped"}
    assert set(result) == {"uri", *numbers}
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


@pytest.mark.parametrize("names", [[".gitignore"], ".gitignore"])
def test_ignore_files_are_followed_if_named(
    platform: Platform, bucket: str, folder: Path, names: str | list[str]
) -> None:
    """One name may stand by itself: a comma is soon forgotten, and what should be ignored would be uploaded."""
    (folder / ".gitignore").write_text("*\n!two words\n")
    BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/", ignore_file_names=names).execute({})
    assert platform.keys(bucket) == ["two words"]


def test_an_empty_template_is_not_the_folder_in_which_the_worker_runs(
    platform: Platform, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(AirflowFailException, match="'' is not a local path"):
        BucketUploadDirOperator(task_id="t", src="", dst=f"blob:{bucket}/").execute({})
    assert platform.keys(bucket) == []


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


# One file


@pytest.mark.parametrize("name", FILES)
def test_a_file_goes_up_and_comes_down_as_it_was(
    platform: Platform, bucket: str, folder: Path, contents: Contents, name: str
) -> None:
    uri = f"blob:{bucket}/{quote_key(name)}"
    up = BucketUploadFileOperator(task_id="t", src=str(folder / name), dst=uri).execute({})
    assert contents(bucket) == {name: FILES[name]}
    back = folder.parent / "back"
    down = BucketDownloadFileOperator(task_id="t", src=uri, dst=back.as_uri()).execute({})
    assert back.read_bytes() == FILES[name]
    for done in (up, down):
        assert (done["uri"], done["files"], done["bytes"], done["verified"]) == (uri, 1, len(FILES[name]), 1)
        assert json.loads(json.dumps(done)) == done
    assert platform.keys(bucket) == [name]


def test_a_file_that_is_up_to_date_is_left_alone_if_told_so(bucket: str, folder: Path) -> None:
    up = BucketUploadFileOperator(task_id="t", src=str(folder / "a+b"), dst=f"blob:{bucket}/a", update=True)
    assert [up.execute({})["files"], up.execute({})["unchanged"]] == [1, 1]
    down = BucketDownloadFileOperator(
        task_id="t", src=f"blob:{bucket}/a", dst=str(folder / "new"), update=True, continue_=True
    )
    assert [down.execute({})["files"], down.execute({})["unchanged"]] == [1, 1]


def test_a_folder_is_no_file(platform: Platform, bucket: str, folder: Path) -> None:
    platform.put(bucket, **{"dir/a": b"1"})
    with pytest.raises(IsADirectory, match="upload_dir"):
        BucketUploadFileOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/up").execute({})
    with pytest.raises(IsADirectory, match="neuro_buckets_default"):
        BucketUploadFileOperator(task_id="t", src=str(folder / "a+b"), dst=f"blob:{bucket}/dir").execute({})
    with pytest.raises(IsADirectory):
        BucketDownloadFileOperator(task_id="t", src=f"blob:{bucket}/dir", dst=str(folder / "new")).execute({})
    assert platform.keys(bucket) == ["dir/a"]
    assert not (folder / "new").exists()


# Dry runs


def test_a_dry_run_of_an_upload_counts_what_would_move_and_moves_nothing(
    platform: Platform, bucket: str, folder: Path, contents: Contents, said: Callable[[], str]
) -> None:
    real = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data", update=True)
    dry = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data", update=True, dry_run=True)
    (folder / "empty").mkdir()
    done = dry.execute({})
    assert platform.keys(bucket) == []
    assert (done["files"], done["bytes"], done["dry_run"]) == (NUMBERS["files"], NUMBERS["bytes"], True)
    assert f"would go to blob://local/neuro/demo/{bucket}/data/two%20words (1 bytes)" in said()
    real.execute({})
    (folder / "new").write_bytes(b"new")
    (folder / "two words").write_bytes(b"changed")
    before = contents(bucket)
    done = dry.execute({})
    assert (done["files"], done["bytes"], done["unchanged"]) == (2, 10, len(FILES) - 1)
    assert contents(bucket) == before
    assert real.execute({})["files"] == 2


def test_a_dry_run_of_a_download_makes_no_file_and_no_folder(
    bucket: str, folder: Path, said: Callable[[], str]
) -> None:
    BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data").execute({})
    back = folder.parent / "deeper" / "back"
    given: dict[str, Any] = {"task_id": "t", "src": f"blob:{bucket}/data", "dst": str(back), "update": True}
    done = BucketDownloadDirOperator(**given, dry_run=True).execute({})
    assert (done["files"], done["bytes"], done["dry_run"]) == (NUMBERS["files"], NUMBERS["bytes"], True)
    assert "two%20words would go to file://" in said()
    assert not back.parent.exists()
    BucketDownloadDirOperator(**given).execute({})
    (back / "two words").unlink()
    before = content_of(back)
    done = BucketDownloadDirOperator(**given, dry_run=True).execute({})
    assert (done["files"], done["unchanged"]) == (1, len(FILES) - 1)
    assert content_of(back) == before


def test_a_dry_run_of_a_copy_leaves_the_destination_as_it_is(
    platform: Platform, bucket: str, folder: Path, contents: Contents, said: Callable[[], str]
) -> None:
    BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/data").execute({})
    with platform.fresh_bucket() as other:
        platform.put(other, **{"copy/two words": b"1", "copy/else": b"x"})
        before = contents(other)
        dry = BucketCopyDirOperator(
            task_id="t", src=f"blob:{bucket}/data", dst=f"blob:{other}/copy", update=True, dry_run=True
        )
        done = dry.execute({})
        assert (done["files"], done["unchanged"], done["dry_run"]) == (len(FILES) - 1, 1, True)
        assert f"would go to blob://local/neuro/demo/{other}/copy/a%2Bb" in said()
        assert contents(other) == before


def test_a_dry_run_of_one_file_moves_nothing(
    bucket: str, folder: Path, contents: Contents, said: Callable[[], str]
) -> None:
    uri = f"blob:{bucket}/a"
    up = BucketUploadFileOperator(task_id="t", src=str(folder / "a+b"), dst=uri, dry_run=True).execute({})
    assert contents(bucket) == {}
    BucketUploadFileOperator(task_id="t", src=str(folder / "a+b"), dst=uri).execute({})
    target = folder / "two words"
    down = BucketDownloadFileOperator(task_id="t", src=uri, dst=str(target), dry_run=True).execute({})
    assert target.read_bytes() == FILES["two words"]
    for done in (up, down):
        assert (done["files"], done["bytes"], done["dry_run"]) == (1, 2, True)
    assert len(set(re.findall(r"(\S+) would go to", said()))) == 2  # Airflow 3.0 may log and print it


def test_a_dry_run_tells_what_the_real_run_would_refuse(platform: Platform, bucket: str, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    upload = BucketUploadDirOperator(task_id="t", src=str(folder), dst=f"blob:{bucket}/", dry_run=True)
    with pytest.raises(TransferError, match="symlinks"):
        upload.execute({})
    assert platform.keys(bucket) == []


def test_a_dry_run_needs_no_right_to_write(
    platform: Platform, bucket: str, folder: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a token that may only read, the platform itself would refuse to change anything."""
    platform.put(bucket, **{"dir/a": b"1"})
    (folder / "large").write_bytes(bytes(20_000_000))
    connection = platform.running.connection.replace(platform.running.token, platform.running.readonly_token)
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
    uri = f"blob:{bucket}/dir"
    given: dict[str, Any] = {"task_id": "t", "dry_run": True}
    dry = [
        BucketUploadDirOperator(src=str(folder), dst=uri, **given),
        BucketUploadFileOperator(src=str(folder / "large"), dst=f"{uri}/a", **given),
        BucketCopyDirOperator(src=uri, dst=f"blob:{bucket}/copy", **given),
        BucketBlobRmOperator(uri=uri, recursive=True, **given),
        BucketPutBlobOperator(bucket_id_or_name=bucket, key="dir/a", body="new", **given),
        BucketRmOperator(bucket_id_or_name=bucket, force=True, allow_whole_bucket=True, **given),
    ]
    assert [operator.execute({})["files"] for operator in dry] == [len(FILES) + 1, 1, 1, 1, 1, 1]
    assert contents(bucket) == {"dir/a": b"1"}
