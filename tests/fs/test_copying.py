from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fsspec.callbacks import Callback

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, TransferError
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem

# The rules for what lands where are fsspec's, and its suite checks them: `test_abstract`.


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_up_and_comes_down_as_it_was(
    fs: BlobFileSystem, bucket: str, folder: Path, tmp_path: Path
) -> None:
    fs.put(str(folder), f"{bucket}/up", recursive=True)
    assert fs.find(f"{bucket}/up") == [f"{bucket}/up/{name}" for name in ("a.txt", "deep/b.txt", "deep/er/c.txt")]
    fs.get(f"{bucket}/up", str(tmp_path / "down"), recursive=True)
    assert content(tmp_path / "down") == content(folder)


def test_names_with_marks_of_a_pattern_are_no_patterns_where_they_exist(
    fs: BlobFileSystem, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "a[1].csv").write_text("it")
    (tmp_path / "a1.csv").write_text("another")
    fs.put(str(tmp_path / "a[1].csv"), f"{bucket}/a[1].csv")
    fs.pipe(f"{bucket}/a1.csv", b"another")
    fs.copy(f"{bucket}/a[1].csv", f"{bucket}/b.csv")
    fs.get(f"{bucket}/a[1].csv", str(tmp_path / "down.csv"))
    assert fs.cat(f"{bucket}/b.csv") == (tmp_path / "down.csv").read_bytes() == b"it"
    assert fs.find(bucket) == [f"{bucket}/{name}" for name in ("a1.csv", "a[1].csv", "b.csv")]


def test_what_is_copied_or_moved_keeps_its_bytes_and_a_move_leaves_nothing_behind(
    fs: BlobFileSystem, bucket: str
) -> None:
    fs.pipe({f"{bucket}/d/{key}": key.encode() for key in ("a", "e/b")})
    fs.copy(f"{bucket}/d", f"{bucket}/copy", recursive=True)
    fs.mv(f"{bucket}/d", f"{bucket}/moved", recursive=True)
    fs.mv(f"{bucket}/copy/a", f"{bucket}/a")
    assert fs.find(bucket) == [f"{bucket}/{key}" for key in ("a", "copy/e/b", "moved/a", "moved/e/b")]
    assert fs.cat(f"{bucket}/moved/e/b") == b"e/b"


def test_a_blob_beside_a_folder_of_its_name_moves_with_it(fs: BlobFileSystem, bucket: str) -> None:
    fs.pipe(f"{bucket}/d/x", b"below")
    fs.pipe(f"{bucket}/d", b"blob")
    fs.mv(f"{bucket}/d", f"{bucket}/moved", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/moved", f"{bucket}/moved/x"]


def test_a_move_onto_itself_or_into_itself_loses_nothing(fs: BlobFileSystem, bucket: str) -> None:
    fs.pipe({f"{bucket}/d/a": b"a", f"{bucket}/d/b": b"b"})
    fs.mv(f"{bucket}/d/a", f"{bucket}/d/a")
    with pytest.raises(InvalidAddress):
        fs.mv(f"blob://{bucket}/d/a", f"{bucket}/d/a")
    with pytest.raises(InvalidAddress):
        fs.mv(f"{bucket}/d", f"{bucket}/d/below", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/d/a", f"{bucket}/d/b"]


@pytest.mark.parametrize("verb", ["copy", "get", "mv"])
def test_what_is_not_there_is_not_found(fs: BlobFileSystem, bucket: str, verb: str, tmp_path: Path) -> None:
    target = str(tmp_path / "target") if verb == "get" else f"{bucket}/target"
    for recursive in (False, True):
        with pytest.raises(FileNotFoundError):
            getattr(fs, verb)(f"{bucket}/nothing", target, recursive=recursive)


def test_a_local_file_that_is_not_there_is_not_found(fs: BlobFileSystem, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fs.put(str(tmp_path / "nothing"), f"{bucket}/target")


def test_a_folder_that_could_not_be_copied_as_a_whole_tells_what_failed(
    fs: BlobFileSystem, bucket: str, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for others")
    (folder / "link").symlink_to(secret)
    with pytest.raises(TransferError, match="link"):
        fs.put(str(folder), f"{bucket}/up", recursive=True)
    assert len(fs.find(bucket)) == 3


def test_a_key_that_would_leave_the_local_folder_is_refused_and_named(exact: BlobFileSystem, tmp_path: Path) -> None:
    exact.pipe({"models/d/good": b"good", "models/d/../../evil": b"evil"})
    with pytest.raises(TransferError, match="evil"):
        exact.get("models/d", str(tmp_path / "down"), recursive=True)
    assert content(tmp_path) == {"down/good": b"good"}


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("models/d/**", {}),
        ("models/d/**", {"recursive": True}),
        ("models/*", {"recursive": True}),
        ("models/d", {"recursive": True, "maxdepth": 9}),
    ],
)
def test_what_a_pattern_or_a_depth_finds_leaves_the_local_folder_no_more(
    exact: BlobFileSystem, tmp_path: Path, path: str, options: dict[str, Any]
) -> None:
    exact.pipe({"models/d/good": b"good", "models/d/x/../../../../evil/evil": b"evil"})
    (tmp_path / "down").mkdir()
    with pytest.raises(InvalidAddress, match=r"models/d/x/\.\..*would lead elsewhere"):
        exact.get(path, str(tmp_path / "down"), **options)
    assert list(tmp_path.rglob("*")) == [tmp_path / "down"]


def test_of_a_list_each_blob_lands_in_the_local_folder_or_nowhere(exact: BlobFileSystem, tmp_path: Path) -> None:
    exact.pipe({"models/d/../../good": b"good", "models/e/..": b"evil"})
    exact.get(["models/d/../../good"], f"{tmp_path}/down/")
    with pytest.raises((OSError, ValueError), match="down"):  # fsspec itself looks there since 2026
        exact.get(["models/e/.."], f"{tmp_path}/down/")
    assert content(tmp_path) == {"down/good": b"good"}


def test_a_copy_onto_a_folder_is_refused_and_a_move_there_loses_nothing(fs: BlobFileSystem, bucket: str) -> None:
    fs.pipe({f"{bucket}/a": b"a", f"{bucket}/d/x": b"x"})
    for verb in (fs.cp_file, lambda source, target: fs.mv([source], [target])):
        with pytest.raises(IsADirectoryError):
            verb(f"{bucket}/a", f"{bucket}/d")
    assert fs.find(bucket) == [f"{bucket}/a", f"{bucket}/d/x"]


def test_a_callback_is_told_of_bytes_of_a_file_and_of_files_of_a_folder(
    fs: BlobFileSystem, bucket: str, folder: Path, tmp_path: Path
) -> None:
    up, down, file = Callback(), Callback(), Callback()
    fs.put(str(folder), f"{bucket}/up", recursive=True, callback=up)
    fs.get(f"{bucket}/up", str(tmp_path / "down"), recursive=True, callback=down)
    fs.get_file(f"{bucket}/up/a.txt", str(tmp_path / "one"), callback=file)
    assert [(up.size, up.value), (down.size, down.value), (file.size, file.value)] == [(3, 3), (3, 3), (5, 5)]
