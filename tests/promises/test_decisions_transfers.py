"""Decisions 13 to 19: transfers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import stat
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import pathspec
import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import Bucket, Buckets, TransferError
from airflow_provider_neuro_buckets.buckets.transfer.placing import LocalTree
from airflow_provider_neuro_buckets.buckets.transfer.temporary import is_temporary
from buckets.transfer.front import behind
from buckets.transfer.trees import age, plant, snapshot
from conformance.rigs.base import Rig
from promises.scene import at, client_of, keys_in, on, secret_of

MIB = 1024 * 1024
CONTENT = random.Random(1).randbytes(300_000)


async def test_decision_13_an_update_moves_what_is_missing_of_another_size_or_older(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    src, dst = plant(tmp_path / "src", {"same": b"same", "size": b"size", "newer": b"newer"}), tmp_path / "dst"
    await lone.upload_dir(src, at(rig, "d"))
    assert (await lone.upload_dir(src, at(rig, "d"), update=True)).unchanged == 3
    await lone.download_dir(at(rig, "d"), dst)
    for path in dst.iterdir():
        modified = (await lone.head_blob(rig.bucket.id, f"d/{path.name}")).modified_at
        assert modified is not None
        assert path.stat().st_mtime == pytest.approx(modified.timestamp(), abs=0.001)
    assert (await lone.download_dir(at(rig, "d"), dst, update=True)).unchanged == 3

    plant(src, {"size": b"another", "newer": b"NEWER", "missing": b"missing"})
    os.utime(src / "newer", (9e9, 9e9))
    report = await lone.upload_dir(src, at(rig, "d"), update=True)
    assert (report.files, report.unchanged) == (3, 1)
    age(dst, 100)
    (dst / "newer").write_bytes(b"mine!")
    os.utime(dst / "newer", (9e9, 9e9))
    report = await lone.download_dir(at(rig, "d"), dst, update=True)
    assert (report.files, report.unchanged) == (3, 1)
    assert snapshot(dst) == {**snapshot(src), "newer": b"mine!"}


@on("aws")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_decision_13_two_clocks_are_compared_through_the_date_of_the_server(
    rig: Rig, tmp_path: Path, hours: int
) -> None:
    for name in ("file is older", "file is newer"):
        await rig.put(f"d/{name}", b"blob")
    here = plant(tmp_path, {"file is older": b"file", "file is newer": b"file"})
    age(here, 600)
    os.utime(here / "file is newer", (there := (here / "file is older").stat().st_mtime + 1200, there))
    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        front.ahead = timedelta(hours=hours)
        report = await buckets.upload_dir(here, at(rig, "d"), update=True)
        assert (report.files, report.unchanged) == (1, 1)
        assert [await rig.get("d/file is older"), await rig.get("d/file is newer")] == [b"blob", b"file"]
        await rig.put("d/file is newer", b"blob")
        report = await buckets.download_dir(at(rig, "d"), here, update=True)
        assert (report.files, report.unchanged) == (1, 1)
    assert snapshot(here) == {"file is older": b"blob", "file is newer": b"file"}


@pytest.mark.parametrize(
    ("present", "moved"),
    [(CONTENT[:200_000], 100_000), (CONTENT, 0), (b"x" * 200_000, 300_000), (CONTENT + b"x", 300_000), (b"", 300_000)],
    ids=["a beginning", "the whole", "garbage", "longer", "empty"],
)
async def test_decision_14_only_a_beginning_of_the_same_blob_is_gone_on_with(
    rig: Rig, lone: Buckets, tmp_path: Path, present: bytes, moved: int
) -> None:
    await lone.put_blob(rig.bucket.id, "key", CONTENT)
    plant(tmp_path, {"file": present})
    report = await lone.download_file(at(rig, "key"), tmp_path / "file", continue_=True)
    assert snapshot(tmp_path) == {"file": CONTENT}
    assert report.bytes == moved


@on("aws")
async def test_decision_14_a_blob_that_is_replaced_meanwhile_is_never_glued_to_the_old_beginning(
    rig: Rig, tmp_path: Path
) -> None:
    new = random.Random(2).randbytes(len(CONTENT))
    await rig.put("key", CONTENT)
    plant(tmp_path, {"file": CONTENT[:1000]})

    async def replace(request: web.Request) -> None:
        if request.method == "GET" and "Range" in request.headers:
            await rig.put("key", new)

    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        front.hold = replace
        await buckets.download_file(at(rig, "key"), tmp_path / "file", continue_=True)
    assert snapshot(tmp_path) == {"file": new}


DOWNLOADING = """
import asyncio, json, sys
from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
async def main():
    async with Buckets.open(BucketsConfig(persistent_credentials=json.load(sys.stdin))) as buckets:
        await buckets.download_dir(sys.argv[1], sys.argv[2])
