"""Operators on whole buckets, on a real platform."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, BucketNotEmpty, ResourceNotFound
from airflow_provider_neuro_buckets.operators.buckets import (
    BucketCreateOperator,
    BucketDiskUsageOperator,
    BucketImportOperator,
    BucketRmOperator,
    BucketSetPublicAccessOperator,
)
from platform_rig import Platform

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

Contents = Callable[[str], dict[str, bytes]]

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


@pytest.mark.usefixtures("platform")
def test_what_a_template_made_no_text_of_is_no_bucket() -> None:
    """A task that should delete something must not end well for a bucket that is called None."""
    with pytest.raises(AirflowFailException, match="None is not the name or id of a bucket"):
        BucketRmOperator(task_id="t", bucket_id_or_name=cast("str", None)).execute({})
    with pytest.raises(AirflowFailException, match="20261130 is not a bucket name"):
        BucketCreateOperator(task_id="t", name=cast("str", 20261130)).execute({})
    with pytest.raises(AirflowFailException, match="there is no Airflow connection None"):
        BucketRmOperator(task_id="t", bucket_id_or_name="name", neuro_buckets_conn_id=cast("str", None)).execute({})


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
    BucketRmOperator(task_id="t", bucket_id_or_name=bucket, force=True, allow_whole_bucket=True).execute({})
    assert bucket not in platform.buckets()


@pytest.mark.usefixtures("platform")
def test_rm_of_a_bucket_that_is_gone_succeeds_so_that_a_task_can_run_again() -> None:
    BucketRmOperator(task_id="t", bucket_id_or_name="no-such-bucket").execute({})


@pytest.mark.usefixtures("platform")
def test_rm_of_a_bucket_that_is_gone_fails_if_it_shall() -> None:
    with pytest.raises(ResourceNotFound, match="no-such-bucket"):
        BucketRmOperator(task_id="t", bucket_id_or_name="no-such-bucket", if_missing="fail").execute({})


def test_rm_says_whether_there_was_a_bucket_and_how_many_blobs_went(platform: Platform, bucket: str) -> None:
    platform.put(bucket, a=b"1", b=b"2")
    remove = BucketRmOperator(task_id="t", bucket_id_or_name=bucket, force=True, allow_whole_bucket=True)
    assert remove.execute({}) == {"deleted": True, "files": 2}
    assert remove.execute({}) == {"deleted": False, "files": 0}


@pytest.mark.parametrize("allow", [False, "false", "{{ params.allow }}"])
def test_rm_with_force_needs_to_be_confirmed(platform: Platform, bucket: str, allow: Any) -> None:
    platform.put(bucket, key=b"1")
    with pytest.raises(AirflowFailException, match="allow_whole_bucket") as error:
        BucketRmOperator(task_id="t", bucket_id_or_name=bucket, force=True, allow_whole_bucket=allow).execute({})
    assert "neuro_buckets_default" in str(error.value)
    assert platform.keys(bucket) == ["key"]


@pytest.mark.parametrize("force", [False, True])
def test_a_dry_run_of_rm_deletes_nothing_and_ends_as_the_real_one_would(
    platform: Platform, bucket: str, contents: Contents, said: Callable[[], str], *, force: bool
) -> None:
    platform.put(bucket, **{"a b": b"1", "dir/c": b"2"})
    remove = BucketRmOperator(
        task_id="t", bucket_id_or_name=bucket, force=force, allow_whole_bucket=force, dry_run=True
    )
    if force:
        assert remove.execute({}) == {"deleted": True, "files": 2, "dry_run": True}
        assert f"{bucket}/a%20b would be deleted" in said()
    else:
        with pytest.raises(BucketNotEmpty):
            remove.execute({})
    assert contents(bucket) == {"a b": b"1", "dir/c": b"2"}


def test_a_dry_run_of_rm_keeps_an_empty_bucket_too(platform: Platform, bucket: str) -> None:
    remove = BucketRmOperator(task_id="t", bucket_id_or_name=bucket, dry_run="True")
    assert remove.execute({}) == {"deleted": True, "files": 0, "dry_run": True}
    assert bucket in platform.buckets()


# Import

KEYS = {"access_key_id": "{{ keys.access_key_id }}", "secret_access_key": "{{ keys.secret_access_key }}"}


def importing(keys: Mapping[str, str], name: str, **arguments: Any) -> BucketImportOperator:
    given: dict[str, Any] = {
        "provider": "minio",
        "provider_bucket_name": keys["bucket_name"],
        "credentials": {**KEYS, "endpoint_url": keys["endpoint_url"], "region_name": keys["region_name"]},
        "name": name,
    }
    return BucketImportOperator(task_id="t", **{**given, **arguments})


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    """A name for a bucket; one of that name is removed afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    if name in platform.buckets():
        platform.ask(lambda buckets: buckets.rm(name))


def context(keys: Mapping[str, str]) -> Context:
    return cast("Context", {"keys": SimpleNamespace(**keys)})


