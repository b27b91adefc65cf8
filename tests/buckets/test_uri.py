from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.uri import (
    BlobAddress,
    BlobPath,
    blob_uri,
    bucket_uri,
    check_name,
    is_blob_uri,
    is_bucket_id,
    local_path,
    parse_blob_pattern,
    parse_blob_uri,
)

BUCKET = bucket_uri(cluster="default", org="acme", project="ml", bucket="data")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blob:bkt/key", BlobAddress(bucket="bkt", key="key")),
        ("blob:bkt", BlobAddress(bucket="bkt", key="")),
        ("blob:bkt/a/b/", BlobAddress(bucket="bkt", key="a/b/")),
        ("blob:bkt//a", BlobAddress(bucket="bkt", key="/a")),
        ("blob:/proj/bkt/key", BlobAddress(bucket="bkt", key="key", project="proj")),
        ("blob:///proj/bkt/key", BlobAddress(bucket="bkt", key="key", project="proj")),
        ("blob:////proj/bkt", BlobAddress(bucket="bkt", key="", project="proj")),
        ("blob:bkt/my%20file", BlobAddress(bucket="bkt", key="my file")),
        ("blob:bkt/a%252Fb", BlobAddress(bucket="bkt", key="a%2Fb")),
        ("blob:bkt/a+b&c=d", BlobAddress(bucket="bkt", key="a+b&c=d")),
        ("BLOB:bkt/key", BlobAddress(bucket="bkt", key="key")),
    ],
)
def test_relative_addresses(text: str, expected: BlobAddress) -> None:
    assert parse_blob_uri(text) == [expected]


def test_a_complete_address_is_read_with_org_and_project_first_and_with_an_owner_second() -> None:
    assert parse_blob_uri("blob://Cluster/org/proj/bkt/some/key") == [
        BlobAddress(bucket="bkt", key="some/key", cluster="cluster", org="org", project="proj"),
        BlobAddress(bucket="proj", key="bkt/some/key", cluster="cluster", owner="org"),
    ]


def test_an_address_of_three_parts_can_only_have_an_owner() -> None:
    assert parse_blob_uri("blob://cluster/alice/bkt") == [
        BlobAddress(bucket="bkt", key="", cluster="cluster", owner="alice")
    ]


def test_a_url_is_decoded_once() -> None:
    assert parse_blob_uri(URL("blob:bkt/my file 100%/é"))[0].key == "my file 100%/é"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/key",
        "bucket/key",
        "blob:",
        "blob:/",
        "blob:/proj",
        "blob://cluster",
        "blob://cluster/org",
        "blob:bkt/key?x=1",
        "blob:bkt/key#part",
        "blob://user@cluster/o/p/b/k",
        "blob://cluster:80/o/p/b/k",
        "blob:~user/key",
        "blob:bkt/%ff",
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        parse_blob_uri(text)
    assert caught.value.remedy


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_address_of_a_key_leads_back_to_the_key(key: str) -> None:
    address = parse_blob_uri(blob_uri(BUCKET, key))[0]
    assert (address.key, address.bucket, address.project) == (key, "data", "ml")


@pytest.mark.parametrize("key", ["../up", "a/./b", "..", ".", "a//b", "/lead", "q?x", "h#x", "a b", "a%20b", "trail/"])
def test_keys_that_urls_like_to_change_stay_apart(key: str) -> None:
    assert parse_blob_uri(str(blob_uri(BUCKET, key)))[0].key == key


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_keys_have_different_addresses(one: str, other: str) -> None:
    if one != other and one.isascii() and other.isascii():
        assert str(blob_uri(BUCKET, one)) != str(blob_uri(BUCKET, other))


def test_a_service_account_as_owner_keeps_its_slashes() -> None:
    uri = bucket_uri(cluster="c", org=None, project="alice/service-accounts/ci", bucket="bkt")
    assert str(uri) == "blob://c/alice/service-accounts/ci/bkt"


def test_a_pattern_is_raw_as_text_and_decoded_as_url() -> None:
    assert parse_blob_pattern("blob:bkt/d/*.t?t")[0].key == "d/*.t?t"
    assert parse_blob_pattern("blob:bkt/%3F")[0].key == "%3F"
    assert parse_blob_pattern(URL("blob:bkt/d/%3F%5Bab]"))[0].key == "d/?[ab]"


