from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, NotConnected, ResourceNotFound
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.fs.running import run
from conformance.hostile import HOSTILE
from fs.conftest import opened
from platform_rig import Platform, closed_port


@pytest.fixture
def tree(fs: BlobFileSystem, bucket: str) -> str:
    """A bucket with some blobs."""
    fs.pipe({f"{bucket}/{key}": key.encode() for key in ("a", "d/b.csv", "d/c.csv", "d/e/f.csv", "dd/g.csv")})
    return bucket


# One blob or folder


def test_what_is_known_of_a_blob_is_its_size_time_and_etag(fs: BlobFileSystem, tree: str) -> None:
    info = fs.info(f"blob://{tree}/d/b.csv")
    assert (info["name"], info["size"], info["type"]) == (f"{tree}/d/b.csv", 7, "file")
    assert abs(info["LastModified"] - datetime.now(UTC)) < timedelta(minutes=10)
    assert info["ETag"]
    assert fs.size(f"{tree}/d/b.csv") == 7
    assert fs.modified(f"{tree}/d/b.csv") == info["LastModified"]


def test_a_folder_is_there_as_long_as_something_is_in_it(fs: BlobFileSystem, tree: str) -> None:
    assert fs.info(f"{tree}/d") == {"name": f"{tree}/d", "size": 0, "type": "directory"}
    assert (fs.isdir(f"{tree}/d"), fs.isfile(f"{tree}/d"), fs.exists(f"{tree}/d/")) == (True, False, True)
    assert (fs.isdir(f"{tree}/a"), fs.isfile(f"{tree}/a")) == (False, True)
    fs.mkdir(f"{tree}/new")
    assert not fs.exists(f"{tree}/new")
    assert not fs.exists(f"{tree}/d/b")  # a prefix is no folder


def test_a_bucket_is_a_folder_and_all_buckets_are_listed_at_the_root(fs: BlobFileSystem, tree: str) -> None:
    assert fs.isdir(tree)
    assert tree in fs.ls("", detail=False)
    assert not fs.exists("no-such-bucket")
    assert not fs.isdir("no-such-bucket")
    with pytest.raises(FileNotFoundError):
        fs.ls("no-such-bucket")


def test_the_id_of_a_bucket_is_as_good_as_its_name(fs: BlobFileSystem, tree: str, platform: Platform) -> None:
    bucket = platform.ask(lambda buckets: buckets.get(tree))
    assert fs.cat(f"{bucket.id}/a") == b"a"


def test_what_is_not_there_is_not_found(fs: BlobFileSystem, tree: str) -> None:
    for question in (fs.info, fs.cat_file, fs.open, fs.ls, fs.rm, fs.ukey):
        with pytest.raises(FileNotFoundError):
            question(f"{tree}/nothing")


def test_ukey_and_checksum_change_with_the_content_only(fs: BlobFileSystem, tree: str) -> None:
    path = f"{tree}/a"
    before = (fs.ukey(path), fs.checksum(path))
    assert (fs.ukey(path), fs.checksum(path)) == before
    fs.pipe(path, b"other")
    after = (fs.ukey(path), fs.checksum(path))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_time_that_nobody_keeps_is_said_to_be_unknown(fs: BlobFileSystem, tree: str) -> None:
    with pytest.raises(NotImplementedError, match="no such time"):
        fs.modified(f"{tree}/d")


# Levels and trees


def test_a_level_shows_folders_and_blobs(fs: BlobFileSystem, tree: str) -> None:
    assert fs.ls(f"{tree}/d", detail=False) == [f"{tree}/d/e", f"{tree}/d/b.csv", f"{tree}/d/c.csv"]
    assert {info["name"]: info["type"] for info in fs.ls(tree)} == {
        f"{tree}/a": "file",
        f"{tree}/d": "directory",
        f"{tree}/dd": "directory",
    }
    assert fs.ls(f"{tree}/a", detail=False) == [f"{tree}/a"]


def test_a_tree_is_walked_found_and_counted(fs: BlobFileSystem, tree: str) -> None:
    assert list(fs.walk(f"{tree}/d")) == [
        (f"{tree}/d", ["e"], ["b.csv", "c.csv"]),
        (f"{tree}/d/e", [], ["f.csv"]),
    ]
    assert list(fs.walk(tree, maxdepth=1)) == [(tree, ["d", "dd"], ["a"])]
    assert [path for path, _, _ in fs.walk(f"{tree}/d", topdown=False)] == [f"{tree}/d/e", f"{tree}/d"]
    assert fs.find(f"{tree}/d") == [f"{tree}/d/b.csv", f"{tree}/d/c.csv", f"{tree}/d/e/f.csv"]
    assert fs.find(f"{tree}/d", maxdepth=1, withdirs=True) == [
        f"{tree}/d",
        f"{tree}/d/b.csv",
        f"{tree}/d/c.csv",
        f"{tree}/d/e",
    ]
    assert fs.find(f"{tree}/a") == [f"{tree}/a"]
    assert fs.find(f"{tree}/nothing") == []
    assert fs.du(tree) == len("ad/b.csvd/c.csvd/e/f.csvdd/g.csv")
    assert fs.du(f"{tree}/d", total=False)[f"{tree}/d/e/f.csv"] == 9


