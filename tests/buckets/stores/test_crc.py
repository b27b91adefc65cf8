from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.crc import Polynomial, bytes_of, crc_of_base64, crc_of_parts

PEERS: list[tuple[Polynomial, Callable[[bytes], int]]] = [
    (Polynomial.CRC32, zlib.crc32),
    (Polynomial.CRC32C, google_crc32c.value),
]


@pytest.mark.parametrize(("polynomial", "of"), PEERS)
@given(parts=st.lists(st.binary(max_size=300), max_size=8))
def test_the_checksum_of_a_whole_follows_from_those_of_its_parts(
    polynomial: Polynomial, of: Callable[[bytes], int], parts: list[bytes]
) -> None:
    told = [(of(part), len(part)) for part in parts]
    assert crc_of_parts(told, polynomial) == of(b"".join(parts))


@pytest.mark.parametrize(("polynomial", "of"), PEERS)
def test_the_checksum_of_a_whole_follows_for_parts_of_the_usual_size(
    polynomial: Polynomial, of: Callable[[bytes], int]
) -> None:
    part = bytes(range(256)) * 32768
    told = [(of(part), len(part))] * 3 + [(of(b"end"), 3)]
    assert crc_of_parts(told, polynomial) == of(part * 3 + b"end")


def test_a_checksum_is_read_as_it_is_written() -> None:
    written = base64.b64encode(google_crc32c.Checksum(b"content").digest()).decode()
    crc = crc_of_base64(written)
    assert crc is not None
    assert crc == google_crc32c.value(b"content")
    assert base64.b64encode(bytes_of(crc)).decode() == written


@pytest.mark.parametrize("text", [None, "", "?", "eA==", base64.b64encode(bytes(16)).decode()])
def test_what_is_no_checksum_of_32_bits_is_none(text: str | None) -> None:
    assert crc_of_base64(text) is None
