from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, NotADirectory, SourceChanged
from airflow_provider_neuro_buckets.buckets.transfer import temporary
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination, Source, read_whole
from airflow_provider_neuro_buckets.buckets.transfer.temporary import temporary_name


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[Destination]:
    destination = Destination(tmp_path / "dst")
    yield destination
    destination.close()


@pytest.fixture
def open_files() -> Iterator[None]:
    """See to it that a test leaves as many files open as there were."""
    before = names_in(Path("/proc/self/fd"))
    yield
    assert len(names_in(Path("/proc/self/fd"))) == len(before)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def everything(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else "folder" if path.is_dir() else path.read_bytes()
    return found


# Reading


def test_a_file_is_read_in_any_part(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = Source.open(path)
    assert (source.size, source.read(0, 10), source.read(3, 5), source.read(9, 10)) == (10, b"0123456789", b"34", b"9")
    source.check()
    source.close()


@pytest.mark.parametrize("change", ["overwrite", "grow", "touch"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    os.utime(path, (1, 1))
    source = Source.open(path)
    source.read(0, 10)
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
        file.write(b"" if change == "touch" else b"x")
    if change == "touch":
        os.utime(path, (2, 2))
    with pytest.raises(SourceChanged, match="changed while it was read"):
        source.check()
    source.close()


def test_a_file_that_shrinks_is_noticed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = Source.open(path)
    os.truncate(path, 4)
    with pytest.raises(SourceChanged, match=str(path)):
        source.read(0, 10)
    source.close()


def test_a_file_replaced_under_its_name_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    source = Source.open(path)
    (tmp_path / "new").write_bytes(b"newer")
    (tmp_path / "new").replace(path)
    assert source.read(0, source.size) == b"old"
    source.check()
    source.close()


def test_a_file_whose_size_hides_its_content_is_not_taken_for_empty_f73() -> None:
    with pytest.raises(SourceChanged):
        read_whole(Path("/proc/version"), at_most=0)


@pytest.mark.usefixtures("open_files")
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_refused_and_never_waited_for_f73(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/null") if kind == "device" else tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    with pytest.raises(ConfigurationError, match="neither a file nor a folder"):
        Source.open(path)


@pytest.mark.usefixtures("open_files")
def test_a_small_file_that_has_grown_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    assert read_whole(path, at_most=10) == b"0123456789"
    assert read_whole(path, at_most=9) is None


# Writing


@pytest.mark.usefixtures("open_files")
def test_a_file_is_written_whole_with_its_time_and_the_usual_rights(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        destination = Destination(tmp_path / "made" / "for it")
        destination.write_whole(("a", "b", "f"), b"content", 1234567890.5)
        destination.close()
    finally:
        os.umask(old)
    path = tmp_path / "made" / "for it" / "a" / "b" / "f"
    status = path.stat()
    assert path.read_bytes() == b"content"
    assert status.st_mtime == 1234567890.5
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert names_in(path.parent) == ["f"]


def test_until_it_is_finished_a_target_is_nobodys_to_read_and_the_old_file_stays(destination: Destination) -> None:
    destination.write_whole(("f",), b"old", None)
    target = destination.begin(("f",), size=3)
    target.write(0, b"new")
    (temporary,) = set(names_in(destination.root)) - {"f"}
    assert stat.S_IMODE((destination.root / temporary).stat().st_mode) == 0o600
    assert (destination.root / "f").read_bytes() == b"old"
    target.finish(None)
    target.discard()
    assert everything(destination.root) == {"f": b"new"}


def test_a_target_is_written_in_any_order_and_read_back(destination: Destination) -> None:
    target = destination.begin(("f",), size=10)
    target.write(5, b"56789")
    target.write(0, bytearray(b"01234"))
    assert (target.read(0, 10), target.read(4, 6)) == (b"0123456789", b"45")
    target.finish(None)
    target.discard()
    assert (destination.root / "f").read_bytes() == b"0123456789"


@pytest.mark.usefixtures("open_files")
def test_a_discarded_target_leaves_nothing(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    target = destination.begin(("d", "f"), size=1000)
    target.discard()
    target.discard()
    destination.close()
    assert everything(tmp_path) == {"d": "folder"}


def test_a_target_whose_name_is_a_folder_is_refused_and_leaves_nothing(destination: Destination) -> None:
    (destination.root / "f").mkdir()
    with pytest.raises(IsADirectoryError, match=str(destination.root / "f")):
        destination.write_whole(("f",), b"content", None)
    assert everything(destination.root) == {"f": "folder"}


@pytest.mark.usefixtures("open_files")
def test_a_disk_without_room_is_noticed_before_the_first_byte_f69(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    with pytest.raises(OSError, match=str(tmp_path / "f")) as caught:
        destination.begin(("f",), size=1 << 62)
    destination.close()
    assert caught.value.errno == errno.ENOSPC
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("leaf", ["/etc", "outside", "outside/file", "nowhere"])
def test_a_link_planted_on_the_way_is_never_followed_f75(tmp_path: Path, leaf: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"untouched")
    destination = Destination(tmp_path / "dst")
    (destination.root / "link").symlink_to(tmp_path / leaf)
    for names in (("link", "x"), ("link", "deep", "x")):
        with pytest.raises(NotADirectory, match="symbolic link where a folder should go"):
            destination.write_whole(names, b"evil", None)
        with pytest.raises(NotADirectory):
            destination.make_folder(names)
        with pytest.raises(NotADirectory):
            destination.status(names)
    destination.close()
    assert everything(tmp_path / "outside") == {"file": b"untouched"}
    assert everything(destination.root) == {"link": f"-> {tmp_path / leaf}"}


def test_a_link_planted_in_place_of_the_file_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    destination = Destination(tmp_path / "dst")
    (destination.root / "f").symlink_to(tmp_path / "outside")
    status = destination.status(("f",))
    assert status is not None
    assert stat.S_ISLNK(status.st_mode)
    with pytest.raises(OSError, match=str(destination.root / "f")):
        destination.existing(("f",))
    destination.write_whole(("f",), b"content", None)
    destination.close()
    assert everything(destination.root) == {"f": b"content"}
    assert (tmp_path / "outside").read_bytes() == b"untouched"


def test_folders_swapped_for_links_during_the_run_never_lead_outside_f75(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    destination = Destination(tmp_path / "dst")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            with suppress(OSError):
                (destination.root / "d").rename(destination.root / "d2")
            with suppress(OSError):
                (destination.root / "d").symlink_to(outside)
            with suppress(OSError):
                (destination.root / "d").unlink()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(300):
            with suppress(OSError):
                destination.write_whole(("d", f"f{number}"), b"x", None)
    finally:
        over.set()
        swapper.join()
        destination.close()
    assert everything(outside) == {}


def test_a_file_where_a_folder_should_go_is_named(destination: Destination) -> None:
    (destination.root / "a").write_bytes(b"file")
    with pytest.raises(NotADirectory, match=str(destination.root / "a")):
        destination.write_whole(("a", "b"), b"x", None)
    assert everything(destination.root) == {"a": b"file"}


def test_asking_for_a_file_makes_nothing(destination: Destination) -> None:
    assert destination.status(("a", "b")) is None
    with pytest.raises(FileNotFoundError):
        destination.existing(("a", "b"))
    assert everything(destination.root) == {}


def test_a_root_behind_a_link_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    destination = Destination(tmp_path / "link")
    destination.write_whole(("f",), b"x", None)
    destination.close()
    assert everything(tmp_path / "real") == {"f": b"x"}


def test_leftovers_are_swept_once_where_something_is_written(destination: Destination) -> None:
    stale = [destination.root / temporary_name("x"), destination.root / "d" / temporary_name("x")]
    (destination.root / "d").mkdir()
    for path in stale:
        path.touch()
    destination.write_whole(("f",), b"x", None)
    assert [path.exists() for path in stale] == [False, True]
    destination.write_whole(("d", "f"), b"x", None)
    assert [path.exists() for path in stale] == [False, False]


def test_a_small_file_that_a_sweeper_takes_for_a_leftover_is_written_all_the_same(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = os.replace, []

    def replace(src: str, dst: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        temporary.sweep(src_dir_fd)  # it comes between the writing and the renaming
        swept.append(src not in os.listdir(src_dir_fd))
        real(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "replace", replace)
    for name in ("f", "g"):
        destination.write_whole(("d", name), name.encode(), 1234567890.5)
    assert swept == [True, False, True, False], "the second time it has a lock"
    assert everything(destination.root / "d") == {"f": b"f", "g": b"g"}
    assert (destination.root / "d" / "f").stat().st_mtime == 1234567890.5


def test_sweepers_at_work_all_the_time_take_away_no_small_file(destination: Destination) -> None:
    over = threading.Event()

    def sweep() -> None:
        folder = os.open(destination.root, os.O_RDONLY | os.O_DIRECTORY)
        while not over.is_set():
            temporary.sweep(folder)
        os.close(folder)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(300):
            destination.write_whole((f"f{number}",), b"x", None)
    finally:
        over.set()
        sweeper.join()
    assert everything(destination.root) == {f"f{number}": b"x" for number in range(300)}


def test_a_folder_that_is_removed_between_two_files_is_made_again(destination: Destination) -> None:
    destination.write_whole(("a", "b", "f"), b"x", None)
    shutil.rmtree(destination.root / "a")
    destination.write_whole(("a", "b", "g"), b"y", None)
    assert everything(destination.root / "a" / "b") == {"g": b"y"}


def test_a_failure_to_write_names_the_file_and_leaves_nothing(destination: Destination) -> None:
    (destination.root / "d" / "f").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        destination.write_whole(("d", "f"), b"x", None)
    assert caught.value.filename == str(destination.root / "d" / "f")
    assert caught.value.filename2 is None
    assert names_in(destination.root / "d") == ["f"]


def test_a_disk_that_keeps_case_is_seen_as_such_and_the_probe_leaves_nothing(destination: Destination) -> None:
    folds = destination.folds_case()
    (destination.root / "a").touch()
    assert folds == (destination.root / "A").exists()
    assert everything(destination.root) == {"a": b""}


def test_the_longest_name_of_the_disk_is_written_f77(destination: Destination) -> None:
    for name in ("n" * 255, "é" * 127, "\U0001f600" * 63):
        destination.write_whole((name,), b"x", None)
        assert (destination.root / name).read_bytes() == b"x"
