"""Blobs of S3 that are archived: they are listed, and cannot be read until somebody has them restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import BadRequest, TransferError
from airflow_provider_neuro_buckets.buckets.transfer.copying import Refusals
from buckets.transfer.asking import copy, download
from buckets.transfer.trees import snapshot
from buckets.transfer.watched import remote
from conformance.rigs.base import Rig
from conformance.rigs.s3 import S3Rig


async def fill(rig: Rig) -> None:
    """Put some blobs, more than may be refused before a service counts as down, and archive all but one."""
    assert isinstance(rig, S3Rig)
    for number in range(30):
        await rig.client.put_object(Bucket=rig.real_name, Key=f"x/{number:02}", Body=b"cold", StorageClass="GLACIER")
    await rig.put("x/last", b"warm")


async def test_a_download_gets_the_others_and_names_those(aws: Rig, tmp_path: Path) -> None:
    await fill(aws)
    with pytest.raises(TransferError) as caught:
        await download(remote(aws, "x")[0], tmp_path)
    assert {type(error) for error in caught.value.failures.values()} == {BadRequest}
    assert len(caught.value.failures) == 30
    assert "InvalidObjectState" in str(caught.value)
    assert snapshot(tmp_path) == {"last": b"warm"}


async def test_a_copy_inside_the_service_is_not_given_up_for_them(aws: Rig) -> None:
    await fill(aws)
    (src, _), (dst, _), refusals = remote(aws, "x"), remote(aws, "y"), Refusals()
    with pytest.raises(TransferError) as caught:
        await copy(src, dst, refusals=refusals)
    assert {type(error) for error in caught.value.failures.values()} == {BadRequest}
    assert not refusals.has(src.listing, dst.listing)
    assert [key for key in await aws.names() if key.startswith("y/")] == ["y/last"]
