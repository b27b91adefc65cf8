from __future__ import annotations

import gc
import io
import json
import logging
import os
import tracemalloc
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from airflow_provider_neuro_buckets.buckets.errors import Conflict, PermissionDenied
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.fs.reading import BLOCK
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from fs.conftest import opened
from platform_rig import Platform, WatchedPlatform

MIB = 1024 * 1024


class OnPurposeError(Exception):
    """Raised in the middle of writing."""


@pytest.fixture
def path(bucket: str) -> str:
    return f"{bucket}/folder/blob"


@pytest.fixture
def watched_fs(watched: WatchedPlatform) -> Iterator[BlobFileSystem]:
    assert watched.running.connection
    with opened() as fs:
        yield fs


# Reading


def test_an_open_blob_reads_like_a_file(fs: BlobFileSystem, path: str) -> None:
    content = os.urandom(3 * MIB)
    fs.pipe(path, content)
    with fs.open(path, block_size=MIB) as file:
        like = io.BytesIO(content)
        for where in (0, 10, 2 * MIB - 3, MIB, 3 * MIB - 1, 5):
            assert file.seek(where) == like.seek(where)
            assert file.read(1000) == like.read(1000)
        assert file.seek(-7, os.SEEK_END) == 3 * MIB - 7
        assert file.read() == content[-7:]
        assert (file.read(), file.size, file.tell()) == (b"", 3 * MIB, 3 * MIB)
        assert file.info()["name"] == path


def test_text_is_encoded_and_decoded(fs: BlobFileSystem, path: str) -> None:
    with fs.open(path, "w", encoding="latin-1", newline="\r\n") as file:
        file.write("héllo\nworld\n")
    assert fs.cat(path) == "héllo\r\nworld\r\n".encode("latin-1")
    with fs.open(path, "r", encoding="latin-1") as file:
        assert list(file) == ["héllo\n", "world\n"]
    assert fs.read_text(path, encoding="latin-1") == "héllo\nworld\n"


def test_lines_of_a_blob_are_read_one_by_one(fs: BlobFileSystem, path: str) -> None:
    lines = [f"line {number}\n".encode() for number in range(1000)]
    fs.pipe(path, b"".join(lines))
    with fs.open(path, block_size=100) as file:
        assert list(file) == lines


def test_all_that_a_file_reads_is_of_one_version(fs: BlobFileSystem, path: str) -> None:
    fs.pipe(path, b"a" * 2 * MIB)
    with fs.open(path, block_size=MIB, cache_type="none") as file:
        assert file.read(MIB) == b"a" * MIB
        fs.pipe(path, b"b" * 2 * MIB)
        with pytest.raises(Conflict):
            file.read(MIB)


@pytest.mark.parametrize(("start", "end"), [(None, None), (2, 5), (-3, None), (None, -3), (4, 99), (99, None)])
def test_slices_of_a_blob_are_those_of_its_bytes(
    fs: BlobFileSystem, path: str, start: int | None, end: int | None
) -> None:
    fs.pipe(path, b"0123456789")
    assert fs.cat_file(path, start=start, end=end) == b"0123456789"[start:end]


def test_many_ranges_come_in_their_order_and_failures_in_their_places(fs: BlobFileSystem, bucket: str) -> None:
    fs.pipe({f"{bucket}/a": b"0123456789", f"{bucket}/b": b"abcdefghij"})
    paths = [f"{bucket}/a", f"{bucket}/b", f"{bucket}/nothing", f"{bucket}/a"]
    found = fs.cat_ranges(paths, [0, 1, 0, -2], [2, 3, 1, None])
    assert found[:2] + found[3:] == [b"01", b"bc", b"89"]
    assert isinstance(found[2], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, 0, 1, on_error="raise")
    assert fs.head(f"{bucket}/a", 3) == b"012"
    assert fs.tail(f"{bucket}/a", 3) == b"789"
    assert fs.read_block(f"{bucket}/a", 2, 3) == b"234"


# Writing


def fail_while_writing(fs: BlobFileSystem, path: str, mode: str, content: str | bytes) -> None:
    with fs.open(path, mode, compression="infer") as file:
        file.write(content)
        file.flush()
        raise OnPurposeError


