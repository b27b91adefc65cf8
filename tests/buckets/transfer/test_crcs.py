from __future__ import annotations

import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.transfer.crcs import Crcs

MIB = 1024 * 1024
ANY = BlobMeta(key="key", size=0)


def never(start: int, stop: int) -> NoReturn:
    pytest.fail(f"{start}..{stop} was read a second time")


def crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


def of_whole(content: bytes) -> Checksum:
    return Checksum("crc32", crc(content))


def of_parts(content: bytes, part: int) -> Checksum:
    parts = [crc(content[at : at + part]) for at in range(0, len(content), part)]
    return Checksum("crc32", crc(b"".join(parts)), len(parts))


def other(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@given(
    content=st.binary(min_size=1, max_size=300),
    step=st.integers(1, 60),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_changes_nothing_and_nothing_is_read_again(
    content: bytes, step: int, order: random.Random
) -> None:
    starts = list(range(0, len(content), step))
    order.shuffle(starts)
    for wanted, is_it in ((content, True), (other(content), False)):
        crcs = Crcs(size=len(content), function=zlib.crc32, checksum=of_whole(wanted), read=never)
        for at in starts:
            assert not crcs.is_of(ANY), "not all is there"
            crcs.add(at, content[at : at + step])
        assert crcs.is_of(ANY) is is_it


@pytest.mark.parametrize("part", [5 * MIB, 8 * MIB])
def test_parts_are_told_apart_wherever_the_pieces_end(part: int) -> None:
    content = random.Random(1).randbytes(2 * part + 1000)
    piece = 1_500_000
    starts = list(range(0, len(content), piece))
    random.Random(2).shuffle(starts)
    for wanted, is_it in ((content, True), (other(content), False)):
        crcs = Crcs(size=len(content), function=zlib.crc32, checksum=of_parts(wanted, part), read=never)
        assert crcs.part == part
        for at in starts:
            crcs.add(at, content[at : at + piece])
        assert crcs.is_of(ANY) is is_it


def test_parts_of_a_size_that_nobody_uses_prove_nothing() -> None:
    content = bytes(12 * MIB)
    crcs = Crcs(size=len(content), function=zlib.crc32, checksum=of_parts(content, 5_600_000), read=never)
    crcs.add(0, content)
    assert not crcs.is_of(ANY)


def test_many_threads_bring_ranges_at_once() -> None:
    content = random.Random(3).randbytes(4 * MIB + 5)
    crcs = Crcs(size=len(content), function=zlib.crc32, checksum=of_whole(content), read=never)
    starts = list(range(0, len(content), 5000))
    random.Random(4).shuffle(starts)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda at: crcs.add(at, content[at : at + 5000]), starts))
    assert crcs.is_of(ANY)


def test_a_beginning_that_was_there_already_counts_as_well() -> None:
    content = random.Random(5).randbytes(3 * MIB)
    crcs = Crcs(
        size=len(content), function=zlib.crc32, checksum=of_whole(content), read=lambda start, stop: content[start:stop]
    )
    crcs.add(2 * MIB, content[2 * MIB :])
    crcs.add_written(0, 2 * MIB)
    assert crcs.is_of(ANY)


def test_a_hole_and_a_missing_end_prove_nothing() -> None:
    for pieces in ([(0, b"01234"), (6, b"6789")], [(0, b"01234567")]):
        crcs = Crcs(size=10, function=zlib.crc32, checksum=of_whole(b"0123456789"), read=never)
        for at, piece in pieces:
            crcs.add(at, piece)
        assert not crcs.is_of(ANY)