def test_a_pattern_stays_inside_one_bucket() -> None:
    with pytest.raises(InvalidAddress, match="wildcard in the bucket"):
        parse_blob_pattern("blob:b*/x")


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("data/x", Path("data/x")),
        (Path("/abs"), Path("/abs")),
        (URL("file:///tmp/a%20b"), Path("/tmp/a b")),
        ("file:///tmp/a%20b", Path("/tmp/a b")),
        ("/tmp/a%20b", Path("/tmp/a%20b")),
        (URL("file:rel"), Path("rel")),
        ("C#", Path("C#")),
    ],
)
def test_local_paths(given_path: str | Path | URL, expected: Path) -> None:
    assert local_path(given_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "file:",
        "file://[x",
        "file://host/x",
        "s3://b/k",
        "file:///x?y",
        URL(),
        URL("blob:b/k"),
        URL("file://h/p"),
    ],
)
def test_what_is_no_local_path_is_refused(text: str | URL) -> None:
    with pytest.raises(InvalidAddress):
        local_path(text)


@pytest.mark.parametrize("name", ["abc", "my-bucket_2", "a" * 40])
def test_names_the_platform_accepts(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "ab", "a" * 41, "1abc", "Abc", "ends-", "ends_", "has space", "a.b.c"])
def test_names_the_platform_does_not_accept(name: str) -> None:
    with pytest.raises(InvalidAddress, match="3 to 40"):
        check_name(name)


def test_a_pattern_is_read_only_as_long_as_its_bucket_has_no_wildcard() -> None:
    assert [reading.bucket for reading in parse_blob_pattern("blob://c/bob/data/*.csv")] == ["data"]
    assert [reading.bucket for reading in parse_blob_pattern("blob://c/acme/ml/data/*.csv")] == ["data", "ml"]


@pytest.mark.parametrize(
    ("uri", "nouns", "key"),
    [
        ("blob://c/acme/ml/data/a%20b//c", ["acme", "ml", "data"], "a b//c"),
        ("blob://c/acme/ml/data", ["acme", "ml", "data"], ""),
        ("blob://c/acme/ml/data/", ["acme", "ml", "data"], ""),
        ("blob:/ml/data/k", ["acme", "ml", "data"], "k"),
        ("blob:/bob/data/k", ["bob", "data"], "k"),
        ("blob:/bob/service-accounts/ci/data/k", ["bob", "service-accounts", "ci", "data"], "k"),
        ("blob://c/acme/ml/data2/k", ["acme", "ml", "data"], None),
        ("blob://c/acme/ml", ["acme", "ml", "data"], None),
        ("blob://c/acme%2Fml/data/k", ["acme", "ml", "data"], None),
    ],
)
def test_a_path_leads_into_a_bucket_at_the_boundary_of_a_segment_or_not_at_all(
    uri: str, nouns: list[str], key: str | None
) -> None:
    path = BlobPath.of(uri)
    assert path is not None
    assert path.key_in([nouns], has_org=nouns[0] == "acme") == key


def test_the_pattern_behind_a_bucket_stays_raw_as_text_and_is_decoded_as_a_url() -> None:
    for uri, expected in (("blob://c/bob/data/%5B*", "%5B*"), (URL("blob://c/bob/data/%5B*"), "[*")):
        path = BlobPath.of(uri, is_pattern=True)
        assert path is not None
        assert path.key_in([["bob", "data"]], has_org=False) == expected
    path = BlobPath.of("blob://c/bob/data/d/x?.csv/more", is_pattern=True)
    assert path is not None
    assert path.plain == "bob/data/d"


def test_an_address_relative_to_the_project_leaves_nothing_open() -> None:
    assert BlobPath.of("blob:data/key") is None


def test_an_id_is_told_from_a_name_and_an_address_from_both() -> None:
    assert is_bucket_id("bucket-11111111-2222-4333-8444-555555555555")
    assert not any(map(is_bucket_id, ["bucket-1", "data", "bucket-11111111-2222-4333-8444-55555555555Z"]))
    assert all(is_blob_uri(text) for text in ("blob:data", "BLOB://c/o/p/data", URL("blob:data")))
    assert not any(is_blob_uri(text) for text in ("blob", "blobs", "data", "bucket-1"))