def write_and_fail(fs: BlobFileSystem, path: str) -> None:
    with fs.open(path, "wb") as file:
        file.write(b"x" * 12 * MIB)
    raise OnPurposeError


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_what_is_written_arrives(fs: BlobFileSystem, path: str, size: int) -> None:
    content = os.urandom(size)
    with fs.open(path, "wb") as file:
        assert (file.writable(), file.readable(), file.seekable()) == (True, False, False)
        for at in range(0, size, 5 * MIB):
            file.write(memoryview(content)[at : at + 5 * MIB])
        assert file.tell() == size
    assert fs.cat(path) == content


def test_a_blob_appears_when_the_file_is_closed_and_not_before(fs: BlobFileSystem, path: str) -> None:
    fs.pipe(path, b"old")
    with fs.open(path, "wb", block_size=MIB) as file:
        file.write(b"x" * 20 * MIB)
        file.flush()
        assert fs.cat(path) == b"old"
    assert fs.size(path) == 20 * MIB


@pytest.mark.parametrize("size", [1, 20 * MIB])
@pytest.mark.parametrize(("mode", "name"), [("wb", "blob"), ("w", "blob"), ("wb", "blob.gz"), ("w", "blob.gz")])
def test_a_file_that_is_left_by_an_exception_leaves_nothing(
    watched_fs: BlobFileSystem, watched: WatchedPlatform, size: int, mode: str, name: str
) -> None:
    with watched.fresh_bucket() as bucket:
        path = f"{bucket}/{name}"
        watched_fs.pipe(path, b"old")
        content = os.urandom(size // 2).hex()
        with pytest.raises(OnPurposeError):
            fail_while_writing(watched_fs, path, mode, content if mode == "w" else content.encode())
        assert watched_fs.cat(path) == b"old"
        assert watched.unfinished(bucket) == []


@pytest.mark.parametrize(("mode", "name"), [("wb", "blob"), ("w", "blob"), ("wb", "blob.gz")])
def test_a_file_that_is_never_closed_publishes_nothing_and_says_so(
    fs: BlobFileSystem, bucket: str, mode: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = fs.open(f"{bucket}/{name}", mode, compression="infer")
    file.write("text" if mode == "w" else b"bytes")
    with caplog.at_level(logging.WARNING):
        del file
        gc.collect()
    assert f"blob://{bucket}/{name} was never closed, so nothing was written" in caplog.text
    assert fs.ls(bucket) == []


@pytest.mark.parametrize("name", ["blob.gz", "blob.bz2", "blob.xz", "blob.zip", "blob.txt"])
def test_compression_is_inferred_from_the_name(fs: BlobFileSystem, bucket: str, name: str) -> None:
    text = "some text, " * 1000
    with fs.open(f"{bucket}/{name}", "wt", compression="infer") as file:
        file.write(text)
    with fs.open(f"{bucket}/{name}", "rt", compression="infer") as file:
        assert file.read() == text
    assert (fs.cat(f"{bucket}/{name}") == text.encode()) == (name == "blob.txt")


def test_a_transaction_publishes_all_at_its_end_or_nothing(fs: BlobFileSystem, bucket: str) -> None:
    with fs.transaction:
        for name in ("a", "b"):
            with fs.open(f"{bucket}/{name}", "wb") as file:
                file.write(b"x" * 12 * MIB)
        assert fs.ls(bucket) == []
    assert fs.ls(bucket, detail=False) == [f"{bucket}/a", f"{bucket}/b"]
    with pytest.raises(OnPurposeError), fs.transaction:
        write_and_fail(fs, f"{bucket}/c")
    assert fs.ls(bucket, detail=False) == [f"{bucket}/a", f"{bucket}/b"]
    with fs.open(f"{bucket}/c", "wb") as file:  # and life goes on
        file.write(b"c")
    assert fs.cat(f"{bucket}/c") == b"c"


def test_an_exclusive_file_refuses_a_name_that_was_taken_before_or_meanwhile(fs: BlobFileSystem, path: str) -> None:
    with fs.open(path, "xb") as file:
        file.write(b"first")
    with pytest.raises(FileExistsError):
        fs.open(path, "xb")
    with pytest.raises(FileExistsError):
        fs.pipe_file(path, b"second", mode="create")
    fs.rm(path)
    file = fs.open(path, "x")
    file.write("second")
    fs.pipe(path, b"between")
    with pytest.raises(FileExistsError):
        file.close()
    assert fs.cat(path) == b"between"


@pytest.mark.parametrize("mode", ["ab", "a", "r+b", "rw", ""])
def test_a_mode_that_blobs_do_not_have_is_refused(fs: BlobFileSystem, path: str, mode: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be opened with mode .*Read it, or write it anew"):
        fs.open(path, mode)


def test_a_folder_is_not_opened(fs: BlobFileSystem, path: str) -> None:
    fs.pipe(path, b"")
    folder = path.rpartition("/")[0]
    for name in (folder, f"{folder}/"):
        with pytest.raises(IsADirectoryError):
            fs.open(name)
    with pytest.raises(IsADirectoryError):
        fs.open(f"{folder}/", "wb")


def test_touch_makes_an_empty_blob_and_truncates(fs: BlobFileSystem, path: str) -> None:
    fs.touch(path)
    assert fs.cat(path) == b""
    fs.pipe(path, b"content")
    with pytest.raises(NotImplementedError):
        fs.touch(path, truncate=False)
    fs.touch(path)
    assert fs.size(path) == 0


def test_who_may_only_read_is_told_so_when_writing_and_the_blob_stays(
    neuro_buckets_local: RunningPlatform, fs: BlobFileSystem, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs.pipe(path, b"old")
    connection = json.loads(neuro_buckets_local.connection) | {"password": neuro_buckets_local.readonly_token}
    monkeypatch.setenv("AIRFLOW_CONN_READER", json.dumps(connection))
    with opened("reader") as reader:
        assert reader.cat(path) == b"old"
        for size in (1, 20 * MIB):
            with pytest.raises(PermissionDenied), reader.open(path, "wb") as file:
                file.write(b"x" * size)
        with pytest.raises(PermissionError):
            reader.rm(path)
    assert fs.cat(path) == b"old"


def test_a_large_blob_is_written_and_read_in_bounded_memory(fs: BlobFileSystem, path: str) -> None:
    size, piece = 200 * MIB, os.urandom(MIB)
    fs.exists(path)  # what is loaded with the first question does not count
    tracemalloc.start()
    try:
        with fs.open(path, "wb") as file:
            for _ in range(size // MIB):
                file.write(piece)
        with fs.open(path, "rb") as file:
            while chunk := file.read(MIB):
                assert chunk == piece
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fs.size(path) == size
    assert peak < 100 * MIB


def test_a_signed_url_is_read_by_anybody(fs: BlobFileSystem, path: str) -> None:
    fs.pipe(path, b"content")
    with urlopen(fs.sign(path, expiration=60)) as answer:
        assert answer.read() == b"content"
    with pytest.raises(ValueError, match="cannot live"):
        fs.sign(path, expiration=0)


# Buckets


def test_a_path_neither_makes_nor_empties_a_bucket(fs: BlobFileSystem, bucket: str, platform: Platform) -> None:
    fs.pipe(f"{bucket}/a", b"")
    with pytest.raises(FileNotFoundError, match="there is no bucket"):
        fs.mkdir("bucket-that-is-not-there")
    with pytest.raises(FileNotFoundError):
        fs.pipe("bucket-that-is-not-there/a", b"")
    with pytest.raises(ValueError, match="is a whole bucket"):
        fs.rm(bucket, recursive=True)
    fs.makedirs(f"{bucket}/folder/in/folder")
    fs.mkdir(bucket)
    assert platform.keys(bucket) == ["a"]


def test_a_folder_is_removed_with_all_below_it_and_only_when_that_is_said(fs: BlobFileSystem, bucket: str) -> None:
    fs.pipe({f"{bucket}/{key}": b"" for key in ("d/a", "d/e/b", "dd/c", "d.txt")})
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{bucket}/d")
    with pytest.raises(IsADirectoryError):
        fs.rmdir(f"{bucket}/d")
    fs.rm(f"{bucket}/d", recursive=True)
    fs.rm(f"{bucket}/*.txt")
    assert fs.find(bucket) == [f"{bucket}/dd/c"]
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{bucket}/d", recursive=True)
