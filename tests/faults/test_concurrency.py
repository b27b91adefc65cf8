"""Part F of the catalogue, as far as no other room shows it: many at once do not make things worse."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Unavailable
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART
from buckets.transfer.trees import plant, snapshot
from conformance.rigs.base import Rig
from faults.proxy import ALWAYS, Rule
from faults.scene import at, behind_proxy
from faults.toxics import Held, s3_error
from promises.scene import on

FILES = 500
PASSED = asyncio.Event()
PASSED.set()


@pytest.mark.usefixtures("impatient")
async def test_a_folder_at_a_server_that_is_down_is_given_up_before_each_file_was_tried_as_often_as_one_may_be_f97(
    seaweedfs: Rig, tmp_path: Path
) -> None:
    await asyncio.gather(*(seaweedfs.put(f"d/{number}", b"x") for number in range(FILES)))
    down = Rule(fault=s3_error(503, "ServiceUnavailable"), method="GET", target=r"/d/\d+", times=ALWAYS)
    async with behind_proxy(seaweedfs, down) as (buckets, proxy):
        with pytest.raises(Unavailable):
            await buckets.download_dir(at(seaweedfs, "d"), tmp_path)
    assert len(proxy.struck) <= 1.1 * FILES + 50
    assert snapshot(tmp_path) == {}


@on("gcp", "seaweedfs")
async def test_a_part_that_is_taken_in_after_the_abort_of_its_upload_does_not_bring_that_back_f91(
    rig: Rig, tmp_path: Path
) -> None:
    plant(tmp_path, {"f": bytes(PART + 1)})
    part = Held(until=asyncio.Event())
    first, second = Held(until=PASSED, over=part.until), Held(until=part.over)
    rules = [
        Rule(fault=part, method="PUT", target="partNumber=1&"),
        Rule(fault=first, method="DELETE", target="uploadId="),
        Rule(fault=second, method="DELETE", target="uploadId="),
    ]
    async with behind_proxy(rig, *rules) as (buckets, proxy):
        sending = asyncio.ensure_future(buckets.upload_file(tmp_path / "f", at(rig, "key")))
        await part.taken.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert part.over.is_set()
        assert len(proxy.asked("DELETE", "uploadId=")) == 2
    assert await rig.unfinished() == []
    assert await rig.names() == []
