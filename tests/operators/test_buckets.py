"""Operators on whole buckets, on a real platform."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, BucketNotEmpty, ResourceNotFound
from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_create_makes_a_bucket_and_returns_what_the_next_task_needs(platform: Platform) -> None:
    made = BucketCreateOperator(task_id="t", name="made-by-a-task").execute({})
    try:
        bucket = platform.ask(lambda buckets: buckets.get("made-by-a-task"))
        assert made == {"id": bucket.id, "name": bucket.name, "uri": str(bucket.uri), "provider": str(bucket.provider)}
        assert json.loads(json.dumps(made)) == made
    finally:
        platform.ask(lambda buckets: buckets.rm("made-by-a-task"))


def test_create_makes_a_bucket_without_a_name(platform: Platform) -> None:
    made = BucketCreateOperator(task_id="t", name=None).execute({})
    assert made["name"] is None
    BucketRmOperator(task_id="t", bucket_id_or_name=made["id"]).execute({})
    with pytest.raises(ResourceNotFound):
        platform.ask(lambda buckets: buckets.get(made["id"]))


def test_create_takes_the_bucket_that_is_there_so_that_a_task_can_run_again(platform: Platform, bucket: str) -> None:
    platform.put(bucket, key=b"1")
    made = BucketCreateOperator(task_id="t", name=bucket).execute({})
    assert made["name"] == bucket
    assert platform.keys(bucket) == ["key"]


def test_create_fails_if_it_shall(bucket: str) -> None:
    with pytest.raises(AlreadyExists, match="neuro_buckets_default"):
        BucketCreateOperator(task_id="t", name=bucket, if_exists="fail").execute({})


def test_create_refuses_a_name_that_the_platform_would_refuse(platform: Platform) -> None:
    before = platform.buckets()
    with pytest.raises(AirflowFailException, match="Not A Name"):
        BucketCreateOperator(task_id="t", name="Not A Name").execute({})
    assert platform.buckets() == before


def test_create_makes_it_elsewhere_if_told_so(platform: Platform) -> None:
    """There is one project here, and the platform refuses others."""
    with pytest.raises(AirflowFailException, match="another"):
        BucketCreateOperator(task_id="t", name="made-elsewhere", project_name="another").execute({})
    assert "made-elsewhere" not in platform.buckets()


@pytest.mark.parametrize("by", ["name", "id", "uri"])
def test_rm_deletes_an_empty_bucket(platform: Platform, bucket: str, by: str) -> None:
    known = platform.ask(lambda buckets: buckets.get(bucket))
    BucketRmOperator(task_id="t", bucket_id_or_name=str(getattr(known, by))).execute({})
    assert bucket not in platform.buckets()


def test_rm_leaves_a_bucket_that_holds_blobs_as_it_is(platform: Platform, bucket: str) -> None:
    platform.put(bucket, key=b"1")
    with pytest.raises(BucketNotEmpty, match="neuro_buckets_default"):
        BucketRmOperator(task_id="t", bucket_id_or_name=bucket).execute({})
    assert platform.keys(bucket) == ["key"]


def test_rm_deletes_a_bucket_with_its_blobs_if_forced(platform: Platform, bucket: str) -> None:
    platform.put(bucket, key=b"1")
    BucketRmOperator(task_id="t", bucket_id_or_name=bucket, force=True).execute({})
    assert bucket not in platform.buckets()


@pytest.mark.usefixtures("platform")
def test_rm_of_a_bucket_that_is_gone_succeeds_so_that_a_task_can_run_again() -> None:
    BucketRmOperator(task_id="t", bucket_id_or_name="no-such-bucket").execute({})


@pytest.mark.usefixtures("platform")
def test_rm_of_a_bucket_that_is_gone_fails_if_it_shall() -> None:
    with pytest.raises(ResourceNotFound, match="no-such-bucket"):
        BucketRmOperator(task_id="t", bucket_id_or_name="no-such-bucket", if_missing="fail").execute({})
