from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.transfer.digests import Digests


def md5s(content: bytes, part: int) -> list[bytes]:
    return [hashlib.md5(content[at : at + part]).digest() for at in range(0, len(content), part)]


def never(start: int, stop: int) -> NoReturn:
    pytest.fail(f"{start}..{stop} was read a second time")


@given(content=st.binary(min_size=1, max_size=200), part=st.integers(1, 250), step=st.integers(1, 60))
def test_what_arrives_in_order_is_digested_as_it_passes_and_never_read_again(
    content: bytes, part: int, step: int
) -> None:
    digests = Digests(size=len(content), part=part, read=never)
    for at in range(0, len(content), step):
        assert digests.of_parts() is None
        digests.add(at, content[at : at + step])
    assert digests.of_parts() == md5s(content, part)


@given(
    content=st.binary(min_size=1, max_size=200),
    part=st.integers(1, 250),
    step=st.integers(1, 60),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_changes_nothing(content: bytes, part: int, step: int, order: random.Random) -> None:
    digests = Digests(size=len(content), part=part, read=lambda start, stop: content[start:stop])
    starts = list(range(0, len(content), step))
    order.shuffle(starts)
    for at in starts:
        digests.add(at, content[at : at + step])
    assert digests.of_parts() == md5s(content, part)


@given(content=st.binary(min_size=1, max_size=200), part=st.integers(1, 250), there=st.integers(0, 200))
def test_a_beginning_that_was_there_already_counts_as_well(content: bytes, part: int, there: int) -> None:
    there = min(there, len(content))
    digests = Digests(size=len(content), part=part, read=lambda start, stop: content[start:stop])
    digests.add(there, content[there:])
    digests.add_written(0, there)
    assert digests.of_parts() == md5s(content, part)


def test_ranges_that_end_with_the_parts_are_never_read_again_in_whatever_order_they_come() -> None:
    content = random.Random(2).randbytes(100)
    digests = Digests(size=100, part=30, read=never)
    for at in (60, 90, 0, 30):
        digests.add(at, content[at : at + 30])
    assert digests.of_parts() == md5s(content, 30)


@pytest.mark.parametrize("part", [2**16, 2**22])
def test_many_threads_bring_ranges_at_once(part: int) -> None:
    content = random.Random(3).randbytes(2**21 + 5)
    digests = Digests(size=len(content), part=part, read=lambda start, stop: content[start:stop])
    starts = list(range(0, len(content), 5000))
    random.Random(4).shuffle(starts)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda at: digests.add(at, content[at : at + 5000]), starts))
    assert digests.of_parts() == md5s(content, part)


def test_bytes_that_never_came_leave_no_digests() -> None:
    digests = Digests(size=10, part=5, read=never)
    digests.add(0, b"01234")
    digests.add(6, b"6789")
    assert digests.of_parts() is None
