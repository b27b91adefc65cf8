from __future__ import annotations

import uuid

import pytest

from cli.running import Cli
from platform_rig import Platform


@pytest.fixture
def new_name() -> str:
    return f"cli-{uuid.uuid4().hex[:12]}"


def test_a_bucket_is_created_listed_shown_and_deleted(cli: Cli, platform: Platform, new_name: str) -> None:
    [created] = cli("buckets", "create", new_name, "-o", "json").rows
    assert platform.buckets().count(new_name) == 1
    assert created in cli("buckets", "list", "-o", "json").rows
    for asked in (new_name, created["id"], created["uri"]):
        assert cli("buckets", "get", asked, "-o", "json").rows == [created]
    ran = cli("buckets", "rm", new_name)
    assert (ran.status, ran.out) == (0, f"Deleted {new_name}\n")
    assert new_name not in platform.buckets()


def test_what_is_created_is_told_by_its_address_and_id(cli: Cli, bucket: str, new_name: str) -> None:
    [one] = cli("buckets", "get", bucket, "-o", "json").rows
    ran = cli("buckets", "create", new_name)
    [two] = cli("buckets", "get", new_name, "-o", "json").rows
    assert ran.out == f"Created {one['uri'].replace(bucket, new_name)} ({two['id']})\n"
    cli("buckets", "rm", new_name)


def test_a_bucket_needs_no_name(cli: Cli) -> None:
    [created] = cli("buckets", "create", "-o", "json").rows
    assert created["name"] is None
    assert cli("buckets", "rm", created["id"]).status == 0


def test_buckets_are_listed_by_name(cli: Cli, bucket: str) -> None:
    names = [row["name"] for row in cli("buckets", "list", "-o", "json").rows]
    assert bucket in names
    assert names == sorted(names, key=lambda name: name or "")


@pytest.mark.parametrize("output", ["table", "plain", "yaml"])
def test_people_read_a_bucket_in_the_other_formats_of_airflow(cli: Cli, bucket: str, output: str) -> None:
    ran = cli("buckets", "get", bucket, "--output", output)
    assert ran.status == 0
    assert f"/{bucket}" in ran.out


def test_a_bucket_that_holds_blobs_is_deleted_by_force_only(cli: Cli, platform: Platform, bucket: str) -> None:
    platform.put(bucket, blob=b"content")
    ran = cli("buckets", "rm", bucket)
    assert ran.status == 1
    assert ran.err.endswith("holds blobs. Remove them first, or delete with --force.\n")
    assert platform.keys(bucket) == ["blob"]
    assert cli("buckets", "rm", bucket, "--force").status == 0
    assert bucket not in platform.buckets()


def test_a_name_that_is_taken_is_one_sentence(cli: Cli, bucket: str) -> None:
    ran = cli("buckets", "create", bucket)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert bucket in ran.err


@pytest.mark.parametrize("asked", [("get", "nobody-has-it"), ("rm", "nobody-has-it")])
def test_a_bucket_that_is_not_there_is_one_sentence(cli: Cli, asked: tuple[str, str]) -> None:
    ran = cli("buckets", *asked)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "nobody-has-it" in ran.err


def test_a_wrong_token_is_one_sentence_without_the_token(
    cli: Cli, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = platform.running.connection.replace(platform.running.token, "a-wrong-token")
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", wrong)
    ran = cli("buckets", "list", "--conn-id", "wrong")
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "connection 'wrong'" in ran.err
    assert "token" in ran.err
    assert "a-wrong-token" not in ran.err


def test_a_name_that_cannot_be_is_bad_usage(cli: Cli) -> None:
    ran = cli("buckets", "create", "No Such Name!")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
