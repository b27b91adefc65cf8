from __future__ import annotations

import random
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import IsADirectory, NotADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ
from buckets.transfer.trees import plant, snapshot

LARGE = random.Random(7).randbytes(2 * PART + SINGLE_READ // 2 + 12345)

TREE: Mapping[str, bytes | None] = {
    "plain.txt": b"plain",
    "with space/and more spaces .txt": b"spaces",
    "a+b%20%2F.txt": b"percent is no escape in a name",
    "#hash?query&amp;=.txt": b"url operators",
    "quotes'\"`.txt": b"quotes",
    "[brackets]{braces}*star.txt": b"glob operators",
    "tab\tline\nbreak.txt": b"control characters",
    "$HOME;|<>@:,~^.txt": b"shell operators",
    unicodedata.normalize("NFC", "é-composed"): b"NFC",
    unicodedata.normalize("NFD", "é-composed"): b"NFD",
    "日本語/файл/😀.txt": "😀".encode(),
    ".hidden/.env": b"dot names",
    "...": b"three dots are a name",
    "..x": b"two dots and more as well",
    "trailing.": b"dot at the end",
    "empty.txt": b"",
    "empty folder/": None,
    "nested/empty/folder/": None,
    "/".join(["deep"] * 30) + "/file": b"deep",
    "n" * 200: b"long name",
    "just one part": LARGE[:PART],
    "one byte more": LARGE[: PART + 1],
    "large.bin": LARGE,
}


async def keys_below(buckets: Buckets, place: str) -> set[str]:
    entries = buckets.list_blobs(place + "/", recursive=True, limit=None)
    return {entry.key.partition("/")[2] async for entry in entries}


async def test_a_tree_of_difficult_names_comes_back_as_it_went(buckets: Buckets, place: str, tmp_path: Path) -> None:
    source = plant(tmp_path / "src", TREE)
    sent = await buckets.upload_dir(source, place)
    files = {path: content for path, content in TREE.items() if content is not None}
    size = sum(map(len, files.values()))
    assert (sent.files, sent.bytes, sent.unchanged, sent.skipped, sent.failed) == (len(files), size, 0, {}, {})
    assert await keys_below(buckets, place) == set(TREE)

    got = await buckets.download_dir(place, tmp_path / "dst")
    assert (got.files, got.bytes, got.unchanged, got.skipped, got.failed) == (len(files), size, 0, {}, {})
    assert snapshot(tmp_path / "dst") == snapshot(source)


async def test_a_marker_is_made_for_an_empty_folder_only(buckets: Buckets, place: str, tmp_path: Path) -> None:
    await buckets.upload_dir(plant(tmp_path, {"full/f": b"x", "empty/": None}), place)
    assert await keys_below(buckets, place) == {"full/f", "empty/"}


async def test_an_empty_folder_is_uploaded_as_nothing(buckets: Buckets, place: str, tmp_path: Path) -> None:
    report = await buckets.upload_dir(tmp_path, place)
    assert (report.files, report.bytes) == (0, 0)
    assert await keys_below(buckets, place) == set()


@pytest.mark.parametrize("content", [b"", b"small", LARGE[:PART], LARGE], ids=["empty", "small", "part", "large"])
async def test_a_single_file_comes_back_with_the_time_of_its_blob(
    buckets: Buckets, place: str, tmp_path: Path, content: bytes
) -> None:
    plant(tmp_path, {"a b#.bin": content})
    uri = f"{place}/x%20y%3F.bin"
    sent = await buckets.upload_file(tmp_path / "a b#.bin", uri)
    got = await buckets.download_file(uri, tmp_path / "back")
    assert (sent.files, sent.bytes, got.files, got.bytes) == (1, len(content), 1, len(content))
    assert (tmp_path / "back").read_bytes() == content
    blob = await buckets.stat_blob(uri)
    assert blob.modified_at is not None
    assert (tmp_path / "back").stat().st_mtime == blob.modified_at.timestamp()


async def test_ends_may_be_urls_strings_or_paths(buckets: Buckets, place: str, tmp_path: Path) -> None:
    plant(tmp_path, {"src/a b": b"x"})
    await buckets.upload_dir(URL(f"file://{tmp_path}/src"), URL(place))
    await buckets.download_dir(URL(place), str(tmp_path / "one"))
    await buckets.download_file(URL(f"{place}/a%20b", encoded=True), f"file://{tmp_path}/one/c%20d")
    assert snapshot(tmp_path / "one") == {"a b": b"x", "c d": b"x"}


async def test_a_whole_bucket_can_be_either_end(buckets: Buckets, tmp_path: Path) -> None:
    bucket = await buckets.create()
    plant(tmp_path / "src", {"a": b"a", "d/b": b"b"})
    await buckets.upload_dir(tmp_path / "src", f"blob:{bucket.id}")
    await buckets.download_dir(f"blob:{bucket.id}", tmp_path / "dst")
    assert snapshot(tmp_path / "dst") == snapshot(tmp_path / "src")
    await buckets.rm(bucket.id, force=True)


async def test_neighbours_whose_names_begin_alike_stay_where_they_are(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    await buckets.upload_dir(plant(tmp_path / "src", {"run/f": b"1", "run-2/f": b"2", "run.txt": b"3"}), place)
    await buckets.download_dir(f"{place}/run", tmp_path / "dst")
    assert snapshot(tmp_path / "dst") == {"f": b"1"}


async def test_ends_that_are_not_there_or_not_of_the_kind_are_told_before_anything_happens(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"file": b"x", "folder/f": b"y"})
    await buckets.upload_dir(tmp_path / "folder", f"{place}/folder")
    with pytest.raises(ResourceNotFound, match="missing"):
        await buckets.upload_file(tmp_path / "missing", f"{place}/x")
    with pytest.raises(ResourceNotFound, match="missing"):
        await buckets.upload_dir(tmp_path / "missing", f"{place}/x")
    with pytest.raises(IsADirectory, match="upload_dir"):
        await buckets.upload_file(tmp_path / "folder", f"{place}/x")
    with pytest.raises(NotADirectory, match="upload_file"):
        await buckets.upload_dir(tmp_path / "file", f"{place}/x")
    for folder in (f"{place}/folder", f"{place}/new/", place.partition("/")[0]):
        with pytest.raises(IsADirectory, match="is a folder"):
            await buckets.upload_file(tmp_path / "file", folder)
    with pytest.raises(ResourceNotFound, match="missing"):
        await buckets.download_file(f"{place}/missing", tmp_path / "x")
    with pytest.raises(ResourceNotFound, match="missing"):
        await buckets.download_dir(f"{place}/missing", tmp_path / "x")
    for folder in (f"{place}/folder", place.partition("/")[0]):
        with pytest.raises(IsADirectory, match="download_dir"):
            await buckets.download_file(folder, tmp_path / "x")
    with pytest.raises(NotADirectory, match="download_file"):
        await buckets.download_dir(f"{place}/folder/f", tmp_path / "x")
    with pytest.raises(IsADirectory, match="Name the file"):
        await buckets.download_file(f"{place}/folder/f", tmp_path / "folder")
    with pytest.raises(NotADirectory, match="another destination"):
        await buckets.download_dir(f"{place}/folder", tmp_path / "file")
    with pytest.raises(ResourceNotFound, match="Make it first"):
        await buckets.download_file(f"{place}/folder/f", tmp_path / "no" / "folder")
    assert snapshot(tmp_path) == {"file": b"x", "folder/": None, "folder/f": b"y"}


async def test_a_download_makes_the_folders_above_its_destination(buckets: Buckets, place: str, tmp_path: Path) -> None:
    await buckets.upload_dir(plant(tmp_path / "src", {"f": b"x"}), place)
    for flags in ({}, {"update": True}, {"continue_": True}):
        folder = tmp_path / str(flags) / "with" / "parents"
        await buckets.download_dir(place, folder, **flags)  # type: ignore[arg-type]  # a table of flags
        assert snapshot(folder) == {"f": b"x"}


def test_the_large_file_needs_more_than_two_parts_and_more_than_one_read() -> None:
    assert len(LARGE) > 2 * PART
    assert len(LARGE) > SINGLE_READ
    assert len(LARGE) < 30 * MIB
