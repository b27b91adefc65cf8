"""Part F of the catalogue, as far as no other room shows it: many at once do not make things worse."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Unavailable
from buckets.transfer.trees import snapshot
from conformance.rigs.base import Rig
from faults.proxy import ALWAYS, Rule
from faults.scene import at, behind_proxy
from faults.toxics import s3_error

FILES = 500


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
