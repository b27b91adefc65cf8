from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.transfer import temporary

WRITER = """
import os, sys
from airflow_provider_neuro_buckets.buckets.transfer.temporary import create
folder = os.open(sys.argv[1], os.O_RDONLY)
name, _ = create("data.bin", folder)
print(name, flush=True)
sys.stdin.read()
"""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY)
    try:
        yield folder
    finally:
        os.close(folder)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=255))
def test_a_temporary_name_is_recognised_fits_the_disk_and_is_never_the_same(name: str) -> None:
    first, second = temporary.temporary_name(name), temporary.temporary_name(name)
    assert first != second
    assert temporary.is_temporary(first)
    assert len(first.encode()) <= 255
    assert first.startswith(".")


@pytest.mark.parametrize(
    "name", ["x.neuro-partial", ".x.neuro-partial", ".x.0123456789abcdef.neuro-partial.txt", ".x.0123456789ABCDEF.part"]
)
def test_a_name_that_only_looks_alike_is_somebodys_file(name: str, tmp_path: Path) -> None:
    assert not temporary.is_temporary(name)
    (tmp_path / name).touch()
    with opened(tmp_path) as folder:
        temporary.sweep(folder)
    assert (tmp_path / name).exists()


def test_a_file_under_way_is_left_alone_and_one_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        assert temporary.is_temporary(name)
        with opened(tmp_path) as folder:
            temporary.sweep(folder)
            assert names_in(tmp_path) == [name]
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            temporary.sweep(folder)
    assert names_in(tmp_path) == []


def test_a_file_of_this_very_process_is_left_alone_until_it_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        name, file = temporary.create("x", folder)
        temporary.sweep(folder)
        assert names_in(tmp_path) == [name]
        os.close(file)
        temporary.sweep(folder)
        assert names_in(tmp_path) == []


def test_neither_a_link_nor_a_folder_nor_a_pipe_of_such_a_name_is_touched(tmp_path: Path) -> None:
    names = [temporary.temporary_name("x") for _ in range(3)]
    (tmp_path / "kept").touch()
    (tmp_path / names[0]).symlink_to("kept")
    (tmp_path / names[1]).mkdir()
    os.mkfifo(tmp_path / names[2])
    with opened(tmp_path) as folder:
        temporary.sweep(folder)
    assert (tmp_path / "kept").exists()
    assert {names[0], names[1]} <= set(names_in(tmp_path))


def test_a_writer_that_meets_a_sweeper_takes_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock
    met = False

    def flock(file: int, operation: int) -> None:
        nonlocal met
        if not met:
            met = True  # the sweeper is between making and locking
            with opened(tmp_path) as folder:
                temporary.sweep(folder)
            assert names_in(tmp_path) == []
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with opened(tmp_path) as folder:
        name, file = temporary.create("x", folder)
        assert names_in(tmp_path) == [name]
        assert os.fstat(file).st_nlink == 1
        os.close(file)
