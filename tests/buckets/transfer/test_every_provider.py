from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.buckets.transfer.checksum import can_compare
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from buckets.transfer.asking import download, upload
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import failing, remote
from conformance.rigs.base import Rig

LARGE = random.Random(11).randbytes(SINGLE_READ + 321)
TREE = {
    "a b+%20#?&é'.txt": b"names",
    "d/e/f": b"deep",
    "empty": b"",
    "part": LARGE[:PART],
    "large": LARGE,
    "folder/": None,
}
FILES = sum(content is not None for content in TREE.values())


async def test_a_folder_goes_there_and_back_and_nothing_moves_the_second_time(rig: Rig, tmp_path: Path) -> None:
    src, dst = plant(tmp_path / "src", TREE), tmp_path / "dst"
    there, _ = remote(rig, "x")
    assert (await upload(src, there)).files == FILES
    assert sorted(await rig.names()) == sorted(f"x/{path}" for path in TREE)
    assert (await download(there, dst)).files == FILES
    assert snapshot(dst) == snapshot(src)
    # Where the provider has nothing to compare with, a blob read in the second of its writing is moved once more.
    sure = FILES if can_compare(await rig.store.head("x/large")) else FILES - 1
    for existing in (Existing.UPDATE, Existing.CONTINUE, Existing.UPDATE_OR_CONTINUE):
        report = await download(there, dst, existing=existing)
        assert report.unchanged in {sure, FILES}
        assert report.files == FILES - report.unchanged
    report = await upload(src, there, existing=Existing.UPDATE)
    assert report.unchanged in {sure, FILES}
    assert report.files == FILES - report.unchanged


async def test_what_changes_at_either_end_within_a_second_is_moved(rig: Rig, tmp_path: Path) -> None:
    src, dst = plant(tmp_path / "src", {"f": b"one", "g": b"one"}), tmp_path / "dst"
    there, _ = remote(rig, "x")
    await upload(src, there)
    await download(there, dst)
    plant(src, {"f": b"two"})
    report = await upload(src, there, existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (1, 1)
    report = await download(there, dst, existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (1, 1)
    assert snapshot(dst) == {"f": b"two", "g": b"one"}


async def test_a_true_beginning_is_gone_on_with(rig: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", {"f": LARGE})
    there, store = remote(rig, "x")
    await upload(src, there)
    plant(tmp_path / "dst", {"f": LARGE[:PART]})
    report = await download(there, tmp_path / "dst", existing=Existing.CONTINUE)
    assert snapshot(tmp_path / "dst") == {"f": LARGE}
    if can_compare(await rig.store.head("x/f")):
        assert min(store.starts("read")) == PART
        assert report.bytes == len(LARGE) - PART


async def test_a_part_that_fails_leaves_the_old_blob_and_no_upload(rig: Rig, tmp_path: Path) -> None:
    await rig.put("x/f", b"old")
    src = plant(tmp_path / "src", {"f": LARGE, "g": b"g"})
    with pytest.raises(TransferError):
        await upload(src, remote(rig, "x", failing("part", PermissionError("no"), at=1))[0])
    assert await rig.get("x/f") == b"old"
    assert await rig.get("x/g") == b"g"
    assert await rig.unfinished() in ([], None)


@pytest.mark.parametrize("tries", [ONLY_TRY, Tries(has_later=True)], ids=["only", "first of some"])
async def test_a_large_file_that_is_emptied_before_its_turn_is_uploaded_empty(
    rig: Rig, tmp_path: Path, tries: Tries
) -> None:
    """As a log is that somebody rotates meanwhile."""
    src = plant(tmp_path / "src", {"log": LARGE, "other": b"x"})

    async def rotate(path: str) -> bool:
        if path == "log":
            os.truncate(src / path, 0)
        return True

    report = await upload(src, remote(rig, "x")[0], keep=rotate, tries=tries)
    assert (report.files, report.bytes) == (2, 1)
    assert [await rig.get(key) for key in ("x/log", "x/other")] == [b"", b"x"]
    assert await rig.unfinished() in ([], None)


async def test_a_blob_beside_a_folder_of_its_name_is_refused_with_it(rig: Rig, tmp_path: Path) -> None:
    keys = ["x/a", "x/a-b", "x/a/b", "x/c"]
    for key in keys:
        await rig.put(key, b"x")
    with pytest.raises(TransferError) as caught:
        await download(remote(rig, "x")[0], tmp_path)
    assert sorted(caught.value.failures) == [rig.store.address("x/a"), rig.store.address("x/a/b")]
    assert snapshot(tmp_path) == {"a-b": b"x", "c": b"x"}