asyncio.run(main())
"""


@on("aws")
async def test_decision_15_a_killed_download_leaves_the_old_file_and_a_temporary_one_that_the_next_run_removes(
    rig: Rig, tmp_path: Path
) -> None:
    new = random.Random(3).randbytes(20 * MIB)
    await rig.put("d/file", new)
    plant(tmp_path, {"file": b"old"})
    halfway, killed = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> None:
        if request.method == "GET" and not request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
            halfway.set()
            await killed.wait()

    async with behind(rig) as (front, _):
        front.hold = hold
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DOWNLOADING, at(rig, "d"), str(tmp_path)), stdin=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        secret = secret_of(rig.bucket, **{**rig.keys.credentials, "endpoint_url": front.url})
        process.stdin.write(json.dumps(secret).encode())
        process.stdin.close()
        await halfway.wait()
        assert (tmp_path / "file").read_bytes() == b"old"
        process.kill()
        await process.wait()
        killed.set()
        left = snapshot(tmp_path)
        assert left.pop("file") == b"old"
        assert [is_temporary(name) for name in left] == [True]
        async with client_of(rig) as buckets:
            await buckets.download_dir(at(rig, "d"), tmp_path)
    assert snapshot(tmp_path) == {"file": new}


async def test_decision_16_a_folder_goes_on_after_a_failure_lists_it_and_is_finished_by_an_update(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"1": b"one", "3/4": b"four", "9": b"nine"})
    plant(tmp_path / "outside", {"secret": b"secret"})
    for link in ("2", "3/5"):
        (src / link).symlink_to(tmp_path / "outside" / "secret")
    with pytest.raises(TransferError) as caught:
        await lone.upload_dir(src, at(rig, "d"))
    error = caught.value
    assert set(error.failures) == {str(src / "2"), str(src / "3/5")}
    assert all(name in str(error) and str(cause) in str(error) for name, cause in error.failures.items())
    assert sorted(await rig.names()) == ["d/1", "d/3/4", "d/9"]
    report = error.report
    assert (report.files, report.bytes, set(report.failed)) == (3, 11, set(error.failures))  # type: ignore[attr-defined]  # typed as an object
    for link in ("2", "3/5"):
        (src / link).unlink()
        (src / link).write_bytes(b"mended")
    report = await lone.upload_dir(src, at(rig, "d"), update=True)
    assert (report.files, report.bytes, report.unchanged, report.skipped, report.failed) == (2, 12, 3, {}, {})
    assert report.bytes_per_second == pytest.approx(report.bytes / report.seconds)
    assert len(await rig.names()) == 5


@on("aws")
async def test_decision_16_what_the_storage_refuses_is_listed_and_an_update_finishes_the_rest(
    rig: Rig, tmp_path: Path
) -> None:
    src, dst = plant(tmp_path / "src", {"1": b"one", "2": b"two", "3": b"three"}), tmp_path / "dst"
    age(src, 600)

    async def refuse(request: web.Request) -> None:
        if request.path.endswith("/2"):
            raise web.HTTPBadRequest(text="<Error><Code>InvalidRequest</Code><Message>not this one</Message></Error>")

    async with behind(rig) as (front, _), client_of(rig, endpoint_url=front.url) as buckets:
        for transfer, failed in (
            (partial(buckets.upload_dir, src, at(rig, "d")), str(src / "2")),
            (partial(buckets.download_dir, at(rig, "d"), dst), f"{rig.bucket.uri}/d/2"),
        ):
            front.hold = refuse
            with pytest.raises(TransferError, match="not this one") as caught:
                await transfer()
            assert list(caught.value.failures) == [failed]
            front.hold = None
            report = await transfer(update=True)
            assert (report.files, report.bytes, report.unchanged) == (1, 3, 2)
    assert snapshot(dst) == snapshot(src)


@on("aws")
async def test_decision_17_a_key_that_is_no_local_name_is_refused_and_reported(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    refused = ["d/../out", "d/.", "d/e//f", "d//lead", "d/marker/", "d/" + "n" * 256, "d/twin", "d/twin/below"]
    for key in ["d/ok", "d/f/ok", *refused]:
        await rig.put(key, key.encode())
    with pytest.raises(TransferError) as caught:
        await lone.download_dir(at(rig, "d"), tmp_path / "dst")
    addresses = {entry.key: str(entry.uri) async for entry in lone.list_blobs(at(rig), recursive=True)}
    assert set(caught.value.failures) == {addresses[key] for key in refused}
    assert addresses["d/twin/below"] in str(caught.value.failures[addresses["d/twin"]])
    assert snapshot(tmp_path) == {"dst/": None, "dst/ok": b"d/ok", "dst/f/": None, "dst/f/ok": b"d/f/ok"}


def test_decision_17_two_keys_that_differ_in_case_meet_where_case_does_not_count() -> None:
    for folds_case, rival in ((True, "Read.me"), (False, None)):
        tree = LocalTree(folds_case=folds_case)
        assert tree.add(("Read.me",), "Read.me", is_folder=False) is None
        assert tree.add(("READ.ME",), "READ.ME", is_folder=False) == rival


async def test_decision_18_only_an_empty_folder_becomes_a_marker_and_comes_back(
    rig: Rig, lone: Buckets, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"a/b/file": b"x", "a/empty/": None, "file": b""})
    await lone.upload_dir(src, at(rig, "d"))
    assert sorted(await rig.names()) == ["d/a/b/file", "d/a/empty/", "d/file"]
    await lone.download_dir(at(rig, "d"), tmp_path / "new" / "dst")
    assert snapshot(tmp_path / "new" / "dst") == snapshot(src)


async def test_decision_18_a_link_inside_is_followed_one_that_leads_outside_fails_and_the_rest_is_skipped(
    local: Buckets, made: Bucket, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"d/file": b"x"})
    plant(tmp_path / "outside", {"secret": b"secret"})
    links = {"file": src / "d/file", "folder": src / "d", "d/loop": src, "outside": tmp_path / "outside/secret"}
    for name, target in links.items():
        (src / name).symlink_to(target)
    os.mkfifo(src / "fifo")
    os.mknod(src / "socket", stat.S_IFSOCK | 0o600)
    (src / "device").symlink_to("/dev/null")
    with pytest.raises(TransferError) as caught:
        await local.upload_dir(src, f"blob:{made.id}/inside")
    assert set(caught.value.failures) == {str(src / "outside"), str(src / "device")}
    assert all('"follow"' in str(error) and '"skip"' in str(error) for error in caught.value.failures.values())

    followed = await local.upload_dir(src, f"blob:{made.id}/follow", symlinks="follow")
    assert {str(src / name) for name in ("fifo", "socket", "device", "d/loop")} <= set(followed.skipped)
    skipped = await local.upload_dir(src, f"blob:{made.id}/skip", symlinks="skip")
    assert set(skipped.skipped) == {str(src / name) for name in ("fifo", "socket", "device", *links)}

    assert await keys_in(local, f"blob:{made.id}/inside/") == ["inside/d/file", "inside/file", "inside/folder/file"]
    assert await keys_in(local, f"blob:{made.id}/follow/") == [
        *("follow/d/file", "follow/file", "follow/folder/file", "follow/outside")
    ]
    assert await keys_in(local, f"blob:{made.id}/skip/") == ["skip/d/file"]


RULES = "*.log\n!keep.log\n/top.txt\ncache/\n**/deep/*.tmp\nspace\\ \n# comment\n[ab].dat\n"
PATHS = [
    *("x.log", "keep.log", "d/keep.log", "top.txt", "d/top.txt", "cache/x", "d/cache/x", "deep/x.tmp", "d/deep/y.tmp"),
    *("space ", "# comment", "a.dat", "c.dat", "d/b.dat", "d/e/f"),
]


async def test_decision_19_ignore_files_count_from_the_source_downwards_with_the_rules_of_pathspec(
    local: Buckets, made: Bucket, tmp_path: Path
) -> None:
    plant(tmp_path, {".ignored": b"*\n"})  # above the source: counts for nothing
    src = plant(tmp_path / "src", {".ignored": RULES.encode(), **dict.fromkeys(PATHS, b"")})
    plant(src, {"below/.ignored": b"!x.log\nonly-here\n", "below/x.log": b"", "below/only-here": b"", "only-here": b""})
    await local.upload_dir(src, f"blob:{made.id}/d", ignore_file_names={".ignored"})
    kept = [path for path in PATHS if not pathspec.GitIgnoreSpec.from_lines(RULES.splitlines()).match_file(path)]
    beside = [".ignored", "below/.ignored", "below/x.log", "only-here"]
    assert await keys_in(local, f"blob:{made.id}/d/") == sorted(f"d/{path}" for path in [*kept, *beside])
    assert 0 < len(kept) < len(PATHS)
