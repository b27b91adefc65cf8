"""A task that is tried again moves only what its earlier tries have not, as Airflow's task state store tells."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.operators import tries as module
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketUploadDirOperator,
)
from airflow_provider_neuro_buckets.operators.tries import MARK, tries_of
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")


@dataclass
class States:
    """A task state store, as Airflow gives it to the tries of a task in a run."""

    kept: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert retention is None
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


@dataclass
class Tried:
    """The task instance of a try."""

    try_number: int
    max_tries: int = 1


def first(states: States | None, *, retries: int = 1) -> Any:
    return {"ti": Tried(1, retries), "task_state_store": states}


def second(states: States | None) -> Any:
    return {"ti": Tried(2), "task_state_store": states}


def third(states: States) -> Any:
    return {"ti": Tried(3, 3), "task_state_store": states}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of which one entry cannot be uploaded."""
    folder = tmp_path / "src"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode())
    (folder / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_bytes(b"outside")
    return folder


def mend(folder: Path) -> None:
    (folder / "out").unlink()
    (folder / "out").write_bytes(b"mended")


Upload = Callable[..., BucketUploadDirOperator]


@pytest.fixture
def upload(bucket: str, folder: Path) -> Upload:
    def upload(**options: Any) -> BucketUploadDirOperator:
        return BucketUploadDirOperator(task_id="t", **{"src": str(folder), "dst": f"blob:{bucket}/up", **options})

    return upload


def failed_once(upload: Upload, folder: Path, states: States | None = None) -> States:
    states = states or States()
    with pytest.raises(TransferError):
        upload().execute(first(states))
    mend(folder)
    return states


def test_a_retry_uploads_only_what_the_first_try_did_not_f98(upload: Upload, folder: Path) -> None:
    states = failed_once(upload, folder)
    done = upload().execute(second(states))
    assert (done["files"], done["kept"], done["unchanged"], done["bytes"]) == (1, 3, 0, len(b"mended"))


def test_a_file_that_changed_between_the_tries_is_uploaded_again_even_with_its_old_time(
    platform: Platform, upload: Upload, folder: Path, bucket: str
) -> None:
    before = (folder / "b").stat()
    states = failed_once(upload, folder)
    (folder / "b").write_bytes(b"B")
    os.utime(folder / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    done = upload().execute(second(states))
    assert (done["files"], done["kept"]) == (2, 2)

    async def b(buckets: Any) -> bytes:
        return b"".join([chunk async for chunk in buckets.fetch_blob(bucket, "up/b")])

    assert platform.ask(b) == b"B"


def test_the_first_try_of_another_run_replaces_everything(upload: Upload, folder: Path) -> None:
    failed_once(upload, folder)
    done = upload().execute(first(States()))
    assert (done["files"], done["kept"]) == (4, 0)


def test_after_a_success_nothing_is_remembered_and_a_cleared_task_replaces_everything(
    upload: Upload, folder: Path
) -> None:
    states = failed_once(upload, folder)
    upload().execute(second(states))
    assert states.kept == {}
    done = upload().execute(third(states))
    assert (done["files"], done["kept"]) == (4, 0)


def test_a_retry_that_moves_something_else_begins_from_scratch(upload: Upload, folder: Path, bucket: str) -> None:
    states = failed_once(upload, folder)
    done = upload(dst=f"blob:{bucket}/up/").execute(second(states))
    assert (done["files"], done["kept"]) == (4, 0)


def test_what_lay_at_the_destination_before_the_first_try_is_replaced_by_its_retry(
    upload: Upload, folder: Path
) -> None:
    upload(symlinks="skip").execute(first(States()))
    states = failed_once(upload, folder)
    states.kept[MARK]["began"] = states.kept[MARK]["began"].replace("20", "21", 1)  # later than all that is there
    done = upload().execute(second(states))
    assert (done["files"], done["kept"]) == (4, 0)


@pytest.mark.parametrize("states", [States({MARK: None}), None], ids=["on another worker", "without a store"])
def test_where_times_tell_nothing_equal_contents_are_kept(upload: Upload, folder: Path, states: States | None) -> None:
    remembered = failed_once(upload, folder)
    (folder / "b").write_bytes(b"B")
    if states is not None:
        states.kept = {MARK: {**remembered.kept[MARK], "host": f"not {socket.gethostname()}"}}
    done = upload().execute(second(states))
    assert (done["files"], done["kept"]) == (2, 2)


def test_a_mark_holds_what_is_moved_and_no_secret(
    platform: Platform, upload: Upload, folder: Path, bucket: str
) -> None:
    mark = failed_once(upload, folder).kept[MARK]
    assert mark["what"] == {"conn": "neuro_buckets_default", "src": str(folder), "dst": f"blob:{bucket}/up"}
    assert mark.keys() == {"what", "host", "began", "uploads"}
    assert platform.running.token not in str(mark)


def test_what_finds_the_large_uploads_that_were_cut_off_is_written_down_for_the_next_try(upload: Upload) -> None:
    states = States()

    def cut_off() -> None:
        with tries_of(upload(), first(states)) as tries:
            assert (tries.has_earlier, tries.has_later) == (False, True)
            tries.notes["key"] = ["file", "id 1,2"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut_off()
    states.kept = json.loads(json.dumps(states.kept))
    with tries_of(upload(), second(states)) as tries:
        assert tries.notes == {"key": ["file", "id 1,2"]}
        assert (tries.has_earlier, tries.has_later) == (True, False)
    assert states.kept == {}


def test_it_is_written_down_while_the_try_goes_on_too_for_a_process_that_is_killed_has_no_time_for_it(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITES_EVERY", 0.001)
    states, written = States(), threading.Event()

    def set_it(key: str, value: Any, **_: Any) -> None:
        States.set(states, key, value)
        if value["uploads"]:
            written.set()

    monkeypatch.setattr(states, "set", set_it)
    with tries_of(upload(), first(states)) as tries:
        tries.begins("key", "file", lambda: "id 1-2")
        assert written.wait(30)
        assert states.kept[MARK]["uploads"] == {"key": ["file", "id 1-2"]}
        assert tries.notes == {}
    assert states.kept == {}


def test_a_retry_downloads_only_what_the_first_try_did_not_and_what_changed_since(
    platform: Platform, bucket: str, tmp_path: Path
) -> None:
    platform.put(bucket, **{"d/a": b"a", "d/b": b"b", "d/c": b"c"})
    download = BucketDownloadDirOperator(task_id="t", src=f"blob:{bucket}/d", dst=str(tmp_path / "dst"))
    (tmp_path / "dst" / "c").mkdir(parents=True)
    (tmp_path / "dst" / "b").write_bytes(b"?")
    states = States()
    with pytest.raises(TransferError):
        download.execute(first(states))
    (tmp_path / "dst" / "c").rmdir()
    platform.put(bucket, **{"d/a": b"A"})
    done = download.execute(second(states))
    assert (done["files"], done["kept"]) == (2, 1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "dst").iterdir()} == {"a": b"A", "b": b"b", "c": b"c"}
    assert download.execute(first(States()))["files"] == 3


def test_a_retry_copies_only_what_the_first_try_did_not_and_what_changed_since(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"d/a": b"a", "d/b": b"b"})
    copy = BucketCopyDirOperator(task_id="t", src=f"blob:{bucket}/d", dst=f"blob:{bucket}/e")
    states = States()
    copy.execute(first(states))
    platform.put(bucket, **{"d/a": b"A", "d/c": b"c"})
    done = copy.execute(second(None))
    assert (done["files"], done["kept"]) == (2, 1)


class FullStore(States):
    """Takes the mark of the first try, and nothing more."""

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        if self.kept:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"it": "is full"}))
        super().set(key, value, retention=retention)


def test_a_store_that_takes_no_notes_does_not_hide_why_a_transfer_failed(
    upload: Upload, caplog: pytest.LogCaptureFixture
) -> None:
    states = FullStore()

    def fail() -> None:
        with tries_of(upload(), first(states)) as tries:
            tries.begins("large", "version", lambda: "its parts")
            raise TransferError("some files failed")

    with pytest.raises(TransferError, match="some files failed"):
        fail()
    assert "The next try will begin the large uploads anew" in caplog.text
    assert states.kept[MARK]["uploads"] == {}
