"""Local disks that are full, closed, or change while they are read."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    InvalidAddress,
    IsADirectory,
    NotADirectory,
    ResourceNotFound,
    SourceChanged,
    TransferError,
)
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
from airflow_provider_neuro_buckets.buckets.transfer.plan import SINGLE_READ
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.transfer.asking import download, upload, upload_one
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, remote
from conformance.rigs.base import Rig
from faults.confined import bound_by_permissions, on_a_small_disk, run

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(SINGLE_READ + MIB)
on_aws = pytest.mark.parametrize("rig", ["aws"], indirect=True)


@pytest.fixture
async def buckets(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    async with Buckets.open(neuro_buckets_local.config) as buckets:
        yield buckets


@pytest.fixture
async def place(buckets: Buckets) -> AsyncIterator[str]:
    """The address of a fresh bucket."""
    bucket = await buckets.create(f"disk-{uuid4().hex[:12]}")
    yield f"blob:{bucket.name}"
    await buckets.rm(bucket.id, force=True)


@pytest.fixture
def config(neuro_buckets_local: RunningPlatform) -> BucketsConfig:
    return neuro_buckets_local.config


async def put(buckets: Buckets, place: str, **blobs: bytes) -> None:
    for key, content in blobs.items():
        await buckets.put_blob(place, key.replace("__", "/"), content)


# A full disk


async def test_a_disk_that_is_full_or_fills_up_fails_at_once_keeps_the_old_files_and_leaves_no_others_f68(
    buckets: Buckets, place: str, config: BucketsConfig, tmp_path: Path
) -> None:
    await put(buckets, place, d__a=b"new", d__b=bytes(3 * MIB), large=LARGE)
    disk, old = str(tmp_path), {"d/a": "old", "d/b": "old", "large": "old"}
    answers = await run(
        on_a_small_disk(tmp_path, "size=24m"),
        config,
        *(["plant", f"{disk}/{name}", content] for name, content in old.items()),
        ["fill", f"{disk}/filler"],
        ["download_dir", f"{place}/d", f"{disk}/d"],
        ["tree", disk],
        ["shell", "rm", f"{disk}/filler"],
        ["fill_while_download", f"{place}/large", f"{disk}/large", f"{disk}/filler"],
        ["tree", disk],
    )
    small, after_small, _, large, after_large = answers[-5:]
    assert small["error"] == "TransferError"
    assert all("No space left on device" in text for _, text in small["failures"].values())
    assert after_small == {"d": None, **old, "filler": after_small["filler"]}
    assert (large["error"], large["errno"]) == ("OSError", errno.ENOSPC)
    assert f"{disk}/large" in large["text"]
    assert after_large == {"d": None, **old, "filler": after_large["filler"]}


async def test_a_disk_without_a_free_inode_or_that_is_read_only_fails_at_once_and_names_the_path_f68(
    buckets: Buckets, place: str, config: BucketsConfig, tmp_path: Path
) -> None:
    await put(buckets, place, a=b"new", b=b"new")
    disk = str(tmp_path)
    _, full, file, after, _, read_only, _ = await run(
        on_a_small_disk(tmp_path, "size=4m,nr_inodes=3"),
        config,
        ["plant", f"{disk}/d/a", "old"],
        ["download_dir", place, f"{disk}/d"],
        ["download_file", f"{place}/a", f"{disk}/d/a"],
        ["tree", disk],
        ["shell", "mount", "-o", "remount,ro", disk],
        ["download_dir", place, f"{disk}/d"],
        ["tree", disk],
    )
    assert (full["error"], full["errno"], file["errno"]) == ("OSError", errno.ENOSPC, errno.ENOSPC)
    assert f"'{disk}/d'" in full["text"]
    assert f"'{disk}/d/a'" in file["text"]
    assert (read_only["errno"], f"'{disk}/d'" in read_only["text"]) == (errno.EROFS, True)
    assert after == {"d": None, "d/a": "old"}


async def test_a_file_that_may_not_be_so_large_fails_alone_f68(
    buckets: Buckets, place: str, config: BucketsConfig, tmp_path: Path
) -> None:
    await put(buckets, place, a=b"new", b=bytes(3 * MIB), c=b"new")
    plant(tmp_path, {"b": b"old"})
    _, done, after = await run(
        bound_by_permissions(),
        config,
        ["largest_file", str(2 * MIB)],
        ["download_dir", place, str(tmp_path)],
        ["tree", str(tmp_path)],
    )
    assert [text for _, text in done["failures"].values()] == [f"[Errno 27] File too large: '{tmp_path}/b'"]
    assert after == {"a": "new", "b": "old", "c": "new"}


def write(destination: Destination, size: int) -> None:
    if size < SINGLE_READ:
        destination.write_whole(("f",), bytes(size), None)
        return
    target = destination.begin(("f",), size=size)
    try:
        target.finish(None)
    finally:
        target.discard()


@pytest.mark.parametrize("size", [7, 2 * SINGLE_READ])
def test_a_disk_that_tells_only_on_closing_that_it_is_full_keeps_the_old_file_f68(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """As file systems on a network do; no other one here does, so that closing a written file is made to."""
    plant(tmp_path, {"f": b"old"})
    close = os.close

    def full(file: int) -> None:
        status = os.fstat(file)
        close(file)
        if stat.S_ISREG(status.st_mode) and status.st_size == size:
            monkeypatch.setattr(os, "close", close)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    destination = Destination(tmp_path)
    monkeypatch.setattr(os, "close", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(destination, size)
    destination.close()
    assert snapshot(tmp_path) == {"f": b"old"}


# What may not be written or read


async def test_a_folder_that_may_not_be_written_fails_its_own_files_and_the_others_arrive_f70(
    buckets: Buckets, place: str, config: BucketsConfig, tmp_path: Path
) -> None:
    keys = [f"fine/{number}" for number in range(20)] + ["locked/x", "locked/y", "unwritable"]
    for key in keys:
        await buckets.put_blob(place, key, b"new")
    dst = plant(tmp_path / "dst", {"locked/x": b"old", "unwritable": b"old"})
    (dst / "unwritable").chmod(0o444)  # a file is replaced, not written: its own permissions do not matter
    (dst / "locked").chmod(0o555)
    done, after, single, root = await run(
        bound_by_permissions(),
        config,
        ["download_dir", place, str(dst)],
        ["tree", str(dst)],
        ["download_file", f"{place}/locked/y", f"{dst}/locked/y"],
        ["download_dir", f"{place}/fine", f"{dst}/locked"],
    )
    (dst / "locked").chmod(0o755)
    refused = {name.rpartition("/locked/")[2]: why for name, why in done["failures"].items()}
    assert refused == {
        name: ["PermissionError", f"[Errno 13] Permission denied: '{dst}/locked/{name}'"] for name in ("x", "y")
    }
    assert after == {
        **dict.fromkeys(("fine", "locked")),
        **{key: "new" for key in keys if not key.startswith("locked")},
        "locked/x": "old",
    }
    assert single["text"] == f"[Errno 13] Permission denied: '{dst}/locked/y'"
    assert root["text"] == f"[Errno 13] Permission denied: '{dst}/locked'"


async def test_files_and_folders_that_may_not_be_read_fail_alone_f73(
    config: BucketsConfig, place: str, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", {"a": b"1", "secret": b"2", "closed/x": b"3", "z": b"4"})
    (src / "secret").chmod(0)
    (src / "closed").chmod(0)
    done, single = await run(
        bound_by_permissions(),
        config,
        ["upload_dir", str(src), f"{place}/d"],
        ["upload_file", f"{src}/secret", f"{place}/secret"],
    )
    (src / "closed").chmod(0o755)
    why = {name: f"[Errno 13] Permission denied: '{src}/{name}'" for name in ("closed", "secret")}
    assert {name.rstrip("/"): text for name, (_, text) in done["failures"].items()} == {
        f"{src}/{name}": text for name, text in why.items()
    }
    assert "2 of 4 files failed" in done["text"]
    assert single["text"] == why["secret"]


@pytest.mark.parametrize("kind", ["/dev/zero", "/dev/full", "/proc/version", "socket", "pipe"])
async def test_what_is_no_file_that_can_be_read_to_its_end_is_an_error_at_once_f73(
    seaweedfs: Rig, tmp_path: Path, kind: str
) -> None:
    path = Path(kind)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        if kind == "socket":
            path = Path(f"/proc/self/fd/{os.open(tmp_path, os.O_RDONLY)}/s")
            listener.bind(str(path))
        if kind == "pipe":
            path = tmp_path / "pipe"
            os.mkfifo(path)
        with pytest.raises((ConfigurationError, SourceChanged, OSError)) as caught:
            await upload_one(path, remote(seaweedfs, "k")[0])
    assert str(path) in str(caught.value)
    assert await seaweedfs.names() == []


# A folder for a file, a file for a folder


async def test_a_single_file_never_takes_the_place_of_a_folder_nor_a_folder_that_of_a_file_f71(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    await put(buckets, place, f=b"new", d__f=b"new")
    plant(tmp_path, {"folder/mine": b"mine", "file": b"mine"})
    before = snapshot(tmp_path)
    with pytest.raises(IsADirectory, match="Name the file in it"):
        await buckets.download_file(f"{place}/f", tmp_path / "folder")
    with pytest.raises(NotADirectory, match="Choose another"):
        await buckets.download_dir(f"{place}/d", tmp_path / "file")
    with pytest.raises((NotADirectory, ResourceNotFound), match="file"):
        await buckets.download_file(f"{place}/f", tmp_path / "file" / "f")
    with pytest.raises(OSError, match="file"):
        await buckets.download_dir(f"{place}/d", tmp_path / "file" / "d")
    assert snapshot(tmp_path) == before


# Sources that do not hold still


async def test_files_that_vanish_before_or_while_they_are_uploaded_fail_alone_f72(
    seaweedfs: Rig, tmp_path: Path
) -> None:
    src = plant(tmp_path, {"a": b"a", "large": LARGE, "later": b"later", "z": b"z"})

    async def remove(call: Call) -> None:
        if call == Call("write", "d/a"):
            (src / "later").unlink(missing_ok=True)
        if call == Call("part", "d/large", 2):
            (src / "large").unlink()

    with pytest.raises(TransferError) as caught:
        await upload(src, remote(seaweedfs, "d", remove)[0], through=None)
    found = {Path(name).name: type(error) for name, error in caught.value.failures.items()}
    assert found.pop("large") is SourceChanged
    assert found in ({"later": FileNotFoundError}, {})  # it may have been read by then
    assert {"d/a", "d/z"} <= set(await seaweedfs.names()) <= {"d/a", "d/z", "d/later"}
    assert await seaweedfs.unfinished() == []


@pytest.mark.parametrize("choice", ["inside", "skip"])
async def test_links_put_in_the_way_of_an_upload_while_it_runs_carry_nothing_from_outside_f75(
    buckets: Buckets, place: str, tmp_path: Path, choice: str
) -> None:
    outside = plant(tmp_path / "outside", {"secret": b"secret", "same": b"same!"})
    src = plant(tmp_path / "src", {"a": b"a", "file": b"12345", "folder/secret": b"1", "later/same": b"12345"})

    async def plant_links(path: str) -> bool:
        match path:
            case "file":
                (src / "file").unlink()
                (src / "file").symlink_to(outside / "secret")
            case "folder/":
                (src / "folder").rename(tmp_path / "away")
                (src / "folder").symlink_to(outside)
            case "later/same":
                (src / "later").rename(tmp_path / "gone")
                (src / "later").symlink_to(outside)
        return True

    with pytest.raises(TransferError, match="a link that leads out of") as caught:
        await buckets.upload_dir(src, f"{place}/d", filter=plant_links, symlinks=choice)
    failed = {name.removeprefix(f"{src}/"): type(error) for name, error in caught.value.failures.items()}
    assert failed == dict.fromkeys(("file", "folder", "later/same"), ConfigurationError)
    assert [entry.key async for entry in buckets.list_blobs(place, recursive=True)] == ["d/a"]


async def test_a_file_replaced_by_a_link_inside_is_uploaded_as_any_link_inside_f75(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    src = plant(tmp_path, {"a": b"content", "b": b"b"})

    async def plant_link(path: str) -> bool:
        if path == "b":
            (src / "b").unlink()
            (src / "b").symlink_to("a")
        return True

    assert (await buckets.upload_dir(src, f"{place}/d", filter=plant_link)).files == 2


# Long names


@on_aws
async def test_names_and_paths_up_to_the_limit_arrive_both_ways_and_longer_ones_fail_alone_f77(
    rig: Rig, tmp_path: Path
) -> None:
    deep, long, wide = "/".join(["d"] * 500), "n" * 255, "é" * 127
    for key in (deep, long, wide, "x" * 256, "y/" + "é" * 128):
        await rig.put(f"up/{key}", b"content")
    with pytest.raises(TransferError) as caught:
        await download(remote(rig, "up")[0], tmp_path / "down")
    assert len(caught.value.failures) == 2
    assert all(isinstance(error, InvalidAddress) for error in caught.value.failures.values())
    found = {path: content for path, content in snapshot(tmp_path / "down").items() if content is not None}
    assert found == dict.fromkeys((deep, long, wide), b"content")
    await upload(tmp_path / "down", remote(rig, "again")[0])
    assert {"again/" + key for key in (deep, long, wide)} <= set(await rig.names())


# Signals


@contextmanager
def interrupted_all_the_time() -> Iterator[None]:
    """Let signals arrive in every thread, so that whatever the system does for one is interrupted."""

    def spread(_: int, __: FrameType | None) -> None:
        for thread in threading.enumerate():
            if thread.ident is not None and thread is not threading.main_thread():
                signal.pthread_kill(thread.ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGALRM, spread), signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGUSR1), before, strict=True):
            signal.signal(number, signal.SIG_IGN)  # forgets those on their way
            signal.signal(number, handler)


async def test_signals_in_every_thread_interrupt_no_file_f78(seaweedfs: Rig, tmp_path: Path) -> None:
    files = {f"{number:02}": random.Random(number).randbytes(20_000 * number) for number in range(40)}
    src = plant(tmp_path / "src", {**files, "large": LARGE})
    with interrupted_all_the_time():
        up = await upload(src, remote(seaweedfs, "d")[0])
        down = await download(remote(seaweedfs, "d")[0], tmp_path / "dst")
    assert (up.files, down.files) == (41, 41)
    assert snapshot(tmp_path / "dst") == {**files, "large": LARGE}
