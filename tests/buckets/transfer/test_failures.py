from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    PermissionDenied,
    ResourceNotFound,
    TransferError,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote
from buckets.transfer.asking import download, upload, window
from buckets.transfer.front import behind
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, Guard, remote
from conformance.rigs.base import Rig

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

FILES = {f"f{number:03}": b"%d" % number for number in range(120)}


def failing_keys(pattern: str, error: Exception) -> Guard:
    """Return a guard that fails reads and writes of the keys that match."""

    async def guard(call: Call) -> None:
        if call.verb in {"read", "write"} and re.search(pattern, call.key):
            raise error

    return guard


def names(error: TransferError) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in error.failures)


async def test_a_failed_file_fails_alone_and_every_one_is_listed_with_its_cause(aws: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", FILES)
    bad = [name for name in FILES if name.endswith("7")]
    error = Unavailable("it broke")
    with pytest.raises(TransferError, match=r"12 of 120 files failed in the upload of .* to blob:.*/x") as caught:
        await upload(src, remote(aws, "x", failing_keys("7$", error))[0])
    assert names(caught.value) == bad
    assert set(caught.value.failures.values()) == {error}
    report = caught.value.report
    assert isinstance(report, TransferReport)
    size = sum(len(content) for name, content in FILES.items() if name not in bad)
    assert (report.files, report.bytes, report.unchanged, len(report.failed)) == (108, size, 0, 12)
    assert report.seconds > 0
    assert report.bytes_per_second > 0
    assert len(await aws.names()) == 108
    assert "and 2 more" in str(caught.value)

    report = await upload(src, remote(aws, "x")[0], existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (12, 108)

    dst = tmp_path / "dst"
    with pytest.raises(TransferError, match=r"12 of 120 files failed in the download of blob:.*/x to ") as caught:
        await download(remote(aws, "x", failing_keys("7$", error))[0], dst)
    assert names(caught.value) == bad
    report = await download(remote(aws, "x")[0], dst, existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (12, 108)
    assert snapshot(dst) == snapshot(src)


@pytest.mark.parametrize("kind", [AuthenticationError, PermissionDenied, Unavailable])
async def test_when_everything_is_refused_the_transfer_stops_early_and_says_why(
    aws: Rig, tmp_path: Path, kind: type[AuthenticationError | PermissionDenied | Unavailable]
) -> None:
    src = plant(tmp_path / "src", FILES)
    for name in FILES:
        await aws.put(f"y/{name}", b"x")
    there, store = remote(aws, "x", failing_keys("", kind("no")))
    with pytest.raises(kind):
        await upload(src, there, through=window(max_concurrency=8))
    assert len(store.calls) < 40
    there, store = remote(aws, "y", failing_keys("", kind("no")))
    with pytest.raises(kind):
        await download(there, tmp_path / "dst", through=window(max_concurrency=8))
    assert len([call for call in store.calls if call.verb == "read"]) < 40
    assert snapshot(tmp_path / "dst") == {}


async def test_a_token_that_may_only_read_uploads_nothing_and_downloads_all(
    buckets: Buckets, neuro_buckets_local: RunningPlatform, place: str, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"a": b"a", "d/b": b"b", "empty/": None})
    await buckets.upload_dir(src, place)
    reader = replace(neuro_buckets_local.config, token=neuro_buckets_local.readonly_token)
    async with Buckets.open(reader) as reading:
        with pytest.raises(PermissionDenied):
            await reading.upload_dir(src, f"{place}/new")
        with pytest.raises(PermissionDenied):
            await reading.upload_file(src / "a", f"{place}/new")
        await reading.download_dir(place, tmp_path / "dst")
    assert snapshot(tmp_path / "dst") == snapshot(src)
    with pytest.raises(ResourceNotFound):
        await buckets.stat_blob(f"{place}/new")


async def test_a_listing_that_breaks_off_is_an_error_and_never_a_short_download(aws: Rig, tmp_path: Path) -> None:
    for name in FILES:
        await aws.put(f"d/{name}", b"x")

    async def answers_html(request: web.Request) -> None:
        if "list-type" in request.query_string and "max-keys" not in request.query_string:
            raise web.HTTPOk(text="<html>welcome</html>", content_type="text/html")

    async with behind(aws) as (front, listing):
        front.hold = answers_html
        with pytest.raises(Exception, match="list") as caught:
            await download(Remote(listing, "d"), tmp_path)
    assert not isinstance(caught.value, TransferError)
    assert snapshot(tmp_path) == {}


async def test_a_filter_that_fails_ends_the_transfer_with_its_own_error(aws: Rig, tmp_path: Path) -> None:
    for name in FILES:
        await aws.put(f"d/{name}", b"x")

    async def keep(path: str) -> bool:
        raise ZeroDivisionError(path)

    with pytest.raises(ZeroDivisionError):
        await download(remote(aws, "d")[0], tmp_path, keep=keep)
    assert snapshot(tmp_path) == {}


async def test_a_filter_of_a_download_is_asked_once_for_each_folder_and_file(aws: Rig, tmp_path: Path) -> None:
    for key in ("a/x", "a/y", "a/b/z", "drop/x", "drop/y", "?/x", "??/x", "x", "empty/", "drop/empty/"):
        await aws.put(f"d/{key}", b"" if key.endswith("/") else b"x")
    asked: list[str] = []

    async def keep(path: str) -> bool:
        asked.append(path)
        return path not in {"drop/", "a/y", "?/"}

    report = await download(remote(aws, "d")[0], tmp_path, keep=keep)
    assert report.files == 4
    assert set(snapshot(tmp_path)) == {"a/", "a/x", "a/b/", "a/b/z", "??/", "??/x", "x", "empty/"}
    assert sorted(asked) == sorted(["a/", "a/x", "a/y", "a/b/", "a/b/z", "drop/", "?/", "??/", "??/x", "x", "empty/"])
