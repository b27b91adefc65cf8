from __future__ import annotations

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, md5_of_base64, size_of


@given(st.binary())
def test_an_md5_is_read_as_it_was_written(body: bytes) -> None:
    assert md5_of_base64(base64_of(md5(body))) == md5(body).hex()


@pytest.mark.parametrize("text", [None, "", "???", "no base64", "eA==", "yZRlqg=="])
def test_what_is_no_md5_is_not_taken_for_one(text: str | None) -> None:
    assert md5_of_base64(text) is None


@pytest.mark.parametrize("body", [b"12345678", bytearray(b"12345678"), memoryview(array.array("q", [1]))])
def test_the_size_of_a_body_is_in_bytes(body: bytes | bytearray | memoryview) -> None:
    assert size_of(body) == 8
