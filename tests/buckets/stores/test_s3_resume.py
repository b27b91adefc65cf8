"""Where S3 lists uploads and their parts, one that was cut off is found without a note, and known by its content."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.s3_resume import read, written
from conformance.rigs.base import Rig

PART = 5 * 1024 * 1024


@pytest.fixture
def parts() -> list[bytes]:
    return [os.urandom(PART), os.urandom(PART), os.urandom(7)]


async def cut_off(rig: Rig, key: str, sent: dict[int, bytes]) -> None:
    async with rig.store.resume(key, None) as upload:
        for number, part in sent.items():
            await upload.put_part(number, part)
        upload.keep()


async def finish(rig: Rig, key: str, parts: list[bytes]) -> int:
    async def part(number: int) -> bytes | None:
        return parts[number - 1] if number <= len(parts) else None

    async with rig.store.resume(key, part) as upload:
        for number, content in enumerate(parts, start=1):
            await upload.put_part(number, content)
        await upload.complete()
    assert await rig.get(key) == b"".join(parts)
    return upload.spared


@pytest.mark.parametrize("key", ["blob", "a folder/\u00e9 & +%20"])
async def test_it_is_gone_on_with(moto_rig: Rig, parts: list[bytes], key: str) -> None:
    await cut_off(moto_rig, key, {2: parts[1], 3: parts[2]})
    assert await finish(moto_rig, key, parts) == PART + 7
    assert await moto_rig.unfinished() == []


async def test_a_part_that_is_of_other_content_is_sent_again(moto_rig: Rig, parts: list[bytes]) -> None:
    await cut_off(moto_rig, "blob", {1: parts[0], 2: os.urandom(PART)})
    assert await finish(moto_rig, "blob", parts) == PART


async def test_uploads_of_other_content_and_to_longer_keys_are_left_alone(moto_rig: Rig, parts: list[bytes]) -> None:
    await cut_off(moto_rig, "blob", {1: os.urandom(PART)})
    await cut_off(moto_rig, "blob2", {1: parts[0]})
    assert await finish(moto_rig, "blob", parts) == 0
    assert sorted(await moto_rig.unfinished() or []) == ["blob", "blob2"]


async def test_credentials_that_may_not_list_uploads_begin_anew(seaweed_rig: Rig, parts: list[bytes]) -> None:
    await cut_off(seaweed_rig, "blob", {1: parts[0]})
    assert await finish(seaweed_rig, "blob", parts) == 0


async def test_more_parts_than_a_page_are_listed_page_by_page(moto_rig: Rig) -> None:
    parts = [os.urandom(16) for _ in range(1003)]
    await cut_off(moto_rig, "blob", dict(enumerate(parts, start=1)))

    async def part(number: int) -> bytes:
        return parts[number - 1]

    async with moto_rig.store.resume("blob", part) as upload:
        for number, content in enumerate(parts, start=1):
            await upload.put_part(number, content)
    assert upload.spared == 16 * 1003


@given(st.sets(st.integers(1, 30), min_size=1))
def test_numbers_of_parts_are_read_as_they_were_written(numbers: set[int]) -> None:
    assert read(written(numbers)) == numbers


def test_numbers_that_follow_each_other_are_written_short() -> None:
    assert written(range(1, 10_001)) == "1-10000"
    assert written([7, 1, 2, 5, 4]) == "1-2,4-5,7"
