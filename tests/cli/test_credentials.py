from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from airflow_provider_neuro_buckets.buckets.models import PersistentBucketCredentials
from cli.running import Cli
from platform_rig import Platform


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    """A name for credentials; they are gone afterwards."""
    name = f"cli-{uuid.uuid4().hex[:12]}"
    yield name
    for credentials in platform.ask(lambda buckets: _all(buckets.persistent_credentials_list())):
        if credentials.name == name:
            platform.ask(lambda buckets: buckets.persistent_credentials_rm(name))


async def _all(stream: object) -> list[PersistentBucketCredentials]:
    return [item async for item in stream]  # type: ignore[attr-defined]  # a stream of the client


def secrets_of(platform: Platform, name: str) -> set[str]:
    known = platform.ask(lambda buckets: buckets.persistent_credentials_get(name))
    return {item.credentials["secret_access_key"] for item in known.credentials}


def test_credentials_are_created_listed_shown_and_deleted_without_their_secrets(
    cli: Cli, platform: Platform, bucket: str, name: str
) -> None:
    created = cli("credentials", "create", bucket, "--name", name, "--read-only", "-o", "json")
    [known] = created.rows
    secrets = secrets_of(platform, name)
    [bucket_row] = cli("buckets", "get", bucket, "-o", "json").rows
    assert (known["name"], known["read_only"], known["buckets"]) == (name, True, [bucket_row["id"]])
    ways = [("list",), ("get", name), ("get", known["id"])]
    for way in ways:
        assert known in cli("credentials", *way, "-o", "json").rows
    printed = [created] + [
        cli("credentials", *way, "-o", output) for way in ways for output in ("json", "yaml", "table", "plain")
    ]
    assert secrets
    assert not [ran for ran in printed for secret in secrets if secret in ran.out + ran.err]
    assert cli("credentials", "rm", name).out == f"Deleted {name}\n"
    assert known not in cli("credentials", "list", "-o", "json").rows


def test_create_prints_the_id_alone(cli: Cli, bucket: str, name: str) -> None:
    ran = cli("credentials", "create", bucket, "--name", name)
    [known] = cli("credentials", "get", name, "-o", "json").rows
    assert (ran.status, ran.out, ran.err) == (0, f"{known['id']}\n", "")
    assert known["read_only"] is False


def test_the_connection_shown_opens_the_buckets_with_no_token_and_no_platform(
    cli: Cli, platform: Platform, bucket: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, blob=b"content")
    ran = cli("credentials", "create", bucket, "--name", name, "--read-only", "--show-connection")
    assert ran.status == 0
    [connection] = ran.out.splitlines()
    assert set(json.loads(connection)) == {"conn_type", "extra"}
    [known] = cli("credentials", "get", name, "-o", "json").rows
    [warning] = ran.err.splitlines()
    assert known["id"] in warning
    assert "secrets" in warning
    monkeypatch.delenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT")
    monkeypatch.setenv("AIRFLOW_CONN_MINTED", connection)
    for address in (f"blob:{bucket}", f"blob://local/neuro/demo/{bucket}"):
        [blob] = cli("ls", "--conn-id", "minted", address, "-o", "json").rows
        assert (blob["key"], blob["size"]) == ("blob", 7)
    denied = cli("rm", "--conn-id", "minted", f"blob:{bucket}/blob")
    assert (denied.status, denied.out) == (1, "")
    needs = cli("buckets", "create", "--conn-id", "minted", "new-bucket")
    assert (needs.status, needs.out, needs.err.count("\n")) == (1, "", 1)
    assert platform.keys(bucket) == ["blob"]


def test_a_connection_is_json_by_itself(cli: Cli, bucket: str, name: str) -> None:
    ran = cli("credentials", "create", bucket, "--name", name, "--show-connection", "-o", "json")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert cli("credentials", "get", name).status == 1


def test_credentials_that_are_not_there_are_one_sentence(cli: Cli) -> None:
    for verb in ("get", "rm"):
        ran = cli("credentials", verb, "nobody-has-them")
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_a_bucket_that_is_not_there_makes_no_credentials(cli: Cli, bucket: str, name: str) -> None:
    ran = cli("credentials", "create", bucket, "nobody-has-it", "--name", name)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert cli("credentials", "get", name).status == 1