def test_import_makes_a_bucket_known_with_keys_that_only_the_running_task_sees(
    platform: Platform, foreign: Mapping[str, str], name: str, said: Callable[[], str]
) -> None:
    operator = importing(foreign, name)
    made = operator.execute(context(foreign))
    bucket = platform.ask(lambda buckets: buckets.get(name))
    assert made == {"id": bucket.id, "name": name, "uri": str(bucket.uri), "provider": "minio"}
    assert bucket.imported
    platform.put(name, key=b"1")
    assert platform.keys(name) == ["key"]
    shown = f"{vars(operator)} {made} {said()}"
    assert foreign["secret_access_key"] not in shown
    assert foreign["access_key_id"] not in shown
    assert "credentials" not in operator.template_fields


def test_import_takes_the_bucket_that_is_there_so_that_a_task_can_run_again(
    platform: Platform, foreign: Mapping[str, str], name: str
) -> None:
    first = importing(foreign, name).execute(context(foreign))
    assert importing(foreign, name).execute(context(foreign)) == first
    with pytest.raises(AlreadyExists):
        importing(foreign, name, if_exists="fail").execute(context(foreign))
    assert platform.buckets().count(name) == 1


def test_import_does_not_take_a_bucket_that_was_not_imported(foreign: Mapping[str, str], bucket: str) -> None:
    with pytest.raises(AlreadyExists, match="not a bucket imported from minio") as error:
        importing(foreign, bucket).execute(context(foreign))
    assert "neuro_buckets_default" in str(error.value)


def test_import_with_keys_that_do_not_open_the_bucket_fails_and_leaves_no_record(
    platform: Platform, foreign: Mapping[str, str], name: str
) -> None:
    wrong = {**foreign, "secret_access_key": "wrong-secret-of-nobody"}
    with pytest.raises(AirflowFailException, match="was not imported") as error:
        importing(foreign, name).execute(context(wrong))
    assert "wrong-secret-of-nobody" not in str(error.value)
    assert name not in platform.buckets()
    importing(foreign, name, check=False).execute(context(wrong))
    assert name in platform.buckets()


@pytest.mark.parametrize("credentials", ["a text", {"access_key_id": 1}, None])
def test_import_of_what_are_no_keys_is_told_in_one_sentence(
    platform: Platform, foreign: Mapping[str, str], name: str, credentials: Any
) -> None:
    with pytest.raises(AirflowFailException, match="dict of the provider's keys"):
        importing(foreign, name, credentials=credentials).execute(context(foreign))
    assert name not in platform.buckets()


# Public access


@pytest.mark.parametrize(("opened", "closed"), [(True, False), ("true", "False")])
def test_anybody_may_read_a_public_bucket_until_it_is_closed_again(
    platform: Platform, bucket: str, opened: Any, closed: Any
) -> None:
    """A template makes a text of it."""
    platform.put(bucket, key=b"content")
    keys = platform.ask(lambda buckets: buckets.request_tmp_credentials(bucket)).credentials
    address = f"{keys['endpoint_url']}/{keys['bucket_name']}/key"
    said = BucketSetPublicAccessOperator(task_id="t", bucket_id_or_name=bucket, public_access=opened).execute({})
    assert said["public"] is True
    assert json.loads(json.dumps(said)) == said
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read() == b"content"
    said = BucketSetPublicAccessOperator(task_id="t", bucket_id_or_name=bucket, public_access=closed).execute({})
    assert said["public"] is False
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(address, timeout=30)
    error.value.close()


@pytest.mark.parametrize("given", ["maybe", "", 1, None])
def test_what_is_neither_true_nor_false_opens_no_bucket(platform: Platform, bucket: str, given: Any) -> None:
    with pytest.raises(AirflowFailException, match="neither true nor false"):
        BucketSetPublicAccessOperator(task_id="t", bucket_id_or_name=bucket, public_access=given).execute({})
    assert platform.ask(lambda buckets: buckets.get(bucket)).public is False


# Disk usage


def test_disk_usage_counts_blobs_and_bytes(platform: Platform, bucket: str) -> None:
    count = BucketDiskUsageOperator(task_id="t", bucket_id_or_name=f"blob:{bucket}")
    empty = count.execute({})
    assert (empty["files"], empty["bytes"]) == (0, 0)
    platform.put(bucket, **{"a": b"1", "dir/b": b"22", "dir/": b""})
    full = count.execute({})
    assert (full["files"], full["bytes"]) == (3, 3)
    assert set(full) == {"files", "bytes", "seconds"}
    assert json.loads(json.dumps(full)) == full


def test_disk_usage_tells_the_log_how_far_it_is(
    platform: Platform, bucket: str, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_neuro_buckets.hooks.progress.EVERY_SECONDS", 0.0)
    platform.put(bucket, a=b"1")
    BucketDiskUsageOperator(task_id="t", bucket_id_or_name=bucket).execute({})
    assert "Counting: 1 files" in said()


@pytest.mark.usefixtures("platform")
def test_disk_usage_of_no_bucket_is_told() -> None:
    with pytest.raises(ResourceNotFound, match="no-such-bucket"):
        BucketDiskUsageOperator(task_id="t", bucket_id_or_name="no-such-bucket").execute({})
