from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.uri import quote_key
from cli.running import Cli
from platform_rig import Platform

HOSTILE = [
    "two words.txt",
    " leading and trailing ",
    "a+b.txt",
    "100%.txt",
    "%20.txt",
    "#1.txt",
    "what?.txt",
    'say "hi" & it\'s.txt',
    "[1].txt",
    "{x}.txt",
    "~tilde*star.txt",
    "-r",
    "--whole-bucket",
    "at:colon",
    "blob:not",
    unicodedata.normalize("NFC", "é.txt"),
    unicodedata.normalize("NFD", "ü.txt"),
    "日本語 🙂.txt",
    ".hidden",
    "two\nlines",
    "\x1b[31mred",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few files, in it and below it."""
    return make_folder(tmp_path / "source", ["a", "b.txt"])


def make_folder(root: Path, names: list[str]) -> Path:
    for place in (root, root / "sub folder+%", root / "sub folder+%" / "deeper #?&"):
        place.mkdir(parents=True)
        for number, name in enumerate(names):
            (place / name).write_bytes(name.encode() * number)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_folder_of_hostile_names_goes_there_and_back(cli: Cli, bucket: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "source", HOSTILE)
    files = len(contents(folder))
    up = cli("cp", "-r", str(folder), f"blob:{bucket}/some place", "-o", "json")
    assert [(row["files"], row["skipped"]) for row in up.rows] == [(files, 0)]
    down = cli("cp", "-r", f"blob:{bucket}/some place", str(tmp_path / "back"), "-o", "json")
    assert [row["files"] for row in down.rows] == [files]
    assert contents(tmp_path / "back") == contents(folder)


def test_a_name_that_is_no_text_cannot_be_a_key_unless_one_is_given(
    cli: Cli, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_bytes(b"content")
    refused = cli("cp", str(tmp_path / name), f"blob:{bucket}/")
    assert refused.status != 0
    assert "Write the whole address" in refused.err
    assert cli("cp", str(tmp_path / name), f"blob:{bucket}/key").status == 0
    assert platform.keys(bucket) == ["key"]


def test_a_file_of_a_hostile_name_keeps_it_there_and_back(
    cli: Cli, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    names = ["two words", "%20#?.txt", "-r", "blob:not", "[1] *~日本語 🙂.txt", "two\nlines"]
    (tmp_path / "back").mkdir()
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
        assert cli("cp", str(tmp_path / name), f"blob:{bucket}").status == 0
    assert set(platform.keys(bucket)) == set(names)
    for name in names:
        assert cli("cp", f"blob:{bucket}/{quote_key(name)}", str(tmp_path / "back")).status == 0
    assert contents(tmp_path / "back") == {name: name.encode() for name in names}


def test_a_file_keeps_its_name_in_a_folder_of_the_bucket(
    cli: Cli, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    platform.put(bucket, **{"there/already": b""})
    for dst in ("", "/", "/new/", "/there", "/there/", "/other name"):
        assert cli("cp", str(tmp_path / "file"), f"blob:{bucket}{dst}").status == 0
    assert platform.keys(bucket) == ["file", "new/file", "other name", "there/already", "there/file"]


def test_a_file_keeps_its_name_in_a_local_folder(cli: Cli, platform: Platform, bucket: str, tmp_path: Path) -> None:
    platform.put(bucket, **{"some/blob": b"x"})
    (tmp_path / "there").mkdir()
    for dst in ("there", "there/", "other name"):
        assert cli("cp", f"blob:{bucket}/some/blob", f"{tmp_path}/{dst}").status == 0
    assert contents(tmp_path) == {"there/blob": b"x", "other name": b"x"}
    missing = cli("cp", f"blob:{bucket}/some/blob", f"{tmp_path}/nowhere/")
    assert (missing.status, missing.err.count("\n")) == (1, 1)
    assert f"there is no folder {tmp_path}/nowhere" in missing.err


def test_a_folder_copied_twice_is_not_nested(
    cli: Cli, platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        cli("cp", "-r", str(folder), f"blob:{bucket}/data")
        cli("cp", "-r", f"blob:{bucket}/data/", f"{tmp_path}/back")
    assert set(platform.keys(bucket)) == {f"data/{name}" for name in contents(folder)}
    assert contents(tmp_path / "back") == contents(folder)


def test_update_copies_only_what_is_not_there(cli: Cli, bucket: str, folder: Path, tmp_path: Path) -> None:
    files = len(contents(folder))
    cli("cp", "-r", str(folder), f"blob:{bucket}")
    (folder / "new").write_bytes(b"new")
    [up] = cli("cp", "-r", "--update", str(folder), f"blob:{bucket}", "-o", "json").rows
    assert (up["files"], up["unchanged"]) == (1, files)
    cli("cp", "-r", f"blob:{bucket}", f"{tmp_path}/back")
    (tmp_path / "back" / "new").unlink()
    [down] = cli("cp", "-r", "--update", f"blob:{bucket}", f"{tmp_path}/back", "-o", "json").rows
    assert (down["files"], down["unchanged"]) == (1, files)


def test_continue_goes_on_with_the_beginning_of_a_blob(
    cli: Cli, platform: Platform, bucket: str, tmp_path: Path
) -> None:
    content = os.urandom(100_000)
    platform.put(bucket, blob=content)
    (tmp_path / "blob").write_bytes(content[:40_000])
    assert cli("cp", "--continue", f"blob:{bucket}/blob", str(tmp_path)).status == 0
    assert (tmp_path / "blob").read_bytes() == content


@pytest.fixture
def other(platform: Platform) -> Iterator[str]:
    """The name of a second bucket."""
    with platform.fresh_bucket() as name:
        yield name


def test_a_folder_goes_from_bucket_to_bucket_and_only_what_is_new_a_second_time(
    cli: Cli, platform: Platform, bucket: str, other: str, folder: Path, tmp_path: Path
) -> None:
    files = len(contents(folder))
    cli("cp", "-r", str(folder), f"blob:{bucket}/data")
    [row] = cli("cp", "-r", f"blob:{bucket}/data", f"blob:{other}/some place", "-o", "json").rows
    assert (row["files"], row["unchanged"], row["dst"]) == (files, 0, f"blob:{other}/some place")
    platform.put(bucket, **{"data/new": b"new"})
    [row] = cli("cp", "-r", "--update", f"blob:{bucket}/data/", f"blob:{other}/some place/", "-o", "json").rows
    assert (row["files"], row["unchanged"]) == (1, files)
    cli("cp", "-r", f"blob:{other}/some place", f"{tmp_path}/back")
    assert contents(tmp_path / "back") == {**contents(folder), "new": b"new"}


def test_a_blob_keeps_its_name_in_a_folder_of_another_bucket(
    cli: Cli, platform: Platform, bucket: str, other: str
) -> None:
    platform.put(bucket, **{"d/two words+%": b"x"})
    platform.put(other, **{"there/already": b""})
    for dst in ("", "/", "/new/", "/there", "/other%20name"):
        assert cli("cp", f"blob:{bucket}/d/{quote_key('two words+%')}", f"blob:{other}{dst}").status == 0
    assert platform.keys(other) == [
        "new/two words+%",
        "other name",
        "there/already",
        "there/two words+%",
        "two words+%",
    ]


def test_a_blob_that_is_a_folder_or_the_destination_itself_is_one_sentence(
    cli: Cli, platform: Platform, bucket: str, other: str
) -> None:
    platform.put(bucket, **{"data/blob": b"x"})
    for src in (f"blob:{bucket}/data", f"blob:{bucket}/data/", f"blob:{bucket}"):
        for dst in (f"blob:{other}/x", f"blob:{other}"):
            ran = cli("cp", src, dst)
            assert (ran.status, ran.err.count("\n")) == (1, 1), (src, dst)
            assert ran.err.endswith(" is a folder. Add --recursive to copy what is inside it.\n")
    for arguments in (["-r", f"blob:{bucket}", f"blob:{bucket}/data"], [f"blob:{bucket}/data/blob"] * 2):
        ran = cli("cp", *arguments)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert "itself" in ran.err
    assert platform.keys(other) == []
    assert platform.keys(bucket) == ["data/blob"]


def test_a_folder_is_copied_only_when_told(cli: Cli, platform: Platform, bucket: str, folder: Path) -> None:
    up = cli("cp", str(folder), f"blob:{bucket}")
    assert (up.status, up.err) == (1, f"{folder} is a folder. Add --recursive to copy what is inside it.\n")
    assert platform.keys(bucket) == []
    platform.put(bucket, **{"data/blob": b""})
    for src in (f"blob:{bucket}/data", f"blob:{bucket}/data/", f"blob:{bucket}"):
        down = cli("cp", src, str(folder / "new"))
        assert (down.status, down.err.count("\n")) == (1, 1), src
        assert down.err.endswith(" is a folder. Add --recursive to copy what is inside it.\n")
    assert not (folder / "new").exists()


def test_recursive_copies_a_file_as_well(cli: Cli, platform: Platform, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert cli("cp", "-r", str(tmp_path / "file"), f"blob:{bucket}/f").status == 0
    assert platform.keys(bucket) == ["f"]
    assert cli("cp", "-r", f"blob:{bucket}/f", str(tmp_path / "back")).status == 0
    assert (tmp_path / "back").read_bytes() == b"x"


def test_a_file_url_is_a_local_path(cli: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "two words").write_bytes(b"x")
    assert cli("cp", f"file://{tmp_path}/two%20words", f"blob:{bucket}/k").status == 0
    assert cli("cp", f"blob:{bucket}/k", f"file://{tmp_path}/back").status == 0
    assert contents(tmp_path) == {"two words": b"x", "back": b"x"}


def test_a_link_that_leads_out_fails_and_the_error_names_the_option(
    cli: Cli, platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "outside")
    refused = cli("cp", "-r", str(folder), f"blob:{bucket}")
    assert refused.status == 1
    assert "--symlinks follow" in refused.err
    assert 'symlinks="' not in refused.err
    assert "--update to finish the rest" in refused.err
    assert "link" not in platform.keys(bucket)
    assert cli("cp", "-r", "--update", "--symlinks", "skip", str(folder), f"blob:{bucket}").status == 0
    assert cli("cp", "-r", "--update", "--symlinks", "follow", str(folder), f"blob:{bucket}").status == 0
    assert "link" in platform.keys(bucket)


def test_what_is_skipped_is_told_and_cannot_write_to_the_terminal(cli: Cli, bucket: str, folder: Path) -> None:
    os.mkfifo(folder / "\x1b[2Jpipe\nline")
    ran = cli("cp", "-r", str(folder), f"blob:{bucket}", "-o", "json")
    assert ran.rows[0]["skipped"] == 1
    [line] = ran.err.splitlines()
    assert line.startswith("Skipped ")
    assert line.isprintable()


def test_a_key_that_leads_out_keeps_no_name(cli: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    ran = cli("cp", f"blob:{bucket}/a/%2E%2E", str(tmp_path / "there"))
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "Write the whole path" in ran.err
    assert contents(tmp_path) == {}


def test_a_name_that_is_not_utf8_cannot_be_a_key(cli: Cli, platform: Platform, bucket: str, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    Path(path).write_bytes(b"x")
    refused = cli("cp", path, f"blob:{bucket}")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "not UTF-8" in refused.err
    assert cli("cp", path, f"blob:{bucket}/cafe").status == 0
    assert platform.keys(bucket) == ["cafe"]


@pytest.mark.parametrize(
    "arguments", [["a", "b"], ["--continue", "blob:b/a", "blob:b/b"], ["--continue", "a", "blob:b/a"]]
)
def test_a_copy_that_makes_no_sense_is_bad_usage(cli: Cli, arguments: list[str]) -> None:
    ran = cli("cp", *arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("path", ["file:///a%00b", ""])
def test_a_path_that_no_file_can_have_is_bad_usage(cli: Cli, bucket: str, path: str) -> None:
    for arguments in ([path, f"blob:{bucket}/k"], [f"blob:{bucket}/k", path]):
        ran = cli("cp", "--recursive", *arguments)
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("text", ["s3://bucket/key", "blbo:bucket/key", "a:b"])
def test_what_looks_like_another_address_is_not_taken_for_a_file(
    cli: Cli, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in ([text, f"blob:{bucket}/k"], [f"blob:{bucket}/k", text]):
        ran = cli("cp", *arguments)
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert f"./{text}" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_with_a_colon_is_written_with_a_dot(
    cli: Cli, bucket: str, tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b").write_bytes(b"x")
    assert cli("cp", "./a:b", f"blob:{bucket}").status == 0
    assert platform.keys(bucket) == ["a:b"]


@pytest.mark.parametrize("recursive", [(), ("-r",)])
def test_a_source_that_is_not_there_is_one_sentence(
    cli: Cli, bucket: str, tmp_path: Path, recursive: tuple[str, ...]
) -> None:
    for arguments in ([f"{tmp_path}/nothing", f"blob:{bucket}"], [f"blob:{bucket}/nothing", f"{tmp_path}/x"]):
        ran = cli("cp", *recursive, *arguments)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "nothing" in ran.err


def test_the_end_of_a_copy_is_one_line(cli: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 2_000_000)
    ran = cli("cp", str(tmp_path / "file"), f"blob:{bucket}")
    assert ran.err == ""
    assert ran.out.startswith(f"1 file to blob:{bucket}/file, 2.0 MB in ")
    assert ran.out.count("\n") == 1


def test_who_may_only_read_is_told_so(
    cli: Cli, platform: Platform, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    name, running = "AIRFLOW_CONN_READER", platform.running
    monkeypatch.setenv(name, running.connection.replace(running.token, running.readonly_token))
    ran = cli("cp", "--conn-id", "reader", str(tmp_path / "file"), f"blob:{bucket}")
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert platform.keys(bucket) == []
