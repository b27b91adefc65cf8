from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool, lines_of, member


@pytest.mark.parametrize("count", [0, 1, 50_000])
def test_lines_come_back_in_order(tmp_path: Path, count: int) -> None:
    spool = Spool(tmp_path / "lines")
    lines = [b"line %d" % number for number in range(count)]
    for line in lines:
        spool.add(line)
    spool.flush()
    assert list(lines_of(spool.path)) == lines


def test_pieces_make_one_file_that_any_gzip_reads(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(member(b"head\n") + member(b"") + member(b"one\ntwo\n"))
    assert gzip.decompress(path.read_bytes()) == b"head\none\ntwo\n"
    assert list(lines_of(path)) == [b"head", b"one", b"two"]


@pytest.mark.parametrize("content", [member(b"one\n" * 99)[:-9], b"no gzip", member(b"one\n") + b"rest"])
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        list(lines_of(path))
