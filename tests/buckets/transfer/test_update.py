from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART
from buckets.transfer.asking import download, upload
from buckets.transfer.front import behind
from buckets.transfer.trees import age, plant, snapshot
from buckets.transfer.watched import remote
from conformance.rigs.base import Rig

MULTIPART = random.Random(3).randbytes(2 * PART + 5)


async def content(buckets: Buckets, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("blob:").partition("/")
    async with buckets.fetch_blob(bucket, key) as chunks:
        return b"".join([chunk async for chunk in chunks])


def touch(path: Path, *, after: Path | None = None, seconds: float) -> None:
    at = (after or path).stat().st_mtime + seconds
    os.utime(path, (at, at))


# Up


async def test_an_upload_sends_what_is_missing_differs_in_size_or_is_newer(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"same": b"same", "longer": b"1", "newer": b"old", "gone": b"gone", "large": MULTIPART})
    age(tmp_path, 60)
    await buckets.upload_dir(tmp_path, place)
    plant(tmp_path, {"longer": b"22", "newer": b"new", "added": b"added"})
    touch(tmp_path / "newer", seconds=60)
    age(tmp_path / "longer", 60)
    await buckets.delete_blob(place.removeprefix("blob:").partition("/")[0], place.partition("/")[2] + "/gone")
    report = await buckets.upload_dir(tmp_path, place, update=True)
    assert (report.files, report.unchanged, report.bytes) == (4, 2, len(b"22" + b"new" + b"added" + b"gone"))
    assert await content(buckets, f"{place}/newer") == b"new"
    assert await content(buckets, f"{place}/longer") == b"22"


@pytest.mark.parametrize("data", [b"small", MULTIPART], ids=["small", "parts"])
async def test_an_upload_repeated_at_once_sends_nothing(
    buckets: Buckets, place: str, tmp_path: Path, data: bytes
) -> None:
    plant(tmp_path, {"f": data, "d/f": data[:3], "empty/": None})
    await buckets.upload_dir(tmp_path, place)
    report = await buckets.upload_dir(tmp_path, place, update=True)
    assert (report.files, report.bytes, report.unchanged) == (0, 0, 2)
    report = await buckets.upload_file(tmp_path / "f", f"{place}/f", update=True)
    assert (report.files, report.unchanged) == (0, 1)


async def test_a_file_changed_in_the_second_of_its_upload_is_sent_again(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"f": b"one", "g": b"one"})
    await buckets.upload_dir(tmp_path, place)
    plant(tmp_path, {"f": b"two"})
    report = await buckets.upload_dir(tmp_path, place, update=True)
    assert (report.files, report.unchanged) == (1, 1)
    assert await content(buckets, f"{place}/f") == b"two"
    plant(tmp_path, {"f": b"six"})
    report = await buckets.upload_file(tmp_path / "f", f"{place}/f", update=True)
    assert (report.files, report.unchanged) == (1, 0)


async def test_without_update_everything_is_sent_again(buckets: Buckets, place: str, tmp_path: Path) -> None:
    plant(tmp_path, {"f": b"one"})
    age(tmp_path, 60)
    await buckets.upload_dir(tmp_path, place)
    assert (await buckets.upload_dir(tmp_path, place)).files == 1
    assert (await buckets.upload_file(tmp_path / "f", f"{place}/f")).files == 1


# Down


async def test_a_download_fetches_what_is_missing_differs_in_size_or_is_newer(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path / "src", {"same": b"same", "shorter": b"333", "newer": b"new", "gone": b"gone", "mine": b"blob"})
    await buckets.upload_dir(tmp_path / "src", place)
    dst = tmp_path / "dst"
    await buckets.download_dir(place, dst)
    (dst / "gone").unlink()
    plant(dst, {"shorter": b"22", "newer": b"old", "mine": b"edit"})
    touch(dst / "shorter", seconds=3600)
    touch(dst / "newer", after=dst / "same", seconds=-60)
    touch(dst / "mine", seconds=60)
    report = await buckets.download_dir(place, dst, update=True)
    assert (report.files, report.unchanged, report.bytes) == (3, 2, len(b"333" + b"new" + b"gone"))
    assert snapshot(dst) == {**snapshot(tmp_path / "src"), "mine": b"edit"}


