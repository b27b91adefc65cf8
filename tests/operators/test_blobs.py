"""Operators on blobs, on a real platform."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import IsADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketMakeSignedUrlOperator
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_rm_removes_one_blob_and_counts_it(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"a b": b"1", "other": b"2"})
    assert BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/a%20b").execute({}) == {"files": 1}
    assert platform.keys(bucket) == ["other"]


def test_rm_removes_a_folder_and_counts_its_blobs(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"dir/a": b"1", "dir/b/c": b"2", "director": b"3"})
    assert BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir", recursive=True).execute({}) == {"files": 2}
    assert platform.keys(bucket) == ["director"]


def test_rm_of_a_folder_needs_to_be_told_so(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"dir/a": b"1"})
    with pytest.raises(IsADirectory, match="neuro_buckets_default"):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir").execute({})
    assert platform.keys(bucket) == ["dir/a"]


def test_rm_of_nothing_succeeds_so_that_a_task_can_run_again(bucket: str) -> None:
    assert BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/nothing").execute({}) == {"files": 0}
    assert BucketBlobRmOperator(task_id="t", uri="blob:no-such-bucket/nothing").execute({}) == {"files": 0}


def test_rm_of_nothing_fails_if_it_shall(bucket: str) -> None:
    with pytest.raises(ResourceNotFound, match="nothing"):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/nothing", if_missing="fail").execute({})


@pytest.mark.parametrize("seconds", [60, "60"])
def test_a_link_gives_the_blob_to_anybody(platform: Platform, bucket: str, seconds: int) -> None:
    """A template makes a text of the number."""
    platform.put(bucket, **{"a b+c": b"content"})
    url = BucketMakeSignedUrlOperator(task_id="t", uri=f"blob:{bucket}/a%20b+c", expires_in_seconds=seconds).execute({})
    assert type(url) is str
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"content"
    broken = urllib.request.Request(url.replace("Signature=", "Signature=0"), method="GET")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(broken, timeout=30)
    error.value.close()


@pytest.mark.parametrize("seconds", [0, -1, 604_801, "soon"])
def test_a_link_that_cannot_live_so_long_fails_the_task_at_once(bucket: str, seconds: int) -> None:
    with pytest.raises(AirflowFailException, match=str(seconds)):
        BucketMakeSignedUrlOperator(task_id="t", uri=f"blob:{bucket}/key", expires_in_seconds=seconds).execute({})
