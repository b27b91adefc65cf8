"""A large upload that was cut off is gone on with by the next try, if it is one; nothing is left by one that is not."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import SourceChanged, Unavailable
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from buckets.transfer.asking import upload_one
from buckets.transfer.trees import age, plant
from buckets.transfer.watched import Call, Guard, failing, remote
from conformance.rigs.base import Rig

CONTENT = os.urandom(3 * PART + MIB)

pytestmark = pytest.mark.usefixtures("no_open_files")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of four parts: `CONTENT`."""
    (tmp_path / "f").write_bytes(CONTENT)
    return tmp_path / "f"


@pytest.fixture
def resuming(rig: Rig) -> Rig:
    """A fresh bucket of each provider that can."""
    if Capability.RESUME not in rig.store.capabilities:
        pytest.skip(f"the store of {rig.provider} does not declare {Capability.RESUME}")
    return rig


async def cut_off(
    rig: Rig, file: Path, *, tries: Tries = ONLY_TRY, existing: Existing = Existing.REPLACE, at: int = 2
) -> None:
    """Try an upload of which the third part does not get through."""
    there, _ = remote(rig, "k", failing("part", Unavailable("down"), at=at))
    with pytest.raises(Unavailable):
        await upload_one(file, there, existing=existing, tries=tries, concurrency=1)


def next_of(tries: Tries) -> Tries:
    """Return the next try, with what the one before has noted, as JSON carries it."""
    return Tries(has_earlier=True, notes=json.loads(json.dumps(tries.notes)))


async def test_the_next_try_sends_only_the_parts_that_were_not_sent_f98(resuming: Rig, large: Path) -> None:
    await resuming.put("k", b"old")
    tries = Tries(has_later=True)
    await cut_off(resuming, large, tries=tries)
    assert await resuming.get("k") == b"old"
    report = await upload_one(large, remote(resuming, "k")[0], tries=next_of(tries))
    assert (report.files, report.bytes) == (1, PART + MIB)
    assert await resuming.get("k") == CONTENT
    assert await resuming.unfinished() in ([], None)


async def test_a_third_try_goes_on_where_the_second_was_cut_off_as_well_f98(resuming: Rig, large: Path) -> None:
    tries = Tries(has_later=True)
    await cut_off(resuming, large, tries=tries, at=1)
    again = Tries(has_earlier=True, has_later=True, notes=tries.notes)
    await cut_off(resuming, large, tries=again, at=3)
    report = await upload_one(large, remote(resuming, "k")[0], tries=next_of(again))
    assert report.bytes == MIB
    assert await resuming.get("k") == CONTENT


async def test_a_file_that_changed_since_is_sent_from_its_beginning(resuming: Rig, large: Path) -> None:
    tries = Tries(has_later=True)
    await cut_off(resuming, large, tries=tries)
    new = CONTENT[::-1]
    plant(large.parent, {"f": new})
    report = await upload_one(large, remote(resuming, "k")[0], tries=next_of(tries))
    assert report.bytes == len(new)
    assert await resuming.get("k") == new


async def test_an_upload_that_somebody_has_ended_meanwhile_begins_anew(seaweedfs: Rig, large: Path) -> None:
    tries = Tries(has_later=True)
    await cut_off(seaweedfs, large, tries=tries)
    note = tries.notes["k"][1]
    async with seaweedfs.store.resume("k", None, note=note):
        pass  # which aborts it
    assert await seaweedfs.unfinished() == []
    report = await upload_one(large, remote(seaweedfs, "k")[0], tries=next_of(tries))
    assert (report.files, report.bytes) == (1, len(CONTENT))
    assert await seaweedfs.get("k") == CONTENT


async def test_a_cancelled_try_leaves_its_parts_for_the_next(s3: Rig, large: Path) -> None:
    reached = asyncio.Event()
    tries = Tries(has_later=True)

    async def guard(call: Call) -> None:
        if call.verb == "part" and call.start == 3:
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(upload_one(large, remote(s3, "k", guard)[0], tries=tries, concurrency=1))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await s3.unfinished() == ["k"]
    report = await upload_one(large, remote(s3, "k")[0], tries=next_of(tries))
    assert report.bytes == PART + MIB


@pytest.mark.parametrize("tries", [ONLY_TRY, Tries(has_earlier=True)])
async def test_the_last_try_leaves_nothing_f98(s3: Rig, large: Path, tries: Tries) -> None:
    await cut_off(s3, large, tries=tries)
    assert await s3.unfinished() == []
    assert tries.notes == {}


async def test_of_a_file_that_changes_while_it_is_sent_nothing_is_left(s3: Rig, large: Path) -> None:
    async def guard(call: Call) -> None:
        if call.verb == "part" and call.start == 3:
            age(large.parent, 100)

    changing: Guard = guard
    with pytest.raises(SourceChanged):
        await upload_one(large, remote(s3, "k", changing)[0], tries=Tries(has_later=True), concurrency=1)
    assert await s3.unfinished() == []


async def test_with_continue_what_the_storage_tells_of_is_gone_on_with(aws: Rig, large: Path) -> None:
    await cut_off(aws, large, existing=Existing.CONTINUE)
    report = await upload_one(large, remote(aws, "k")[0], existing=Existing.CONTINUE)
    assert report.bytes == PART + MIB
    assert await aws.get("k") == CONTENT
