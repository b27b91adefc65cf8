from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, Unavailable
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes
from airflow_provider_neuro_buckets.buckets.stores.direct import in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.receiving import LARGE, READ_AT_ONCE, chunks_of, read_capped
from airflow_provider_neuro_buckets.buckets.stores.sending import BufferPayload
from faults.crafted import Answer, breaking, crafted, in_turn, reply


@asynccontextmanager
async def answered(answer: Answer) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        crafted(in_turn(answer)) as server,
        aiohttp.ClientSession() as http,
        http.get(server.url) as response,
    ):
        yield response


async def test_a_body_with_fewer_bytes_than_expected_is_unavailable_f25() -> None:
    async with answered(reply(200, b"12345")) as response:
        with pytest.raises(Unavailable, match="after 5 of 10 bytes"):
            _ = [chunk async for chunk in chunks_of(response, expected=10, what="cannot read")]


async def test_a_body_with_more_bytes_than_expected_is_invalid() -> None:
    async with answered(reply(200, b"12345")) as response:
        with pytest.raises(InvalidAnswer, match="more than the 3 bytes"):
            _ = [chunk async for chunk in chunks_of(response, expected=3, what="cannot read")]


@pytest.mark.parametrize(("size", "step"), [(LARGE, READ_AT_ONCE), (LARGE - 1, None)])
async def test_a_large_body_is_read_in_large_steps_and_the_connection_is_as_it_was_afterwards(
    size: int, step: int | None
) -> None:
    async with answered(reply(200, bytes(size))) as response:
        assert response.connection is not None
        transport: Any = response.connection.transport
        usual = transport.max_size
        steps = {transport.max_size async for _ in chunks_of(response, expected=size, what="cannot read")}
        assert steps <= {step or usual, usual}
        assert (step is None) or step in steps
        assert transport.max_size == usual


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


@pytest.mark.parametrize(
    "pieces",
    [(b"",), (b"one",), (b"one", b"two"), (bytearray(b"one"), memoryview(b"two")), (os.urandom(700_001), b"end")],
    ids=["none", "one", "two", "kinds", "large"],
)
async def test_a_body_in_pieces_arrives_as_one(pieces: Sequence[Bytes]) -> None:
    async with crafted(in_turn(reply())) as server, aiohttp.ClientSession() as http:
        async with http.put(server.url, data=BufferPayload(tuple(pieces))):
            pass
        (asked,) = server.asked
    assert asked.body == b"".join(pieces)
    assert asked.headers["Content-Length"] == str(len(asked.body))


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1])
async def test_work_on_a_body_gives_the_same_on_the_spot_and_in_a_thread(size: int) -> None:
    content = os.urandom(size)
    assert (await in_thread_if_large(hashlib.md5, memoryview(content))).digest() == hashlib.md5(content).digest()
