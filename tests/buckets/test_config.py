from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import BucketsConfig, ConfigurationError
from airflow_provider_neuro_buckets.buckets.config import PassedConfig, read_token

API = "https://api.example.org/api/v1"


def passed(**fields: Any) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.bare.token", PassedConfig(token="a.bare.token")),
        ("  with-space-around\n", PassedConfig(token="with-space-around")),
        ("1234", PassedConfig(token="1234")),
        (base64.b64encode(b'["a list"]').decode(), PassedConfig(token=base64.b64encode(b'["a list"]').decode())),
        (
            passed(token="t", cluster="main", url=API, org_name="acme", project_name="ml", more="ignored"),
            PassedConfig(token="t", api_url=API, cluster_name="main", org_name="acme", project_name="ml"),
        ),
        (passed(token="t", cluster="main", url=API), PassedConfig(token="t", api_url=API, cluster_name="main")),
        (passed(token="t", org_name=None), PassedConfig(token="t")),
    ],
)
def test_a_bare_token_and_a_passed_config_are_both_read(text: str, expected: PassedConfig) -> None:
    assert read_token(text) == expected


def test_a_passed_config_that_was_wrapped_into_lines_is_read() -> None:
    blob = passed(token="t" * 100, cluster="main", url=API)
    assert read_token("\n".join(blob[at : at + 40] for at in range(0, len(blob), 40))).token == "t" * 100


@pytest.mark.parametrize(
    "text",
    [
        passed(cluster="main", url=API, secret="canary"),
        passed(token="", secret="canary"),
        passed(token=["canary"]),
        passed(token="canary", url=3),
        "canary with spaces",
        "canary\x00",
        "canaryä",
    ],
)
def test_what_cannot_be_a_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the password of 'c' .*Paste") as caught:
        read_token(text, origin="the password of 'c'")
    assert "canary" not in repr(caught.value)
    assert text not in repr(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"api_url": "api.example.org"},
        {"api_url": "ftp://api.example.org"},
        {"api_url": "https://user:secret@api.example.org"},
        {"buckets_url": "https://api.example.org/?token=secret"},
        {"buckets_url": "https://["},
        {"api_url": API, "max_concurrency": 0},
        {"api_url": API, "max_buffer_bytes": -1},
        {"api_url": API, "timeout_seconds": 0},
        {"api_url": API, "max_requests_per_second": 0},
        {"api_url": API, "max_requests_per_second": float("nan")},
        {"api_url": API, "max_bytes_per_second": -1.5},
        {"api_url": API, "shared_by": 0},
    ],
)
def test_a_configuration_that_cannot_work_is_refused_when_it_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BucketsConfig(**fields)
    assert "secret" not in str(caught.value)


def test_a_configuration_shows_no_secret_f114() -> None:
    config = BucketsConfig(api_url=API, token="canary", persistent_credentials={"credentials": ["canary"]})
    assert "canary" not in repr(config)
    assert "canary" not in str(PassedConfig(token="canary"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"api_url": API, "token": "t"}, True),
        ({"buckets_url": API}, True),
        ({"api_url": API, "token": "t", "persistent_credentials": {}}, True),
        ({"api_url": API, "persistent_credentials": {}}, False),
        ({"persistent_credentials": {}}, False),
        ({"persistent_credentials": {}, "token": "t"}, False),
    ],
)
def test_a_platform_is_an_address_and_a_token_unless_persistent_credentials_stand_alone(
    fields: dict[str, Any], expected: object
) -> None:
    assert BucketsConfig(**fields).has_platform is expected
