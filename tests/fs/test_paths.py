from __future__ import annotations

import pytest

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAddress, IsADirectory
from airflow_provider_neuro_buckets.buckets.uri import parse_blob_uri
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.fs.paths import Place, parse_blob, parse_path, split_url, target_of
from conformance.hostile import HOSTILE

KEYS = [key for kind in HOSTILE.values() for key in kind]


@pytest.mark.parametrize(
    ("path", "conn_id", "place"),
    [
        ("blob://bucket/key", None, Place("bucket", "key")),
        ("blob://lake@bucket/key", "lake", Place("bucket", "key")),
        ("bucket/key", "lake", Place("bucket", "key")),
        ("bucket", None, Place("bucket", "")),
        ("bucket/", None, Place("bucket", "")),
        ("blob://", None, Place("", "")),
        ("", None, Place("", "")),
        ("bucket/folder/", None, Place("bucket", "folder")),
        ("blob://bucket/who@where", None, Place("bucket", "who@where")),
        ("bucket//key", None, Place("bucket", "/key")),
    ],
)
def test_a_path_names_a_bucket_and_a_key(path: str, conn_id: str | None, place: Place) -> None:
    assert parse_path(path, conn_id=conn_id) == place


@pytest.mark.parametrize("key", [key for key in KEYS if not key.endswith("/")], ids=ascii)
def test_a_key_stands_in_the_path_as_it_is_and_its_address_leads_back_to_it(key: str) -> None:
    place = parse_blob(f"blob://bucket/{key}", conn_id=None)
    assert (place.key, place.path) == (key, f"bucket/{key}")
    (address,) = parse_blob_uri(place.uri)
    assert (address.bucket, address.key) == ("bucket", key)


@pytest.mark.parametrize("path", ["/bucket/key", "blob:///bucket/key", "/", "bucket/folder//", "bucket//"])
def test_a_path_that_would_be_taken_for_another_is_refused(path: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_path(path, conn_id=None)


@pytest.mark.parametrize("path", ["", "bucket", "blob://bucket/"])
def test_a_bucket_is_no_blob(path: str) -> None:
    with pytest.raises(InvalidAddress, match=r"is not a blob\. Write blob://bucket/key"):
        parse_blob(path, conn_id=None)


def test_a_slash_at_the_end_means_a_folder() -> None:
    with pytest.raises(IsADirectory):
        parse_blob("bucket/folder/", conn_id=None)


@pytest.mark.parametrize("conn_id", [None, "lake"])
def test_a_path_of_another_connection_is_refused_and_never_asked_of_this_one(conn_id: str | None) -> None:
    with pytest.raises(ConfigurationError, match="blob://sea@bucket/key is not on connection"):
        parse_path("blob://sea@bucket/key", conn_id=conn_id)


def test_fsspec_finds_the_connection_in_the_url_and_leaves_it_out_of_the_path() -> None:
    assert split_url("blob://lake@bucket/a@b") == ("lake", "bucket/a@b")
    assert BlobFileSystem._get_kwargs_from_urls("blob://lake@bucket/key") == {"conn_id": "lake"}
    assert BlobFileSystem._get_kwargs_from_urls("blob://bucket/a@b") == {}
    stripped = BlobFileSystem._strip_protocol(["blob://lake@bucket/key/", "bucket/key", "blob://", "blob://@bucket"])
    assert stripped == ["bucket/key", "bucket/key", "", "bucket"]


@pytest.mark.parametrize("path", ["bucket/key", "blob://lake@bucket/a@b#?%20/", "bucket", "bucket//key"])
def test_stripping_a_path_twice_is_stripping_it_once(path: str) -> None:
    once = BlobFileSystem._strip_protocol(path)
    assert BlobFileSystem._strip_protocol(once) == once


@pytest.mark.parametrize(
    ("source", "destination", "is_dir", "target"),
    [
        ("b/file", "b/new", False, "b/new"),
        ("b/file", "b/dir", True, "b/dir/file"),
        ("b/file", "b/new/", False, "b/new/file"),
        ("b/dir/", "b/other", True, "b/other"),
        ("b/dir/", "b/new/", False, "b/new"),
        ("b/dir", "other", True, "other/dir"),
    ],
)
def test_what_is_copied_lands_in_a_folder_that_is_there_or_under_the_new_name(
    source: str, destination: str, *, is_dir: bool, target: str
) -> None:
    assert target_of(source, destination, is_dir=is_dir) == target


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no option 'token'"):
        BlobFileSystem(token="secret")
