from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    InvalidAddress,
    IsADirectory,
    NotADirectory,
    TransferError,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.stores.base import Page
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
from airflow_provider_neuro_buckets.buckets.transfer.placing import LocalTree
from buckets.transfer.asking import download, download_one
from buckets.transfer.recording import Recorder
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import WatchedStore, remote
from conformance.rigs.base import Rig

HOSTILE = [
    "../evil",
    "../../evil",
    "..",
    ".",
    "a/../../evil",
    "a/./b",
    "a/..",
    "/etc/evil",
    "//evil",
    "a//b",
    "a/b//",
    "n" * 256,
    "long/" + "é" * 128 + "/x",
    "../dst-evil/x",
    "full marker/",
]


def failures(error: TransferError, rig: Rig, prefix: str) -> dict[str, str]:
    """Return what failed, by key below the prefix; every address must lead back to its key."""
    addresses = {rig.store.address(prefix + key): key for key in [*HOSTILE, "a", "a/b", "a/c", "b", "b/", "c", ""]}
    return {addresses[address]: str(reason) for address, reason in error.failures.items()}


async def test_keys_that_lead_elsewhere_or_nowhere_are_refused_by_name_and_the_others_arrive_f79_f95(
    aws: Rig, tmp_path: Path
) -> None:
    for key in HOSTILE:
        await aws.put(f"d/{key}", b"evil")
    await aws.put("d/good", b"good")
    await aws.put("d/deep/good", b"good")
    plant(tmp_path, {"beside": b"untouched", "dst/mine": b"mine"})
    recorder = Recorder()
    there, store = remote(aws, "d")
    with pytest.raises(TransferError) as caught:
        await download(there, tmp_path / "dst", progress=recorder)
    refused = failures(caught.value, aws, "d/")
    assert sorted(refused) == sorted(HOSTILE)
    assert all(isinstance(error, InvalidAddress) for error in caught.value.failures.values())
    assert all("was not downloaded" in reason for reason in refused.values())
    assert snapshot(tmp_path) == {
        "beside": b"untouched",
        "dst/": None,
        "dst/mine": b"mine",
        "dst/good": b"good",
        "dst/deep/": None,
        "dst/deep/good": b"good",
    }
    assert {call.key for call in store.calls if call.verb == "read"} == {"d/good", "d/deep/good"}
    assert all(str(event.dst).startswith(f"file://{tmp_path}/dst") for event in recorder.events)
    assert f"{len(HOSTILE)} of {len(HOSTILE) + 2} files failed" in str(caught.value)


async def test_a_refused_key_can_be_downloaded_by_itself(aws: Rig, tmp_path: Path) -> None:
    await aws.put("d/../evil", b"evil")
    await download_one(remote(aws, "d/../evil")[0], tmp_path / "tame")
    assert snapshot(tmp_path) == {"tame": b"evil"}


@pytest.mark.parametrize(
    ("keys", "refused", "made"),
    [
        (["a", "a/b", "c"], ["a", "a/b"], {"c": b"c"}),
        (["a", "a/b", "a/c", "c"], ["a", "a/b", "a/c"], {"c": b"c"}),
        (["a", "a-b", "a/b", "a0"], ["a", "a/b"], {"a-b": b"a-b", "a0": b"a0"}),
        (["b", "b/"], ["b", "b/"], {}),
    ],
)
async def test_a_blob_beside_a_folder_of_its_name_is_refused_with_it_and_neither_is_written_f83(
    aws: Rig, tmp_path: Path, keys: list[str], refused: list[str], made: dict[str, bytes]
) -> None:
    for key in keys:
        await aws.put(f"d/{key}", b"" if key.endswith("/") else key.encode())
    with pytest.raises(TransferError, match="in one local path") as caught:
        await download(remote(aws, "d")[0], tmp_path)
    assert sorted(failures(caught.value, aws, "d/")) == refused
    assert snapshot(tmp_path) == made


async def test_where_keys_are_listed_in_no_order_both_are_named_all_the_same(aws: Rig, tmp_path: Path) -> None:
    class Backwards(WatchedStore):
        async def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
            async for page in super().pages(prefix, delimiter=delimiter, page_size=page_size):
                yield Page(blobs=page.blobs[::-1], prefixes=page.prefixes)

    for key in ("a", "a/b", "b", "c"):
        await aws.put(f"d/{key}", key.encode())
    with pytest.raises(TransferError) as caught:
        await download(Remote(Listing(aws.bucket, Backwards(aws.store)), "d"), tmp_path)
    assert sorted(failures(caught.value, aws, "d/")) == ["a", "a/b"]
    assert snapshot(tmp_path).items() >= {"b": b"b", "c": b"c"}.items()


async def test_the_marker_of_the_folder_itself_is_no_file_but_with_content_it_is_told(aws: Rig, tmp_path: Path) -> None:
    await aws.put("d/", b"")
    await aws.put("d/f", b"f")
    await aws.put("e/", b"content")
    await aws.put("e/f", b"f")
    assert (await download(remote(aws, "d")[0], tmp_path / "d")).files == 1
    with pytest.raises(TransferError, match="it has the name of a folder, and content"):
        await download(remote(aws, "e")[0], tmp_path / "e")
    assert snapshot(tmp_path) == {"d/": None, "d/f": b"f", "e/": None, "e/f": b"f"}


async def test_a_marker_makes_a_folder(aws: Rig, tmp_path: Path) -> None:
    for key in ("d/", "d/e/", "d/f/", "d/f/g"):
        await aws.put(key, b"" if key.endswith("/") else b"g")
    await download(remote(aws, "d")[0], tmp_path)
    assert snapshot(tmp_path) == {"e/": None, "f/": None, "f/g": b"g"}


