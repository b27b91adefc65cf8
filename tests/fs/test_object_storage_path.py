"""`ObjectStoragePath` of Airflow on a bucket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store

from airflow_here import before, needs, serde
from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from conformance.hostile import HOSTILE
from platform_rig import Platform

UNREADABLE = ["new\nline", "carriage\rreturn", "tab\tstop"]
"""What the reader of URLs drops without a word: such a path is refused."""
OF_THE_PROVIDER = needs(3, 2, reason="asks no provider how its paths look")


@pytest.fixture
def root(
    neuro_buckets_local: RunningPlatform,
    platform: Platform,  # noqa: ARG001 - it is the default connection
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> ObjectStoragePath:
    """The bucket, on a connection called lake."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", neuro_buckets_local.connection)
    monkeypatch.setattr(store, "_STORE_CACHE", {})
    return ObjectStoragePath(f"blob://lake@{bucket}")


def test_a_path_is_written_read_and_looked_at(root: ObjectStoragePath) -> None:
    path = root / "folder" / "report.txt"
    assert not path.exists()
    path.write_text("content")
    assert path.read_text() == "content"
    assert (path.exists(), path.is_file(), path.is_dir(), path.parent.is_dir()) == (True, True, False, True)
    assert path.size() == 7
    status: Any = path.stat()
    assert (status.st_size, status["conn_id"], status["protocol"]) == (7, "lake", "blob")
    assert status.st_mtime > 1.7e9
    assert path.checksum() == path.checksum()
    assert path.ukey() == status["ETag"]
    assert path.read_block(1, 3) == b"ont"
    with path.open("w") as file:
        file.write("other")
    with path.open() as file:
        assert file.readlines() == ["other"]


def test_names_are_taken_apart_and_put_together(root: ObjectStoragePath, bucket: str) -> None:
    path = root / "folder" / "report.tar.gz"
    assert str(path) == f"blob://lake@{bucket}/folder/report.tar.gz"
    assert (path.name, path.stem, path.suffix, path.key) == (
        "report.tar.gz",
        "report.tar",
        ".gz",
        "folder/report.tar.gz",
    )
    assert path.parent == root / "folder"
    assert path.parent.parent == root
    assert path.with_suffix(".zip").name == "report.tar.zip"
    assert path.is_relative_to(root)
    assert ObjectStoragePath(str(path)) == path
    assert {path: 1}[ObjectStoragePath(str(path))] == 1


@OF_THE_PROVIDER
def test_a_path_knows_its_connection_its_bucket_and_its_parts(root: ObjectStoragePath, bucket: str) -> None:
    path = root / "folder" / "report.txt"
    assert (path.conn_id, path.bucket, path.parts) == ("lake", bucket, ("/", bucket, "folder", "report.txt"))


def test_folders_are_listed_and_matched(root: ObjectStoragePath) -> None:
    for name in ("a.csv", "d/b.csv", "d/e/c.csv", "d/e/c.txt"):
        (root / name).write_bytes(b"")
    assert sorted(path.name for path in root.iterdir()) == ["a.csv", "d"]
    assert sorted(path.key for path in root.glob("*/*.csv")) == ["d/b.csv"]
    assert sorted(path.key for path in root.rglob("*.csv")) == ["a.csv", "d/b.csv", "d/e/c.csv"]
    assert all(str(path).startswith(f"{root}/") for path in root.rglob("*"))


@needs(3, 2, reason="has no `walk` of paths")
def test_folders_are_walked(root: ObjectStoragePath) -> None:
    for name in ("d/b.csv", "d/e/c.csv", "d/e/c.txt"):
        (root / name).write_bytes(b"")
    assert [(path.key, folders, files) for path, folders, files in (root / "d").walk()] == [
        ("d", ["e"], ["b.csv"]),
        ("d/e", [], ["c.csv", "c.txt"]),
    ]


@OF_THE_PROVIDER
def test_a_glob_below_a_folder_with_marks_of_a_pattern_looks_there_and_nowhere_else(root: ObjectStoragePath) -> None:
    (root / "[ab]" / "in.csv").write_bytes(b"")
    (root / "a" / "out.csv").write_bytes(b"")
    assert [path.key for path in (root / "[ab]").glob("*.csv")] == ["[ab]/in.csv"]
    assert [path.key for path in (root / "[ab]").rglob("*.csv")] == ["[ab]/in.csv"]