@pytest.mark.parametrize("data", [b"small", MULTIPART], ids=["small", "parts"])
async def test_a_download_repeated_at_once_fetches_nothing(
    buckets: Buckets, place: str, tmp_path: Path, data: bytes
) -> None:
    await buckets.upload_dir(plant(tmp_path / "src", {"f": data, "empty": b""}), place)
    await buckets.download_dir(place, tmp_path / "dst")
    report = await buckets.download_dir(place, tmp_path / "dst", update=True)
    assert (report.files, report.bytes, report.unchanged) == (0, 0, 2)
    report = await buckets.download_file(f"{place}/f", tmp_path / "dst" / "f", update=True)
    assert (report.files, report.unchanged) == (0, 1)


async def test_a_blob_replaced_in_the_second_of_its_download_is_fetched_again(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    bucket, _, prefix = place.removeprefix("blob:").partition("/")
    for number in (1, 2, 3):
        await buckets.put_blob(bucket, f"{prefix}/f", b"version %d" % number)
        await buckets.download_dir(place, tmp_path / "dst", update=True)
        assert snapshot(tmp_path / "dst") == {"f": b"version %d" % number}


async def test_a_partial_file_that_a_crash_of_something_else_left_is_not_taken_for_current(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    await buckets.upload_dir(plant(tmp_path / "src", {"f": b"whole content"}), place)
    plant(tmp_path / "dst", {"f": b"whole"})
    touch(tmp_path / "dst" / "f", seconds=3600)
    report = await buckets.download_dir(place, tmp_path / "dst", update=True)
    assert (report.files, report.bytes) == (1, len(b"whole content"))  # all of it: nobody asked to go on
    assert snapshot(tmp_path / "dst") == {"f": b"whole content"}


# Clocks


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-3)], ids=str)
async def test_a_server_whose_clock_is_wrong_changes_nothing(aws: Rig, tmp_path: Path, ahead: timedelta) -> None:
    src = plant(tmp_path / "src", {"old": b"old", "new": b"one"})
    async with behind(aws) as (front, listing):
        front.ahead = ahead
        there = Remote(listing, "x")
        await upload(src, there)
        age(src, 600)  # ten minutes before the upload, by the local clock
        report = await upload(src, there, existing=Existing.UPDATE)
        assert (report.files, report.unchanged) == (0, 2)
        plant(src, {"new": b"two"})
        touch(src / "new", seconds=600)  # ten minutes after it
        report = await upload(src, there, existing=Existing.UPDATE)
        assert (report.files, report.unchanged) == (1, 1)

        dst = tmp_path / "dst"
        await download(there, dst)
        report = await download(there, dst, existing=Existing.UPDATE)
        assert (report.files, report.unchanged) == (0, 2)
        plant(dst, {"old": b"dlo", "new": b"owt"})
        age(dst, 600)
        touch(dst / "new", seconds=1200)
        report = await download(there, dst, existing=Existing.UPDATE)
        assert (report.files, report.unchanged) == (1, 1)
        assert snapshot(dst) == {"old": b"old", "new": b"owt"}


async def test_an_update_asks_once_for_a_listing_and_never_for_single_blobs(aws: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", {f"f{number}": b"x" for number in range(30)})
    there, store = remote(aws, "x")
    await upload(src, there)
    store.calls.clear()
    await upload(src, there, existing=Existing.UPDATE)
    assert [call.verb for call in store.calls] == ["pages"]
    await download(there, tmp_path / "dst")
    store.calls.clear()
    await download(there, tmp_path / "dst", existing=Existing.UPDATE)
    assert {call.verb for call in store.calls} == {"pages"}
