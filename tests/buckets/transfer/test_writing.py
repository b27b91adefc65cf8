"""Writing at an offset: all bytes, and never many in one call of the system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.stores.base import Bytes
from airflow_provider_neuro_buckets.buckets.transfer.temporary import write
from airflow_provider_neuro_buckets.buckets.transfer.writing import AT_ONCE, write_at

COUNTED = Path("/proc/thread-self/io")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """An empty file that is open."""
    opened = os.open(tmp_path / "f", os.O_CREAT | os.O_RDWR)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("at", [0, 1, AT_ONCE - 1, AT_ONCE])
@pytest.mark.parametrize("size", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7])
def test_all_bytes_are_written_where_they_belong(file: int, at: int, size: int) -> None:
    content = os.urandom(size)
    write_at(file, at, content)
    assert os.pread(file, at + size + 1, 0) == (bytes(at) + content if content else b"")


@pytest.mark.parametrize("content", [b"abcd", bytearray(b"abcd"), memoryview(b"xabcdx")[1:5]], ids=type)
def test_any_kind_of_buffer_is_written(file: int, content: Bytes) -> None:
    write_at(file, 2, content)
    assert os.pread(file, 100, 0) == b"\0\0abcd"


def test_many_bytes_are_written_in_steps_that_end_at_multiples(file: int) -> None:
    content = bytes(4 * AT_ONCE)
    assert _writes(lambda: write_at(file, 0, content)) == 4
    assert _writes(lambda: write_at(file, AT_ONCE // 2, content)) == 5


def test_a_file_that_is_written_whole_is_written_in_steps(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    content = os.urandom(2 * AT_ONCE + 1)
    try:
        assert _writes(lambda: write("f", content, None, folder=folder)) == 3
    finally:
        os.close(folder)
    assert (tmp_path / "f").read_bytes() == content


def _writes(work: Callable[[], object]) -> int:
    """Return how many calls of the system wrote something."""
    if not COUNTED.exists():
        pytest.skip("this system does not count calls")
    before = _counted()
    work()
    return _counted() - before


def _counted() -> int:
    return int(dict(line.split(": ") for line in COUNTED.read_text().splitlines())["syscw"])