def test_paths_are_copied_moved_and_removed(root: ObjectStoragePath, folder: Path, tmp_path: Path) -> None:
    ObjectStoragePath(f"file://{folder}").copy(root / "up", recursive=True)
    (root / "up").copy(root / "copy", recursive=True)
    (root / "copy" / "a.txt").move(root / "moved.txt")
    (root / "moved.txt").rename(root / "renamed.txt")
    (root / "up").copy(ObjectStoragePath(f"file://{tmp_path / 'down'}"), recursive=True)
    assert (tmp_path / "down" / "deep" / "b.txt").read_text() == "deep/b.txt"
    assert [path.key for path in sorted(root.rglob("*.txt"), key=str)] == [
        "copy/deep/b.txt",
        "copy/deep/er/c.txt",
        "renamed.txt",
        "up/a.txt",
        "up/deep/b.txt",
        "up/deep/er/c.txt",
    ]
    (root / "renamed.txt").unlink()
    (root / "renamed.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "renamed.txt").unlink()
    (root / "up").rmdir()
    assert not (root / "up").exists()
    with pytest.raises(ValueError, match="is a whole bucket"):
        root.rmdir()


def test_folders_need_no_making_and_an_empty_file_is_touched(
    root: ObjectStoragePath, platform: Platform, bucket: str
) -> None:
    (root / "a" / "b").mkdir(parents=True, exist_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    (root / "a" / "b" / "file").touch()
    (root / "a" / "b" / "file").touch()
    assert platform.keys(bucket) == ["a/b/file"]
    with pytest.raises(FileExistsError):
        (root / "a" / "b" / "file").touch(exist_ok=False)
    with pytest.raises(FileNotFoundError, match="there is no bucket"):
        ObjectStoragePath("blob://lake@no-such-bucket").mkdir(parents=True, exist_ok=True)


def test_a_signed_path_is_read_by_anybody(root: ObjectStoragePath) -> None:
    (root / "file").write_bytes(b"content")
    with urlopen((root / "file").sign(expiration=60)) as answer:
        assert answer.read() == b"content"


def test_a_path_without_a_connection_is_on_the_default_one(root: ObjectStoragePath, bucket: str) -> None:
    (root / "file").write_bytes(b"content")
    BlobFileSystem.clear_instance_cache()
    path = ObjectStoragePath(f"blob://{bucket}/file")
    assert path.read_bytes() == path.open("rb").read() == b"content"
    assert (path.exists(), path.size(), str(path)) == (True, 7, f"blob://{bucket}/file")
    path.fs.close()


def test_a_path_is_handed_on_as_data_with_its_connection_and_no_secret(
    root: ObjectStoragePath, neuro_buckets_local: RunningPlatform
) -> None:
    path = root / "a #1?x%20.txt"
    path.write_bytes(b"content")
    handed: Any = serde.serialize(path)
    assert neuro_buckets_local.token not in repr(handed)
    again = serde.deserialize(handed)
    assert isinstance(again, ObjectStoragePath)
    assert (again, str(again), again.read_bytes()) == (path, str(path), b"content")


@pytest.mark.parametrize("kind", ["white space", "unicode", "percent", "marks of a URL", "marks of a shell and of XML"])
def test_a_key_is_what_stands_in_the_path(root: ObjectStoragePath, platform: Platform, bucket: str, kind: str) -> None:
    keys = {key for key in HOSTILE[kind] if "\\" not in key}.difference(UNREADABLE)
    for key in keys:
        (root / key).write_bytes(b"")
        assert (root / key).path == f"{bucket}/{key}"
        handed: Any = serde.serialize(root / key)
        assert serde.deserialize(handed) == root / key
    assert set(platform.keys(bucket)) == keys


@OF_THE_PROVIDER
@pytest.mark.parametrize("key", ["why?", "end#", "a?#b", *UNREADABLE])
def test_a_key_that_airflow_would_read_as_another_is_refused_in_one_sentence(root: ObjectStoragePath, key: str) -> None:
    with pytest.raises(InvalidAddress, match=r"as text, Airflow would read .*\. Use the hook for this key\."):
        root / key


def test_dots_are_a_key_of_their_own_and_never_lead_to_another(root: ObjectStoragePath) -> None:
    (root / "a" / "c").write_bytes(b"content")
    with pytest.raises((ValueError, FileNotFoundError)):
        (root / "a" / "b" / ".." / "c").read_bytes()
    with pytest.raises(ValueError, match="segment"):
        (root / "a" / ".." / "c").write_bytes(b"")


FIRST = [
    pytest.param("", id="the path", marks=OF_THE_PROVIDER),
    pytest.param("import upath; upath.UPath('blob://b/k').parts", id="universal_pathlib", marks=OF_THE_PROVIDER),
    pytest.param("import fsspec; fsspec.filesystem('blob')", id="the filesystem", marks=OF_THE_PROVIDER),
    pytest.param("import airflow_provider_neuro_buckets.fs.blob", id="its module", marks=OF_THE_PROVIDER),
    pytest.param("import airflow_provider_neuro_buckets.fs.path", id="the module of paths"),
]


@pytest.mark.parametrize("first", FIRST)
def test_a_fresh_process_knows_the_scheme_whatever_is_loaded_first(first: str) -> None:
    script = f"""
import warnings; warnings.simplefilter("error", UserWarning)
{first}
from airflow.sdk import ObjectStoragePath
path = ObjectStoragePath("blob://lake@bucket/d/a.txt")
assert (path.path, path.name, path.suffix, path.parent.name, path.key) == (
    "bucket/d/a.txt", "a.txt", ".txt", "d", "d/a.txt")
assert path.fs.conn_id == "lake"
if not {before(3, 2)}:
    assert path.parts == ("/", "bucket", "d", "a.txt"), path.parts
    assert type(path.__wrapped__).__name__ == "BlobPath"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
