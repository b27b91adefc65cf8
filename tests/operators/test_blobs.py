"""Operators on blobs, on a real platform."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_here import needs
from airflow_provider_neuro_buckets.buckets.errors import IsADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.hooks.rehearsal import LINES
from airflow_provider_neuro_buckets.operators.blobs import (
    BucketBlobRmOperator,
    BucketGlobBlobsOperator,
    BucketListBlobsOperator,
    BucketMakeSignedUrlOperator,
    BucketPutBlobOperator,
)
from platform_rig import Platform

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

Contents = Callable[[str], dict[str, bytes]]

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


# A whole bucket


@pytest.mark.parametrize("address", ["blob:{}", "blob:{}/", "blob:/demo/{}", "blob://local/neuro/demo/{}/"])
def test_rm_of_a_whole_bucket_needs_to_be_confirmed(
    platform: Platform, bucket: str, contents: Contents, address: str
) -> None:
    platform.put(bucket, **{"a": b"1", "dir/b": b"2"})
    uri = address.format(bucket)
    with pytest.raises(AirflowFailException, match="allow_whole_bucket=True") as error:
        BucketBlobRmOperator(task_id="t", uri=uri, recursive=True).execute({})
    assert f"{uri} is the whole bucket blob://local/neuro/demo/{bucket}" in str(error.value)
    assert contents(bucket) == {"a": b"1", "dir/b": b"2"}
    remove = BucketBlobRmOperator(task_id="t", uri=uri, recursive=True, allow_whole_bucket=True)
    assert remove.execute({}) == {"files": 2}
    assert platform.keys(bucket) == []


def test_rm_of_a_folder_whose_name_a_template_left_empty_removes_nothing(platform: Platform, bucket: str) -> None:
    """The accident that the confirmation is for."""
    platform.put(bucket, **{"2026-11-24/a": b"1", "2026-11-23/a": b"2"})
    remove = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/{{{{ day }}}}", recursive=True)
    remove.render_template_fields(cast("Context", {"day": ""}))
    with pytest.raises(AirflowFailException, match="whole bucket"):
        remove.execute({})
    assert len(platform.keys(bucket)) == 2


@pytest.mark.parametrize("flag", ["recursive", "allow_whole_bucket"])
def test_a_text_that_is_no_choice_removes_nothing(platform: Platform, bucket: str, flag: str) -> None:
    platform.put(bucket, a=b"1")
    given: dict[str, Any] = {"recursive": True, flag: "{{ not rendered }}"}
    with pytest.raises(AirflowFailException, match=f"{flag}=.*neither true nor false"):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}", **given).execute({})
    assert platform.keys(bucket) == ["a"]


# Dry runs


def test_a_dry_run_of_rm_names_what_would_go_and_removes_nothing(
    platform: Platform, bucket: str, contents: Contents, said: Callable[[], str]
) -> None:
    blobs = {"dir/a b": b"1", "dir/b/c": b"2", "dir": b"3", "director": b"4"}
    platform.put(bucket, **blobs)
    remove = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir", recursive=True, dry_run=True)
    assert remove.execute({}) == {"files": 3, "dry_run": True}
    for key in ("dir/a%20b", "dir/b/c", "dir"):
        assert f"{bucket}/{key} would be deleted" in said()
    assert "director would" not in said()
    assert contents(bucket) == blobs
    one = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/director", dry_run="true")
    assert one.execute({}) == {"files": 1, "dry_run": True}
    assert contents(bucket) == blobs


def test_a_dry_run_fails_where_the_real_run_would(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"dir/a": b"1"})
    with pytest.raises(IsADirectory):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir", dry_run=True).execute({})
    with pytest.raises(ResourceNotFound):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/no", if_missing="fail", dry_run=True).execute({})
    with pytest.raises(AirflowFailException, match="allow_whole_bucket"):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}", recursive=True, dry_run=True).execute({})
    with pytest.raises(AirflowFailException, match="dry_run='perhaps' is neither true nor false"):
        BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir/a", dry_run="perhaps").execute({})
    assert platform.keys(bucket) == ["dir/a"]


def test_the_log_of_a_dry_run_is_short_however_much_would_go(
    platform: Platform, bucket: str, said: Callable[[], str]
) -> None:
    many = LINES + 20
    platform.put(bucket, **{f"many/{number:03}": b"" for number in range(many)})
    remove = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/many", recursive=True, dry_run=True)
    assert remove.execute({}) == {"files": many, "dry_run": True}
    lines = [line for line in said().splitlines() if "would be deleted" in line]
    assert len({line.partition("blob:")[2] for line in lines}) == LINES
    assert "only counted from here on" in said()
    assert f"'files': {many}" in said()


@needs(3, 1, reason="gives its operators no such method")
def test_airflows_own_dry_run_of_a_task_still_renders_its_templates(said: Callable[[], str]) -> None:
    """Every Airflow operator has a method of that name; `airflow tasks render` and people call it."""
    remove = BucketBlobRmOperator(task_id="t", uri="blob:bucket/folder", dry_run=True)
    remove.dry_run()
    assert "blob:bucket/folder" in said()


# Putting


@pytest.mark.parametrize(("body", "stored"), [("é", b"\xc3\xa9"), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_put_stores_a_text_as_utf_8_and_bytes_as_they_are(
    platform: Platform, bucket: str, contents: Contents, body: Any, stored: bytes
) -> None:
    platform.put(bucket, **{"a b/%c": b"before"})
    put = BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key="a b/%c", body=body)
    done = put.execute({})
    assert contents(bucket) == {"a b/%c": stored}
    assert (done["files"], done["bytes"]) == (1, len(stored))
    assert json.loads(json.dumps(done)) == done
    assert platform.ask(lambda buckets: buckets.stat_blob(done["uri"])).key == "a b/%c"


def test_put_at_a_key_that_a_template_made_a_number_of_is_told_in_one_sentence(bucket: str) -> None:
    with pytest.raises(AirflowFailException, match="the key 20261130 is not a text"):
        BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key=cast("str", 20261130), body=b"").execute({})


@pytest.mark.parametrize("body", [{"a": 1}, 1, None, ["a"]])
def test_put_of_what_is_neither_text_nor_bytes_is_told_in_one_sentence(
    platform: Platform, bucket: str, body: Any
) -> None:
    with pytest.raises(AirflowFailException, match=f"body is a {type(body).__name__}, neither text nor bytes"):
        BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key="key", body=body).execute({})
    assert platform.keys(bucket) == []


def test_put_needs_a_key_and_a_bucket(platform: Platform, bucket: str) -> None:
    with pytest.raises(AirflowFailException, match="key of the blob is empty"):
        BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key="", body="x").execute({})
    with pytest.raises(ResourceNotFound, match="no-such-bucket"):
        BucketPutBlobOperator(task_id="t", bucket_id_or_name="no-such-bucket", key="key", body="x").execute({})
    assert platform.keys(bucket) == []


def test_a_dry_run_of_put_says_whether_a_blob_would_be_replaced_and_stores_nothing(
    platform: Platform, bucket: str, contents: Contents, said: Callable[[], str]
) -> None:
    platform.put(bucket, old=b"old")
    for key, word in (("old", "replaced"), ("new", "created")):
        put = BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key=key, body="body", dry_run=True)
        done = put.execute({})
        assert (done["files"], done["bytes"], done["dry_run"]) == (1, 4, True)
        assert f"would be {word}" in said()
    assert contents(bucket) == {"old": b"old"}


# Keys


KEYS = ["a b.csv", "dir/%41.csv", "dir/deep/c.csv", "dir/deep/d.txt", "other"]


@pytest.fixture
def keys(platform: Platform, bucket: str) -> str:
    """A bucket with some keys."""
    platform.put(bucket, **dict.fromkeys(KEYS, b"1"))
    return bucket


def test_list_returns_keys_or_folders_by_prefix(keys: str) -> None:
    def listed(uri: str, **arguments: Any) -> list[str]:
        return BucketListBlobsOperator(task_id="t", uri=uri, **arguments).execute({})

    assert sorted(listed(f"blob:{keys}")) == ["a b.csv", "dir/", "other"]
    assert listed(f"blob:{keys}", recursive=True) == KEYS
    assert listed(f"blob:{keys}/dir/deep/", recursive=True) == KEYS[2:4]
    assert listed(f"blob:{keys}/nothing") == []


def test_glob_returns_what_matches(keys: str) -> None:
    def found(pattern: str, **arguments: Any) -> list[str]:
        return BucketGlobBlobsOperator(task_id="t", uri=f"blob:{keys}/{pattern}", **arguments).execute({})

    assert found("*.csv") == ["a b.csv"]
    assert found("**/*.csv") == [key for key in KEYS if key.endswith(".csv")]
    assert found("dir/*/") == ["dir/deep/"]
    assert found("nothing*") == []


def test_addresses_lead_to_what_was_found_whatever_its_key(platform: Platform, keys: str) -> None:
    uris = BucketListBlobsOperator(task_id="t", uri=f"blob:{keys}", recursive=True, returns="uris").execute({})

    async def keys_at(buckets: Any) -> list[str]:
        return [(await buckets.stat_blob(uri)).key for uri in uris]

    assert platform.ask(keys_at) == KEYS
    assert BucketGlobBlobsOperator(task_id="t", uri=f"blob:{keys}/**", returns="uris").execute({}) == uris


@pytest.mark.parametrize("most", [len(KEYS), str(len(KEYS)), 1000])
def test_as_many_keys_as_were_allowed_are_returned(keys: str, most: Any) -> None:
    listed = BucketListBlobsOperator(task_id="t", uri=f"blob:{keys}", recursive=True, max_keys=most)
    assert listed.execute({}) == KEYS
    assert BucketGlobBlobsOperator(task_id="t", uri=f"blob:{keys}/**", max_keys=most).execute({}) == KEYS


@pytest.mark.parametrize(
    "operator",
    [
        lambda bucket, most: BucketListBlobsOperator(
            task_id="t",
            uri=f"blob:{bucket}",
            recursive=True,
            max_keys=most,
            neuro_buckets_conn_id="neuro_buckets_default",
        ),
        lambda bucket, most: BucketGlobBlobsOperator(task_id="t", uri=f"blob:{bucket}/**", max_keys=most),
    ],
)
def test_more_keys_than_were_allowed_fail_the_task_at_once_and_say_what_to_do(keys: str, operator: Any) -> None:
    with pytest.raises(AirflowFailException) as error:
        operator(keys, 3).execute({})
    assert f"at least 4 keys at blob:{keys}" in str(error.value)
    assert "raise max_keys" in str(error.value)
    assert "neuro_buckets_default" in str(error.value)
    for wrong in (0, -1, "many", 2.5, float("inf")):
        with pytest.raises(AirflowFailException, match=f"max_keys='?{wrong}"):
            operator(keys, wrong).execute({})
