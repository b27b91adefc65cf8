"""Spans into memory when the storage breaks off, or sends other bytes than it promised."""

from __future__ import annotations

import pytest

from airflow_provider_neuro_buckets.buckets.errors import Conflict, IntegrityError
from airflow_provider_neuro_buckets.buckets.reading import read_bytes
from airflow_provider_neuro_buckets.buckets.transfer.window import Window
from buckets.stores.s3_scripts import MODIFIED, blob, etag_of, refusal, span, store_at
from faults.crafted import Choice, breaking, crafted, in_turn, reply

CONTENT = b"0123456789" * 1000
HEADERS = {"ETag": etag_of(CONTENT), "Last-Modified": MODIFIED}


async def whole(choose: Choice) -> tuple[bytes, list[str | None]]:
    """Read a blob whole; return it and the range of each request."""
    async with crafted(choose) as server, store_at(server) as store:
        window = Window(max_concurrency=8, max_buffer_bytes=64 * 1024 * 1024)
        content = await read_bytes(store, "blob", start=None, stop=None, version=None, window=window)
        return content, [asked.headers.get("Range") for asked in server.asked]


async def test_a_read_that_broke_off_goes_on_where_it_was() -> None:
    broken = breaking(CONTENT[:400], announced=len(CONTENT), headers=HEADERS)
    content, ranges = await whole(in_turn(broken, span(CONTENT, 400, len(CONTENT))))
    assert content == CONTENT
    assert ranges == [None, f"bytes=400-{len(CONTENT) - 1}"]


async def test_what_was_replaced_after_a_break_is_a_conflict_and_no_mixture() -> None:
    broken = breaking(CONTENT[:400], announced=len(CONTENT), headers=HEADERS)
    with pytest.raises(Conflict):
        await whole(in_turn(broken, refusal(412, "PreconditionFailed")))


async def test_bytes_that_do_not_have_the_promised_md5_are_refused() -> None:
    with pytest.raises(IntegrityError, match="MD5"):
        await whole(in_turn(reply(200, CONTENT[::-1], HEADERS)))


async def test_a_whole_blob_is_one_request() -> None:
    assert await whole(in_turn(blob(CONTENT))) == (CONTENT, [None])
