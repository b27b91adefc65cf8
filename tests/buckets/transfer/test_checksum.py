from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.transfer.checksum import MIB, can_compare, is_content_of, plausible_parts

CONTENT = random.Random(1).randbytes(11 * MIB + 7)


def reader(content: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: content[start:stop]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def md5_of_parts(content: bytes, part: int) -> str:
    parts = [hashlib.md5(content[at : at + part]).digest() for at in range(0, len(content), part)]
    return f"{md5(b''.join(parts))}-{len(parts)}"


def blob(content: bytes, *, etag: str | None = None, with_md5: bool = False) -> BlobMeta:
    return BlobMeta(key="k", size=len(content), etag=etag, md5=md5(content) if with_md5 else None)


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_an_md5_tells_equal_from_different(content: bytes, other: bytes) -> None:
    meta = blob(content, etag="opaque", with_md5=True)
    assert can_compare(meta)
    assert is_content_of(meta, reader(content))
    if len(other) == len(content):
        assert is_content_of(meta, reader(other)) == (content == other)


@pytest.mark.parametrize("part", [5 * MIB, 8 * MIB, 10 * MIB, 6 * MIB, 16 * MIB])
def test_the_etag_of_an_upload_in_parts_proves_equality_for_usual_parts(part: int) -> None:
    meta = blob(CONTENT, etag=md5_of_parts(CONTENT, part))
    assert can_compare(meta)
    assert is_content_of(meta, reader(CONTENT))
    assert not is_content_of(meta, reader(CONTENT[:-1] + b"x"))
    assert not is_content_of(meta, reader(b"x" + CONTENT[1:]))


def test_an_etag_of_unusual_parts_proves_nothing_and_counts_as_no() -> None:
    meta = blob(CONTENT, etag=md5_of_parts(CONTENT, 5 * MIB + 12345))
    assert not is_content_of(meta, reader(CONTENT))


@pytest.mark.parametrize("etag", [None, "0x8DABCDEF", "d41d8cd98f00b204e9800998ecf8427e", "x-2"])
def test_an_opaque_etag_cannot_be_compared(etag: str | None) -> None:
    meta = blob(CONTENT, etag=etag)
    assert not can_compare(meta)
    assert not is_content_of(meta, reader(CONTENT))


@given(size=st.integers(1, 1024**4), count=st.integers(1, 10_000))
def test_guessed_parts_lead_to_the_number_of_parts_and_are_few(size: int, count: int) -> None:
    guesses = plausible_parts(size, count)
    assert len(guesses) <= 4
    assert len(set(guesses)) == len(guesses)
    assert all(-(-size // part) == count for part in guesses)
