from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.transfer.plan import Symlinks
from airflow_provider_neuro_buckets.buckets.transfer.temporary import temporary_name
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, Entered, LocalFile, Step, Unusable, Walk


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(os.fsencode(path))


async def steps(root: Path, **how: object) -> list[Step]:
    return [step async for step in Walk(root=root, **how).steps()]  # type: ignore[arg-type]  # by name


def files(found: Iterable[Step]) -> list[str]:
    return [step.relative for step in found if isinstance(step, LocalFile)]


def skipped(found: Iterable[Step]) -> dict[str, str]:
    return {step.relative: step.reason for step in found if isinstance(step, Unusable) and step.error is None}


def failed(found: Iterable[Step]) -> dict[str, str]:
    return {step.relative: str(step.error) for step in found if isinstance(step, Unusable) and step.error is not None}


async def test_a_folder_is_walked_with_names_sorted_and_each_folder_told_before_what_is_in_it(tmp_path: Path) -> None:
    make(tmp_path, "b/y", "b/x", "a", "b/c/z", "c")
    (tmp_path / "e").mkdir()
    found = await steps(tmp_path)
    assert [(type(step).__name__, step.relative) for step in found] == [
        ("Entered", ""),
        ("LocalFile", "a"),
        ("LocalFile", "c"),
        ("Entered", "b/"),
        ("LocalFile", "b/x"),
        ("LocalFile", "b/y"),
        ("Entered", "b/c/"),
        ("LocalFile", "b/c/z"),
        ("Entered", "e/"),
        ("EmptyFolder", "e/"),
    ]
    size = next(step.size for step in found if isinstance(step, LocalFile) and step.relative == "b/x")
    assert size == len("b/x")


async def test_only_a_folder_with_nothing_in_it_is_empty(tmp_path: Path) -> None:
    make(tmp_path, "filtered/x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "broken").symlink_to("nothing")

    async def keep(path: str) -> bool:
        return path != "filtered/x"

    found = await steps(tmp_path, keep=keep)
    assert [step.relative for step in found if isinstance(step, EmptyFolder)] == ["empty/"]


async def test_an_empty_source_needs_no_marker(tmp_path: Path) -> None:
    assert await steps(tmp_path) == [Entered("")]


async def test_links_inside_are_followed_to_files_and_folders(tmp_path: Path) -> None:
    make(tmp_path, "d/f")
    (tmp_path / "file").symlink_to("d/f")
    (tmp_path / "folder").symlink_to(tmp_path / "d")
    found = await steps(tmp_path)
    assert files(found) == ["file", "d/f", "folder/f"]
    assert not skipped(found)
    assert not failed(found)


async def test_a_source_reached_through_a_link_is_where_it_really_is(tmp_path: Path) -> None:
    make(tmp_path, "real/f")
    (tmp_path / "real" / "l").symlink_to(tmp_path / "real" / "f")
    (tmp_path / "link").symlink_to("real")
    assert files(await steps(tmp_path / "link")) == ["f", "l"]


async def test_a_link_that_leads_outside_fails_alone_and_names_the_choices(tmp_path: Path) -> None:
    make(tmp_path, "secret", "src/f", "secrets/f")
    (tmp_path / "src" / "file").symlink_to("../secret")
    (tmp_path / "src" / "folder").symlink_to(tmp_path / "secrets")
    (tmp_path / "src" / "gone").symlink_to("/nowhere/at/all")
    found = await steps(tmp_path / "src")
    assert files(found) == ["f"]
    errors = failed(found)
    assert list(errors) == ["file", "folder", "gone"]
    assert all('symlinks="follow"' in message and '"skip"' in message for message in errors.values())


async def test_a_sibling_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    make(tmp_path, "src/f", "src2/secret")
    (tmp_path / "src" / "l").symlink_to("../src2/secret")
    assert list(failed(await steps(tmp_path / "src"))) == ["l"]


async def test_follow_takes_what_lies_outside_too(tmp_path: Path) -> None:
    make(tmp_path, "out/f", "src/f")
    (tmp_path / "src" / "l").symlink_to("../out")
    assert files(await steps(tmp_path / "src", symlinks=Symlinks.FOLLOW)) == ["f", "l/f"]


async def test_skip_leaves_every_link_out_and_says_so(tmp_path: Path) -> None:
    make(tmp_path, "f")
    (tmp_path / "l").symlink_to("f")
    (tmp_path / "o").symlink_to("/etc")
    found = await steps(tmp_path, symlinks=Symlinks.SKIP)
    assert files(found) == ["f"]
    assert skipped(found) == {"l": "it is a symbolic link", "o": "it is a symbolic link"}


@pytest.mark.parametrize("symlinks", [Symlinks.INSIDE, Symlinks.FOLLOW])
async def test_links_that_loop_end_are_told_and_take_nothing_with_them_f74(tmp_path: Path, symlinks: Symlinks) -> None:
    make(tmp_path, "d/f")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "d" / "here").symlink_to(".")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    found = await steps(tmp_path, symlinks=symlinks)
    assert files(found) == ["d/f"]
    assert not failed(found)
    assert {name: "link" in reason for name, reason in skipped(found).items()} == dict.fromkeys(
        ["a", "b", "self", "d/here/", "d/up/"], True
    )


