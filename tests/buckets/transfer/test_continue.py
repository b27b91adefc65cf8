from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import Conflict
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ
from buckets.transfer.asking import download, download_one, upload_one
from buckets.transfer.recording import Recorder
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, remote
from conformance.rigs.base import Rig
from conformance.rigs.s3 import S3Rig

SMALL = random.Random(4).randbytes(300_000)
LARGE = random.Random(5).randbytes(SINGLE_READ + PART + 99)
"""Has an MD5 when it was written in one request, and the ETag of parts when it was not."""


def arrived(calls: list[Call]) -> int:
    """Return where the first byte lies that was read."""
    return min(call.start for call in calls if call.verb == "read")


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("in_parts", [False, True], ids=["one request", "parts"])
@pytest.mark.parametrize("existing", [Existing.CONTINUE, Existing.UPDATE_OR_CONTINUE])
async def test_a_true_beginning_is_gone_on_with_and_only_the_rest_is_fetched(
    aws: Rig, tmp_path: Path, content: bytes, *, in_parts: bool, existing: Existing
) -> None:
    plant(tmp_path, {"src": content, "dst": content[: len(content) // 2]})
    os.utime(tmp_path / "dst", (1, 1))
    there, store = remote(aws, "k")
    if in_parts:
        await upload_one(tmp_path / "src", there)
    else:
        await aws.put("k", content)
    recorder = Recorder()
    report = await download_one(there, tmp_path / "dst", existing=existing, progress=recorder)
    half = len(content) // 2
    assert (tmp_path / "dst").read_bytes() == content
    assert arrived(store.calls) == half
    assert (report.files, report.bytes, report.unchanged) == (1, len(content) - half, 0)
    assert recorder.steps()[0] == half
    assert recorder.steps() == sorted(recorder.steps())
    assert recorder.steps()[-1] == len(content)
    assert (tmp_path / "dst").stat().st_mtime == (await aws.store.head("k")).modified_at.timestamp()  # type: ignore[union-attr]  # S3 knows it


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("flaw", ["first byte", "last byte", "longer", "garbage of the size", "empty"])
async def test_anything_else_is_fetched_anew(aws: Rig, tmp_path: Path, content: bytes, flaw: str) -> None:
    half = content[: len(content) // 2]
    present = {
        "first byte": bytes([half[0] ^ 1]) + half[1:],
        "last byte": half[:-1] + bytes([half[-1] ^ 1]),
        "longer": content + b"x",
        "garbage of the size": b"x" * len(content),
        "empty": b"",
    }[flaw]
    plant(tmp_path, {"dst": present})
    await aws.put("k", content)
    there, _ = remote(aws, "k")
    recorder = Recorder()
    report = await download_one(there, tmp_path / "dst", existing=Existing.CONTINUE, progress=recorder)
    assert snapshot(tmp_path) == {"dst": content}
    assert (report.files, report.bytes) == (1, len(content))
    assert recorder.steps()[-1] == len(content)


async def test_without_anything_to_compare_with_a_beginning_is_not_trusted(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"dst": LARGE[:PART]})
    there, store = remote(aws, "k")
    assert isinstance(aws, S3Rig)
    await aws.put_parts("k", [LARGE[: 6 * MIB + 1], LARGE[6 * MIB + 1 :]])  # of parts that nobody would guess
    report = await download_one(there, tmp_path / "dst", existing=Existing.CONTINUE)
    assert (tmp_path / "dst").read_bytes() == LARGE
    assert report.bytes == len(LARGE)
    assert 0 in store.starts("read")


async def test_a_whole_file_is_left_alone_once_its_bytes_are_known_to_be_right(aws: Rig, tmp_path: Path) -> None:
    await aws.put("d/f", SMALL)
    await aws.put("d/g", SMALL)
    plant(tmp_path, {"f": SMALL, "g": b"x" * len(SMALL)})
    for name in "fg":
        os.utime(tmp_path / name, (9e9, 9e9))  # newer than the blobs
    there, store = remote(aws, "d")
    report = await download(there, tmp_path, existing=Existing.CONTINUE)
    assert (report.files, report.unchanged) == (1, 1)
    assert [call.key for call in store.calls if call.verb == "read"] == ["d/g"]
    assert snapshot(tmp_path) == {"f": SMALL, "g": SMALL}


async def test_a_file_that_is_newer_is_left_alone_when_both_flags_are_given(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", b"blob")
    plant(tmp_path, {"f": b"mine"})
    os.utime(tmp_path / "f", (9e9, 9e9))
    there, _ = remote(aws, "k")
    assert (await download_one(there, tmp_path / "f", existing=Existing.UPDATE_OR_CONTINUE)).unchanged == 1
    assert snapshot(tmp_path) == {"f": b"mine"}
    assert (await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)).files == 1
    assert snapshot(tmp_path) == {"f": b"blob"}


async def test_the_old_beginning_stays_when_going_on_fails(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    plant(tmp_path, {"f": LARGE[:PART]})

    async def fail(call: Call) -> None:
        if call.verb == "chunk" and call.start > 2 * PART:
            raise ZeroDivisionError

    there, _ = remote(aws, "k", fail)
    with pytest.raises(ZeroDivisionError):
        await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {"f": LARGE[:PART]}


async def test_a_blob_replaced_meanwhile_is_never_glued_to_the_old_beginning(aws: Rig, tmp_path: Path) -> None:
    new = random.Random(6).randbytes(len(LARGE))
    await aws.put("k", LARGE)
    plant(tmp_path, {"f": LARGE[:PART]})
    replaced = False

    async def replace(call: Call) -> None:
        nonlocal replaced
        if call.verb == "read" and not replaced:
            replaced = True
            await aws.put("k", new)

    there, _ = remote(aws, "k", replace)
    report = await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {"f": new}
    assert report.files == 1


async def test_a_blob_that_is_replaced_all_the_time_is_a_conflict_and_the_old_file_stays(
    aws: Rig, tmp_path: Path
) -> None:
    await aws.put("k", SMALL)
    plant(tmp_path, {"f": SMALL[:100]})
    versions = iter(range(1000))

    async def replace(call: Call) -> None:
        if call.verb == "read":
            await aws.put("k", b"%d" % next(versions) + SMALL)

    there, _ = remote(aws, "k", replace)
    with pytest.raises(Conflict):
        await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {"f": SMALL[:100]}


async def test_a_link_is_not_gone_on_with_but_replaced(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", SMALL)
    plant(tmp_path, {"outside": SMALL[:100], "dst/": None})
    (tmp_path / "dst" / "f").symlink_to(tmp_path / "outside")
    there, _ = remote(aws, "k")
    await download_one(there, tmp_path / "dst" / "f", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {"outside": SMALL[:100], "dst/": None, "dst/f": SMALL}


async def test_a_folder_is_gone_on_with_file_by_file(buckets: Buckets, place: str, tmp_path: Path) -> None:
    tree = {"whole": SMALL, "half": LARGE, "d/missing": b"missing", "d/wrong": SMALL}
    await buckets.upload_dir(plant(tmp_path / "src", tree), place)
    plant(tmp_path / "dst", {"whole": SMALL, "half": LARGE[:-5], "d/wrong": b"wrong"})
    report = await buckets.download_dir(place, tmp_path / "dst", continue_=True)
    assert snapshot(tmp_path / "dst") == snapshot(tmp_path / "src")
    assert (report.files, report.unchanged) == (3, 1)
    assert report.bytes == 5 + len(b"missing") + len(SMALL)
