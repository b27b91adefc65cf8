"""From a connection to a configuration: every mistake in one sentence that names connection and field, and no value."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_here import needs
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

HOST = "https://api.example.org/api/v1"
SECRET = "s3cr3t-value-nobody-may-see"
PERSISTENT = {
    "id": "credential-1",
    "owner": "user",
    "name": "keys",
    "read_only": False,
    "credentials": [
        {
            "bucket_id": "bucket-1",
            "uri": "blob://cluster/org/project/bucket",
            "provider": "seaweedfs",
            "credentials": {
                "bucket_name": "stored",
                "endpoint_url": "http://127.0.0.1:9",
                "region_name": "us-east-1",
                "access_key_id": "AKIA" + SECRET,
                "secret_access_key": SECRET,
            },
        }
    ],
}


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> NeuroBucketsHook:
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", json.dumps({"conn_type": "neuro_buckets", **fields}))
    return NeuroBucketsHook("special")


def passed(**fields: Any) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


# What can be used


def test_every_field_of_a_connection_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "cluster_name": "cluster",
        "org_name": "org",
        "project_name": "project",
        "buckets_url": "https://buckets.example.org/api/v1/buckets",
        "console_url": "https://console.example.org/{project_name}/{bucket}/{key}",
        "persistent_credentials_secret": PERSISTENT,
        "verify": "/etc/ssl/own.pem",
        "max_concurrency": 8,
        "max_buffer_bytes": 1024,
        "timeout_seconds": 30,
        "max_requests_per_second": 0.5,
        "max_bytes_per_second": "2.5e6",
        "shared_by": "8",
    }
    config = connect(monkeypatch, host=HOST, password=SECRET, extra=extra).get_config()
    assert (config.api_url, config.token, config.name) == (HOST, SECRET, "connection 'special'")
    assert (config.cluster_name, config.org_name, config.project_name) == ("cluster", "org", "project")
    assert config.buckets_url == extra["buckets_url"]
    assert config.console_url == extra["console_url"]
    assert config.persistent_credentials == PERSISTENT
    assert config.verify == "/etc/ssl/own.pem"
    assert (config.max_concurrency, config.max_buffer_bytes, config.timeout_seconds) == (8, 1024, 30)
    assert (config.max_requests_per_second, config.max_bytes_per_second, config.shared_by) == (0.5, 2.5e6, 8)


def test_a_field_that_was_left_empty_in_the_form_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = connect(monkeypatch, host=HOST, password=SECRET).get_config()
    empty = dict.fromkeys(("cluster_name", "org_name", "verify", "max_concurrency"), "") | {"timeout_seconds": None}
    assert connect(monkeypatch, host=HOST, password=SECRET, extra=empty).get_config() == plain


def test_numbers_may_be_written_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    config = connect(monkeypatch, host=HOST, password=SECRET, extra={"max_concurrency": "8"}).get_config()
    assert config.max_concurrency == 8


def test_white_space_around_host_and_token_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    config = connect(monkeypatch, host=f" {HOST}/ ", password=f" {SECRET}\n").get_config()
    assert (config.api_url, config.token) == (HOST, SECRET)


def test_a_connection_written_as_a_uri_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(
        conn_id="special",
        conn_type="neuro_buckets",
        host="http://127.0.0.1:8080/api/v1",
        password="to/ken+",
        extra='{"cluster_name": "c"}',
    )
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", connection.get_uri())
    config = NeuroBucketsHook("special").get_config()
    assert (config.api_url, config.token, config.cluster_name) == ("http://127.0.0.1:8080/api/v1", "to/ken+", "c")


def test_the_config_blob_of_a_service_account_stands_for_token_host_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = passed(token=SECRET, url=HOST, cluster="cluster", org_name="org", project_name="project")
    config = connect(monkeypatch, password=blob).get_config()
    assert (config.token, config.api_url) == (SECRET, HOST)
    assert (config.cluster_name, config.org_name, config.project_name) == ("cluster", "org", "project")


def test_the_connection_wins_over_the_config_blob_and_the_hook_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = passed(token=SECRET, url="https://other.example.org", cluster="blob", org_name="blob", project_name="blob")
    extra = {"org_name": "connection", "project_name": "connection"}
    connect(monkeypatch, host=HOST, password=blob, extra=extra)
    config = NeuroBucketsHook("special", project_name="hook").get_config()
    assert config.api_url == HOST
    assert (config.cluster_name, config.org_name, config.project_name) == ("blob", "connection", "hook")


@pytest.mark.parametrize("kind", [dict, json.dumps])
def test_persistent_credentials_need_neither_host_nor_token(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    config = connect(monkeypatch, extra={"persistent_credentials_secret": kind(PERSISTENT)}).get_config()
    assert (config.api_url, config.token, config.persistent_credentials) == (None, None, PERSISTENT)


def test_a_configuration_never_shows_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    config = connect(
        monkeypatch, host=HOST, password=SECRET, extra={"persistent_credentials_secret": PERSISTENT}
    ).get_config()
    assert SECRET not in repr(config)
    assert SECRET not in str(config)


# What cannot

NO_NUMBERS: list[Any] = [0, -1, 1.5, float("inf"), True, "many", [SECRET], {}]
TOO_LARGE = 10**400
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no host": ({"password": SECRET}, "host"),
    "a host that is no address": ({"host": f"{SECRET}.example.org", "password": SECRET}, "host"),
    "a host with a password": ({"host": f"https://u:{SECRET}@example.org", "password": SECRET}, "host"),
    "no token": ({"host": HOST}, "token"),
    "a blank password": ({"host": HOST, "password": "  "}, "password"),
    "a password of two words": ({"host": HOST, "password": f"Bearer {SECRET}"}, "password"),
    "a password with a control character": ({"host": HOST, "password": f"{SECRET}\x07"}, "password"),
    "a config blob without a token": ({"host": HOST, "password": passed(url=HOST, secret=SECRET)}, "token"),
    "a config blob with a token of the wrong type": ({"host": HOST, "password": passed(token=[SECRET])}, "token"),
    "an unknown field": ({"host": HOST, "password": SECRET, "extra": {"cluster": SECRET}}, "'cluster'"),
    "a place that is no text": ({"host": HOST, "password": SECRET, "extra": {"org_name": [SECRET]}}, "'org_name'"),
    "an address that is none": ({"password": SECRET, "extra": {"buckets_url": SECRET}}, "buckets_url"),
    "no certificate checks": ({"host": HOST, "password": SECRET, "extra": {"verify": False}}, "'verify'"),
    "no certificate checks as text": ({"host": HOST, "password": SECRET, "extra": {"verify": "False"}}, "'verify'"),
    "keys that are no JSON": (
        {"host": HOST, "password": SECRET, "extra": {"persistent_credentials_secret": "{" + SECRET}},
        "'persistent_credentials_secret'",
    ),
    "keys that are no object": (
        {"host": HOST, "password": SECRET, "extra": {"persistent_credentials_secret": json.dumps([SECRET])}},
        "'persistent_credentials_secret'",
    ),
    "an extra that is no JSON": ({"host": HOST, "password": SECRET, "extra": "{" + SECRET}, "extra"),
    "an extra that is no object": ({"host": HOST, "password": SECRET, "extra": json.dumps([SECRET])}, "extra"),
    **{
        f"{field}={value!r}": ({"host": HOST, "password": SECRET, "extra": {field: value}}, f"'{field}'")
        for field in ("max_concurrency", "max_buffer_bytes", "timeout_seconds", "shared_by")
        for value in NO_NUMBERS
    },
    **{
        f"{field}={value!r:.20}": ({"host": HOST, "password": SECRET, "extra": {field: value}}, f"'{field}'")
        for field in ("max_requests_per_second", "max_bytes_per_second")
        for value in [*NO_NUMBERS, float("nan"), "nan", TOO_LARGE]
        if value != 1.5
    },
}


REFUSES = needs(
    3, 1, reason="refuses such a connection itself, says so in its log, and goes on as if it were not there"
)


@pytest.mark.parametrize(
    "mistake", [pytest.param(name, marks=REFUSES if name.startswith("an extra that") else ()) for name in MISTAKES]
)
def test_a_mistake_is_told_in_one_sentence_that_names_connection_and_field_and_no_value_f107(
    monkeypatch: pytest.MonkeyPatch, mistake: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields, named = MISTAKES[mistake]
    hook = connect(monkeypatch, **fields)
    with pytest.raises(ConfigurationError) as raised:
        hook.get_config()
    told = str(raised.value)
    assert "connection 'special'" in told
    assert named in told
    assert raised.value.remedy
    assert told.count("\n") == 0
    assert SECRET not in told + repr(raised.value) + caplog.text
    assert hook.test_connection() == (False, told)


def test_no_such_connection_says_so_and_what_to_do() -> None:
    hook = NeuroBucketsHook("nobody_made_it")
    with pytest.raises(ConfigurationError, match=r"no Airflow connection 'nobody_made_it'\. Add one"):
        hook.get_config()
    assert hook.test_connection()[0] is False
    with pytest.raises(ConfigurationError, match="nobody_made_it"):
        hook.get("bucket")


async def test_coroutines_get_the_same_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no Airflow connection 'nobody_made_it'"):
        async with NeuroBucketsHook("nobody_made_it").connect():
            pytest.fail("it opened")
    hook = connect(monkeypatch, host=HOST, password=SECRET, extra={"cluster": "c"})
    with pytest.raises(ConfigurationError, match="'cluster'"):
        async with hook.connect():
            pytest.fail("it opened")
