from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError, SourceChanged, TransferError
from airflow_provider_neuro_buckets.buckets.transfer.plan import SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from buckets.transfer.asking import upload, upload_one
from buckets.transfer.trees import plant
from buckets.transfer.watched import Call, failing, remote
from conformance.rigs.base import Rig

SMALL = b"new content"
LARGE = random.Random(8).randbytes(SINGLE_READ + 77)

pytestmark = pytest.mark.usefixtures("no_open_files")


@pytest.mark.parametrize(("verb", "at"), [("multipart", 0), ("part", 0), ("part", 2), ("complete", 0)])
async def test_an_upload_that_fails_in_the_middle_keeps_the_old_blob_and_leaves_no_parts(
    s3: Rig, tmp_path: Path, verb: str, at: int
) -> None:
    plant(tmp_path, {"f": LARGE})
    await s3.put("k", b"old")
    with pytest.raises(PermissionError):
        await upload_one(tmp_path / "f", remote(s3, "k", failing(verb, PermissionError("no"), at=at))[0])
    assert await s3.get("k") == b"old"
    assert await s3.unfinished() == []


async def test_bytes_that_arrive_broken_once_are_sent_again_and_then_given_up(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"f": SMALL})
    broken = IntegrityError("other bytes")
    fails = iter([broken])

    async def once(call: Call) -> None:
        if call.verb == "written" and (error := next(fails, None)):
            raise error

    await upload_one(tmp_path / "f", remote(aws, "k", once)[0])
    assert await aws.get("k") == SMALL
    there, store = remote(aws, "k", failing("written", broken))
    with pytest.raises(IntegrityError):
        await upload_one(tmp_path / "f", there)
    assert [call.verb for call in store.calls].count("write") == 2


# A source that does not hold still


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"XX")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("change", [overwrite, grow, shrink])
@pytest.mark.parametrize(("verb", "start"), [("part", 1), ("part", 2), ("part", 3)])
async def test_a_file_that_changes_while_its_parts_are_sent_is_not_kept_f72(
    aws: Rig, tmp_path: Path, change: Callable[[Path], None], verb: str, start: int
) -> None:
    plant(tmp_path, {"f": LARGE})
    os.utime(tmp_path / "f", (1, 1))
    await aws.put("k", b"old")

    async def meddle(call: Call) -> None:
        if (call.verb, call.start) == (verb, start):
            change(tmp_path / "f")

    with pytest.raises(SourceChanged, match=str(tmp_path / "f")):
        await upload_one(tmp_path / "f", remote(aws, "k", meddle)[0])
    assert await aws.get("k") == b"old"
    assert await aws.unfinished() == []


async def test_in_a_folder_only_the_file_that_changed_fails_f72(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"a": SMALL, "b": LARGE, "c": SMALL})
    os.utime(tmp_path / "b", (1, 1))

    async def meddle(call: Call) -> None:
        if call.verb == "part":
            grow(tmp_path / "b")

    with pytest.raises(TransferError) as caught:
        await upload(tmp_path, remote(aws, "x", meddle)[0])
    assert {key: type(error) for key, error in caught.value.failures.items()} == {str(tmp_path / "b"): SourceChanged}
    assert sorted(await aws.names()) == ["x/a", "x/c"]
    assert await aws.unfinished() == []


async def test_a_small_file_that_became_large_before_its_turn_is_sent_as_it_is_now(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"a": SMALL, "z": SMALL})

    async def meddle(call: Call) -> None:
        if call == Call("write", "x/a"):
            plant(tmp_path, {"z": LARGE})

    there, _ = remote(aws, "x", meddle)
    await upload(tmp_path, there, through=Window(max_concurrency=1, max_buffer_bytes=1))  # one is read at a time
    assert await aws.get("x/z") == LARGE
