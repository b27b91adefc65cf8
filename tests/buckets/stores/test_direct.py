from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, Unavailable
from airflow_provider_neuro_buckets.buckets.http.answer import Answer as Arriving
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.http.sending import Outgoing
from airflow_provider_neuro_buckets.buckets.stores.direct import in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.receiving import chunks_of, read_capped
from faults.crafted import Answer, breaking, crafted, in_turn, reply


@asynccontextmanager
async def answered(answer: Answer) -> AsyncIterator[Arriving]:
    config = BucketsConfig(buckets_url="http://127.0.0.1/unused")
    async with crafted(in_turn(answer)) as server, open_connections(config) as http:
        yield await http.request("GET", server.url, headers={}, body=Outgoing.of(None))


async def test_a_body_with_fewer_bytes_than_expected_is_unavailable_f25() -> None:
    async with answered(reply(200, b"12345")) as response:
        with pytest.raises(Unavailable, match="after 5 of 10 bytes"):
            _ = [chunk async for chunk in chunks_of(response, expected=10, what="cannot read")]


async def test_a_body_with_more_bytes_than_expected_is_invalid() -> None:
    async with answered(reply(200, b"12345")) as response:
        with pytest.raises(InvalidAnswer, match="more than the 3 bytes"):
            _ = [chunk async for chunk in chunks_of(response, expected=3, what="cannot read")]


@pytest.mark.parametrize("largest", [5, 6])
async def test_a_body_is_read_up_to_a_cap(largest: int) -> None:
    async with answered(reply(200, b"12345")) as response:
        assert await read_capped(response, largest, "cannot read") == b"12345"


async def test_a_body_beyond_its_cap_is_invalid() -> None:
    async with answered(reply(200, b"12345")) as response:
        with pytest.raises(InvalidAnswer, match="more than 4 bytes"):
            await read_capped(response, 4, "cannot read")


async def test_a_body_that_breaks_off_is_unavailable() -> None:
    async with answered(breaking(b"123", announced=5)) as response:
        with pytest.raises(Unavailable):
            await read_capped(response, 10, "cannot read")


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1])
async def test_work_on_a_body_gives_the_same_on_the_spot_and_in_a_thread(size: int) -> None:
    content = os.urandom(size)
    assert (await in_thread_if_large(hashlib.md5, memoryview(content))).digest() == hashlib.md5(content).digest()
