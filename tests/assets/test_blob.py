"""Addresses as assets: one identity whatever connection or spelling, through Airflow's own classes."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.providers.openlineage.utils.utils import translate_airflow_asset
from airflow.sdk import Asset

from airflow_here import AssetsOfProviders
from airflow_provider_neuro_buckets.assets.blob import create_asset, dataset_of, sanitize_uri
from airflow_provider_neuro_buckets.buckets.uri import parse_blob_uri

CONN_ID_DROPPED = pytest.mark.filterwarnings("ignore:An Asset URI should not contain auth:UserWarning")
"""Airflow 3.0 drops it as we do, and says so."""


@CONN_ID_DROPPED
@pytest.mark.parametrize(
    ("written", "identity"),
    [
        ("blob://bkt/folder/a.csv", "blob://bkt/folder/a.csv"),
        ("blob:bkt/folder/a.csv", "blob://bkt/folder/a.csv"),
        ("blob://conn@bkt/folder/a.csv", "blob://bkt/folder/a.csv"),
        ("BLOB://Conn_Id@bkt/Case.CSV", "blob://bkt/Case.CSV"),
        ("blob:bkt/folder/", "blob://bkt/folder"),
        ("blob:bkt", "blob://bkt"),
        ("blob:bkt/", "blob://bkt"),
        ("blob://bkt/a b.csv", "blob://bkt/a%20b.csv"),
        ("blob://bkt/a%20b.csv", "blob://bkt/a%20b.csv"),
        ("blob://bkt/what%3F", "blob://bkt/what%3F"),
        ("blob://bkt/ключ", "blob://bkt/%D0%BA%D0%BB%D1%8E%D1%87"),
        ("blob://bkt//a//b", "blob://bkt//a//b"),
        ("blob://cluster/org/project/bkt/key", "blob://cluster/org/project/bkt/key"),
    ],
)
def test_an_address_is_the_asset_of_its_blob_however_it_is_written(written: str, identity: str) -> None:
    assert Asset(name="any", uri=written).uri == identity
    assert Asset(uri=identity).uri == identity


def test_different_keys_are_different_assets() -> None:
    keys = ["a", "A", "/a", "a//b", "a/b", "a%2520", "a%20", "a+b", "a%3Fb", "a%23b", "a;b", "a%25"]
    assert len({Asset(uri=f"blob://bkt/{key}").uri for key in keys}) == len(keys)


def test_an_asset_of_a_blob_is_an_address_of_it() -> None:
    asset = Asset(uri="blob:bkt/dir/a b%3F.csv")
    address = parse_blob_uri(asset.uri.replace("blob://", "blob:"))[0]
    assert (address.bucket, address.key) == ("bkt", "dir/a b?.csv")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [("blob://bkt/a?b=1", "write '.' as %3F"), ("blob:", "names no bucket"), ("blob:///key", "names no bucket")],
)
def test_what_is_no_address_is_refused_when_the_dag_is_parsed(wrong: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Asset(uri=wrong)


def test_airflow_knows_the_scheme() -> None:
    manager = AssetsOfProviders()
    assert manager.asset_factories["blob"] is create_asset
    assert manager.asset_uri_handlers["blob"] is sanitize_uri


def test_the_factory_keeps_what_it_is_told() -> None:
    asset = create_asset(uri="blob:bkt/key", extra={"rows": 3})
    assert (asset.uri, asset.extra) == ("blob://bkt/key", {"rows": 3})


def test_the_factory_calls_an_asset_as_its_uri_in_letters_that_every_airflow_takes_as_a_name() -> None:
    asset = create_asset(uri="blob:bkt/ключ")
    assert asset.name == asset.uri == "blob://bkt/%D0%BA%D0%BB%D1%8E%D1%87"


@CONN_ID_DROPPED
@pytest.mark.parametrize(
    ("uri", "dataset"),
    [
        ("blob:bkt/folder/a b.csv", ("blob://bkt", "folder/a b.csv")),
        ("blob:bkt", ("blob://bkt", "/")),
        ("blob://conn@bkt/folder/", ("blob://bkt", "folder")),
        ("blob://cluster/org/project/bkt/key", ("blob://cluster", "org/project/bkt/key")),
    ],
)
def test_openlineage_knows_it_as_the_key_of_the_bucket(uri: str, dataset: tuple[str, str]) -> None:
    made = dataset_of(uri)
    assert (made.namespace, made.name) == dataset
    translated = translate_airflow_asset(Asset(uri=uri), None)
    assert translated is not None
    assert (translated.namespace, translated.name) == dataset


def test_sanitizing_twice_changes_nothing() -> None:
    once = sanitize_uri(urlsplit("blob://c@bkt/a%2Fb c"))
    assert sanitize_uri(once) == once