async def test_broken_links_sockets_and_pipes_are_skipped_and_listed_f73(tmp_path: Path) -> None:
    make(tmp_path, "f")
    (tmp_path / "broken").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(tmp_path, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/socket")  # a socket's path may be short only
        finally:
            os.close(here)
        found = await steps(tmp_path)
    assert files(found) == ["f"]
    assert list(skipped(found)) == ["broken", "pipe", "socket"]
    assert not failed(found)


async def test_a_name_that_is_no_text_fails_alone(tmp_path: Path) -> None:
    make(tmp_path, "f")
    make(tmp_path, os.fsdecode(b"bad\xff"), os.fsdecode(b"dir\xfe/x"))
    found = await steps(tmp_path)
    assert files(found) == ["f"]
    assert list(failed(found)) == ["bad\\xff", "dir\\xfe"]
    assert all(isinstance(step.error, InvalidAddress) for step in found if isinstance(step, Unusable))


async def test_temporary_files_of_downloads_are_skipped_and_names_alike_are_not(tmp_path: Path) -> None:
    make(tmp_path, "mine.neuro-partial", temporary := temporary_name("f"))
    found = await steps(tmp_path)
    assert files(found) == ["mine.neuro-partial"]
    assert list(skipped(found)) == [temporary]


async def test_a_folder_that_vanishes_fails_alone(tmp_path: Path) -> None:
    make(tmp_path, "a/x", "b/x", "c/x")
    found = []
    async for step in Walk(root=tmp_path).steps():
        found.append(step)
        if isinstance(step, LocalFile) and step.relative == "a/x":
            (tmp_path / "b" / "x").unlink()
            (tmp_path / "b").rmdir()
    assert files(found) == ["a/x", "c/x"]
    assert list(failed(found)) == ["b/"]


async def test_the_filter_is_asked_once_for_each_entry_and_a_rejected_folder_is_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "keep/a", "keep/b.tmp", "drop/x", "top")
    asked: list[str] = []

    async def keep(path: str) -> bool:
        asked.append(path)
        return path != "drop/" and not path.endswith(".tmp")

    found = await steps(tmp_path, keep=keep)
    assert files(found) == ["top", "keep/a"]
    assert asked == ["drop/", "keep/", "top", "keep/a", "keep/b.tmp"]


async def test_ignore_rules_come_before_the_filter_which_is_not_asked_about_what_they_decide(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "b.txt", "c.txt")
    (tmp_path / ".ignore").write_text("*.log\n!keep.log\n.ignore\n")
    asked: list[str] = []

    async def keep(path: str) -> bool:
        asked.append(path)
        return path != "c.txt"

    found = await steps(tmp_path, keep=keep, ignore_file_names={".ignore"})
    assert files(found) == ["b.txt", "keep.log"]
    assert asked == ["b.txt", "c.txt"]


async def test_ignore_files_hold_from_their_folder_downwards_and_never_from_above_the_source(tmp_path: Path) -> None:
    make(tmp_path, "src/a.bin", "src/d/a.bin", "src/d/b.txt", "src/e/b.txt")
    (tmp_path / ".ignore").write_text("*\n")
    (tmp_path / "src" / "d" / ".other").write_text("b.txt\n")
    names = {".ignore", ".other"}
    assert files(await steps(tmp_path / "src", ignore_file_names=names)) == ["a.bin", "d/.other", "d/a.bin", "e/b.txt"]
    assert "d/b.txt" in files(await steps(tmp_path / "src"))


async def test_a_negated_rule_further_in_takes_back_a_file_but_not_what_lies_in_an_ignored_folder(
    tmp_path: Path,
) -> None:
    make(tmp_path, "d/keep.log", "d/x.log", "build/keep.log")
    (tmp_path / ".ignore").write_text("*.log\nbuild/\n")
    (tmp_path / "d" / ".ignore").write_text("!keep.log\n")
    (tmp_path / "build" / ".ignore").write_text("!keep.log\n")
    found = await steps(tmp_path, ignore_file_names={".ignore"})
    assert files(found) == [".ignore", "d/.ignore", "d/keep.log"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"ok\n!\n", b"#" * (1024 * 1024 + 1)])
async def test_an_ignore_file_that_cannot_be_read_fails_its_folder_rather_than_ignoring_nothing(
    tmp_path: Path, content: bytes
) -> None:
    make(tmp_path, "f", "d/secret", "d/e/secret")
    (tmp_path / "d" / ".ignore").write_bytes(content)
    found = await steps(tmp_path, ignore_file_names={".ignore"})
    assert files(found) == ["f"]
    assert list(failed(found)) == ["d/"]
    assert isinstance(next(step.error for step in found if isinstance(step, Unusable)), ConfigurationError)


@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link"])
async def test_only_a_file_can_hold_rules(tmp_path: Path, kind: str) -> None:
    make(tmp_path, "f")
    path = tmp_path / ".ignore"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nothing")
    assert files(await steps(tmp_path, ignore_file_names={".ignore"})) == ["f"]


async def test_a_tree_deeper_than_a_path_can_be_ends_with_an_error_for_that_folder_f77(tmp_path: Path) -> None:
    deep = os.open(tmp_path, os.O_RDONLY)
    name = "d" * 200
    for _ in range(25):
        os.mkdir(name, dir_fd=deep)
        below = os.open(name, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    found = await steps(tmp_path)
    assert not files(found)
    assert len(failed(found)) == 1
