"""From an address to its page in the web console, by the pattern of the connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.hooks.console import console_link

WHOLE = "https://console.example.org/{cluster_name}/{org_name}/{project_name}/{bucket}?at={key}"
AT_HOME = "https://console.example.org/home/acme/ml/lake?at="
ADDRESSES = {
    "blob:lake/raw/a%20b%23.csv": f"{AT_HOME}raw/a%20b%23.csv",
    "blob:lake/raw/": f"{AT_HOME}raw/",
    "blob:lake": AT_HOME,
    "lake": AT_HOME,
    "blob:/other/lake/raw": "https://console.example.org/home/acme/other/lake?at=raw",
    "blob://east/org/other/lake/raw": "https://console.example.org/east/org/other/lake?at=raw",
    "blob:lake/raw/2026/**/*.csv": f"{AT_HOME}raw/2026/",
    "blob:lake/raw/part-?.csv": f"{AT_HOME}raw/",
    "blob:lake/*": AT_HOME,
}


def config(**fields: Any) -> BucketsConfig:
    given = {"cluster_name": "home", "org_name": "acme", "project_name": "ml", "console_url": WHOLE, **fields}
    return BucketsConfig(api_url="https://api.example.org/api/v1", token="token", **given)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_has_a_page(address: str) -> None:
    assert console_link(config(), address) == ADDRESSES[address]


def test_of_several_addresses_the_first_counts() -> None:
    assert console_link(config(), ["lake", "other"]) == console_link(config(), ("lake",)) == AT_HOME
    assert console_link(config(), []) == ""


def test_a_pattern_says_what_it_needs() -> None:
    short = config(console_url="https://console.example.org/buckets/{bucket}", cluster_name=None, org_name=None)
    assert console_link(short, "blob:lake/raw/a") == "https://console.example.org/buckets/lake"
    assert console_link(config(console_url="https://console.example.org"), "lake") == "https://console.example.org"


@pytest.mark.parametrize("place", ["cluster_name", "org_name", "project_name"])
def test_what_only_the_platform_knows_makes_no_link(place: str) -> None:
    assert console_link(config(**{place: None}), "blob:lake/raw") == ""


@pytest.mark.parametrize("address", [None, "", "s3://lake/raw", "blob:", "blob:*", "blob:lake/a#b", "blob:lake/%FF"])
def test_what_is_no_address_makes_no_link(address: Any) -> None:
    assert console_link(config(), address) == ""


def test_without_a_pattern_there_is_no_link() -> None:
    assert console_link(config(console_url=None), "lake") == ""


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("https://console.example.org/{buckets}", "unknown place {buckets}"),
        ("https://console.example.org/{}", "unknown place {}"),
        ("javascript:alert(1)", "not an http(s) address"),
        ("https://", "not an http(s) address"),
        ("https://{bucket}.example.org", "not an http(s) address"),
        (7, "not a text"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told_by_its_field(
    monkeypatch: pytest.MonkeyPatch, pattern: Any, says: str
) -> None:
    connection = {"conn_type": "neuro_buckets", "host": "https://api.example.org/api/v1", "password": "token"}
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", json.dumps({**connection, "extra": {"console_url": pattern}}))
    with pytest.raises(ConfigurationError) as error:
        NeuroBucketsHook("special").get_config()
    assert "'console_url' in the extra of connection 'special'" in str(error.value)
    assert says in str(error.value)