async def test_names_that_a_case_folding_disk_would_mix_are_both_refused_f84(
    aws: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No disk here folds case: only the answer to that question is replaced."""
    monkeypatch.setattr(Destination, "folds_case", lambda _: True)
    for key in ("File", "Other", "data/x", "Data", "file", "zz"):
        await aws.put(f"d/{key}", key.encode())
    with pytest.raises(TransferError) as caught:
        await download(remote(aws, "d")[0], tmp_path)
    names = [address.rpartition("/d/")[2] for address in caught.value.failures]
    assert sorted(names) == ["Data", "File", "data/x", "file"]
    assert snapshot(tmp_path) == {"Other": b"Other", "zz": b"zz"}
    assert all("one local path" in str(error) for error in caught.value.failures.values())


@given(st.lists(st.text("aA/", min_size=1, max_size=5), unique=True))
def test_on_a_case_folding_disk_no_two_kept_files_share_a_path(keys: list[str]) -> None:
    tree = LocalTree(folds_case=True)
    kept = [key for key in keys if "//" not in key and key.strip("/") == key]
    kept = [key for key in kept if tree.add(tuple(key.split("/")), key, is_folder=False) is None]
    folded = [key.casefold() for key in kept]
    assert len(set(folded)) == len(folded)
    assert not [one for one in folded for other in folded if other.startswith(one + "/")]


@pytest.mark.parametrize("existing", list(Existing))
async def test_links_planted_in_the_destination_lead_nothing_outside_f75(
    aws: Rig, tmp_path: Path, existing: Existing
) -> None:
    for key in ("folder/x", "leaf", "loop/x", "fine"):
        await aws.put(f"d/{key}", b"new")
    plant(tmp_path, {"outside/file": b"untouched", "dst/": None})
    (tmp_path / "dst" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "dst" / "leaf").symlink_to(tmp_path / "outside" / "file")
    (tmp_path / "dst" / "loop").symlink_to("loop")
    with pytest.raises(TransferError) as caught:
        await download(remote(aws, "d")[0], tmp_path / "dst", existing=existing)
    errors = {key.rpartition("/d/")[2]: error for key, error in caught.value.failures.items()}
    assert sorted(errors) == ["folder/x", "loop/x"]
    assert all(isinstance(error, NotADirectory) and "symbolic link" in str(error) for error in errors.values())
    assert snapshot(tmp_path) == {
        "outside/": None,
        "outside/file": b"untouched",
        "dst/": None,
        "dst/folder": f"-> {tmp_path}/outside",
        "dst/loop": "-> loop",
        "dst/leaf": b"new",
        "dst/fine": b"new",
    }


@pytest.mark.parametrize("existing", list(Existing))
async def test_a_folder_where_a_file_should_go_and_a_file_where_a_folder_should_go_fail_alone_f71(
    aws: Rig, tmp_path: Path, existing: Existing
) -> None:
    for key in ("x", "y/z", "fine"):
        await aws.put(f"d/{key}", b"new")
    plant(tmp_path, {"x/mine": b"mine", "y": b"mine"})
    with pytest.raises(TransferError) as caught:
        await download(remote(aws, "d")[0], tmp_path, existing=existing)
    errors = {key.rpartition("/d/")[2]: error for key, error in caught.value.failures.items()}
    assert isinstance(errors["x"], IsADirectory | IsADirectoryError)
    assert isinstance(errors["y/z"], NotADirectory)
    assert all(str(tmp_path) in str(error) for error in errors.values())
    assert snapshot(tmp_path) == {"x/": None, "x/mine": b"mine", "y": b"mine", "fine": b"new"}


# Up


async def test_an_upload_follows_links_inside_fails_those_that_lead_out_and_skips_what_is_no_file(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"secret": b"secret", "src/d/f": b"f"})
    src = tmp_path / "src"
    (src / "inside").symlink_to("d/f")
    (src / "folder").symlink_to("d")
    (src / "out").symlink_to(tmp_path / "secret")
    (src / "broken").symlink_to("nothing")
    (src / "d" / "up").symlink_to("..")
    os.mkfifo(src / "pipe")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        here = os.open(src, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        with pytest.raises(TransferError, match='symlinks="follow"') as caught:
            await buckets.upload_dir(src, place)
    assert {path: type(error) for path, error in caught.value.failures.items()} == {
        str(src / "out"): ConfigurationError
    }
    report = caught.value.report
    assert isinstance(report, TransferReport)
    assert sorted(report.skipped) == [str(src / name) for name in ("broken", "d/up", "folder/up", "pipe", "socket")]
    entries = buckets.list_blobs(f"{place}/", recursive=True, limit=None)
    assert {entry.key.partition("/")[2] async for entry in entries} == {"d/f", "folder/f", "inside"}
    report = await buckets.upload_dir(src, f"{place}/2", symlinks="skip")
    assert (report.files, len(report.skipped)) == (1, 7)
    report = await buckets.upload_dir(src, f"{place}/3", symlinks="follow")
    assert report.files == 4
    with pytest.raises(ConfigurationError, match="'inside', 'follow' or 'skip'"):
        await buckets.upload_dir(src, f"{place}/4", symlinks="maybe")


async def test_a_pipe_is_no_file_to_upload_and_nobody_waits_for_it_f73(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="neither a file nor a folder"):
        await buckets.upload_file(tmp_path / "pipe", f"{place}/x")


async def test_a_name_that_is_no_text_fails_alone_and_can_be_printed(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"good": b"x", os.fsdecode(b"bad\xff"): b"x"})
    with pytest.raises(TransferError) as caught:
        await buckets.upload_dir(tmp_path, place, progress=Recorder())
    assert list(caught.value.failures) == [f"{tmp_path}/bad\\xff"]
    str(caught.value).encode()