def test_a_walk_does_not_go_into_what_its_caller_took_out(fs: BlobFileSystem, tree: str) -> None:
    seen = []
    for path, folders, _ in fs.walk(tree):
        seen.append(path)
        folders[:] = [name for name in folders if name != "d"]
    assert seen == [tree, f"{tree}/dd"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("d/*.csv", ["d/b.csv", "d/c.csv"]),
        ("d*/*.csv", ["d/b.csv", "d/c.csv", "dd/g.csv"]),
        ("d/[!b].csv", ["d/c.csv"]),
        ("**/*.csv", ["d/b.csv", "d/c.csv", "d/e/f.csv", "dd/g.csv"]),
        ("d/?", ["d/e"]),
        ("d/*/", ["d/e"]),
        ("d", ["d"]),
        ("x*", []),
    ],
)
def test_a_pattern_finds_what_fsspec_says(fs: BlobFileSystem, tree: str, pattern: str, found: list[str]) -> None:
    names = [name.rstrip("/") for name in fs.glob(f"{tree}/{pattern}")]
    assert names == [f"{tree}/{name}" for name in found]


# What fails is no absence


def connection_to_nobody() -> str:
    return json.dumps({"conn_type": "neuro_buckets", "host": f"http://127.0.0.1:{closed_port()}", "password": "token"})


@pytest.mark.parametrize("question", ["exists", "isdir", "isfile", "ls", "find", "glob", "du", "cat_file"])
def test_a_service_that_does_not_answer_is_an_error_and_no_empty_listing(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONE", connection_to_nobody())
    with opened("gone") as fs, pytest.raises(NotConnected):
        getattr(fs, question)("bucket/folder/*")


def test_a_walk_passes_over_what_is_not_there_and_over_nothing_else(
    fs: BlobFileSystem, tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(fs.walk(f"{tree}/nothing")) == [(f"{tree}/nothing", [], [])]
    with pytest.raises(FileNotFoundError):
        list(fs.walk(f"{tree}/nothing", on_error="raise"))
    told: list[Exception] = []
    list(fs.walk(f"{tree}/nothing", on_error=told.append))
    assert [type(error) for error in told] == [ResourceNotFound]
    monkeypatch.setenv("AIRFLOW_CONN_GONE", connection_to_nobody())
    with opened("gone") as gone, pytest.raises(ConnectionError):
        list(gone.walk("bucket"))


# Keys that look like something else, on a storage that takes them all


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_key_is_written_found_read_copied_and_removed_as_it_is(exact: BlobFileSystem, kind: str) -> None:
    keys = [key for key in HOSTILE[kind] if not key.endswith("/") and key not in {"new\nline", "nul\x00"}]
    for key in keys:
        path = f"models/{key}"
        exact.pipe_file(path, key.encode())
        assert exact.find("models") == [path]
        assert exact.cat_file(path) == exact.cat(path) == key.encode()
        assert exact.info(path)["size"] == len(key.encode())
        exact.copy(path, "models/copy/of it")
        assert exact.cat_file("models/copy/of it") == key.encode()
        exact.rm([path, "models/copy/of it"])
        assert exact.find("models") == []


def test_a_name_with_marks_of_a_pattern_is_no_pattern_where_it_exists(exact: BlobFileSystem) -> None:
    exact.pipe({"models/a[1]*.csv": b"it", "models/a1.csv": b"another", "models/a1b.csv": b"a third"})
    assert exact.cat("models/a[1]*.csv") == b"it"
    exact.mv("models/a[1]*.csv", "models/b[1]*.csv")
    exact.rm("models/b[1]*.csv")
    assert exact.find("models") == ["models/a1.csv", "models/a1b.csv"]
    exact.rm("models/a[1]*.csv")
    assert exact.find("models") == []


def test_a_folder_with_names_that_no_path_can_tell_apart_says_so_and_is_found_by_its_keys(
    exact: BlobFileSystem,
) -> None:
    exact.pipe({"models/d//x": b"1", "models/d/y": b"2"})
    for question in (exact.ls, lambda path: list(exact.walk(path)), lambda path: exact.glob(f"{path}/*")):
        with pytest.raises(InvalidAddress, match=r"'d//', which paths cannot tell from others"):
            question("models/d")
    assert exact.find("models/d") == ["models/d//x", "models/d/y"]
    assert exact.cat_file("models/d//x") == b"1"
    assert exact.du("models/d") == 2


def test_a_blob_beside_a_folder_of_the_same_name_comes_first_and_hides_nothing(exact: BlobFileSystem) -> None:
    exact.pipe({"models/d": b"blob", "models/d/x": b"below"})
    assert exact.info("models/d")["type"] == "file"
    assert exact.ls("models/d", detail=False) == ["models/d/x"]
    assert exact.find("models") == ["models/d", "models/d/x"]
    exact.rm("models/d")
    assert exact.find("models") == ["models/d/x"]


def test_markers_of_folders_are_folders(exact: BlobFileSystem) -> None:
    async def mark() -> None:
        await exact.ask(lambda buckets: buckets.put_blob("models", "empty/", b""))

    run(exact.loop, mark)
    assert exact.isdir("models/empty")
    assert exact.ls("models/empty") == []
    assert exact.find("models") == []
    assert exact.find("models", withdirs=True) == ["models", "models/empty"]
    exact.rm("models/empty", recursive=True)
    assert not exact.exists("models/empty")
