from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials, BucketProvider
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import (
    GcsSigner,
    blob_path,
    endpoint,
    guarded_address,
    hashes,
    meta_of_headers,
    parse_blob,
    parse_listing,
    refusal,
    why_not_held,
)

MD5 = hashlib.md5(b"content").hexdigest()
BLOB = {
    "kind": "storage#object",
    "name": "a/b",
    "size": "7",
    "generation": "1700000000000001",
    "md5Hash": base64.b64encode(hashlib.md5(b"content").digest()).decode(),
    "crc32c": "yZRlqg==",
    "timeCreated": "2026-11-24T13:46:22.377Z",
    "updated": "2026-11-24T13:47:22.5Z",
}


def credentials(**keys: str) -> BucketCredentials:
    return BucketCredentials(bucket_id="bucket-1", provider=BucketProvider.GCP, credentials=keys)


def listing(**fields: Any) -> bytes:
    return json.dumps({"kind": "storage#objects", **fields}).encode()


def test_a_request_goes_to_google_with_the_bearer_token() -> None:
    request = Request(what="cannot look up blob:b/k", method="GET", path=blob_path("a/../b c"), query="fields=name")
    url, headers = GcsSigner().sign(credentials(bucket_name="real.bucket", access_token="ya29.x"), request)
    assert url == "https://storage.googleapis.com/storage/v1/b/real.bucket/o/a%2F..%2Fb%20c?fields=name"
    assert headers == {"Authorization": "Bearer ya29.x"}


def test_a_key_with_braces_is_never_taken_for_the_bucket() -> None:
    request = Request(what="", method="GET", path=blob_path("{bucket}"))
    url, _ = GcsSigner().sign(credentials(bucket_name="real", access_token="ya29.x"), request)
    assert url.endswith("/b/real/o/%7Bbucket%7D")


@pytest.mark.parametrize("missing", ["bucket_name", "access_token"])
def test_credentials_without_what_is_needed_are_named(missing: str) -> None:
    keys = {"bucket_name": "real", "access_token": "ya29.x"} | {missing: ""}
    with pytest.raises(InvalidAnswer, match=missing):
        GcsSigner().sign(credentials(**keys), Request(what="", method="GET", path=blob_path("k")))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "http://localhost:9", "http://[::1]:9", "https://gcs.test"])
def test_an_emulator_is_reached_over_https_or_on_this_machine(address: str) -> None:
    assert endpoint({"endpoint_url": address}) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://storage.example.org",
        "http://169.254.169.254/",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://0.0.0.0:80",
        "ftp://127.0.0.1",
        "https://",
        "https://user:pass@example.org",
        "https://example.org?x=1",
        "https://example.org:notaport",
        "storage.example.org",
        "//example.org",
        "file:///etc/passwd",
    ],
)
def test_no_token_goes_to_an_address_that_does_not_protect_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint_url of the test"):
        guarded_address(address, "endpoint_url of the test")


def test_a_blob_is_read_with_its_generation_as_version() -> None:
    assert parse_blob("a/b", json.dumps(BLOB).encode(), "cannot look up") == (
        BlobMeta(
            key="a/b",
            size=7,
            etag="1700000000000001",
            modified_at=datetime(2026, 11, 24, 13, 47, 22, 500_000, UTC),
            created_at=datetime(2026, 11, 24, 13, 46, 22, 377_000, UTC),
            md5=MD5,
        ),
        "yZRlqg==",
    )


def test_a_blob_of_parts_has_no_md5() -> None:
    answer = {name: value for name, value in BLOB.items() if name != "md5Hash"}
    assert parse_blob("a/b", json.dumps(answer).encode(), "")[0].md5 is None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "storage#bucket"},
        {"kind": None},
        {"name": "another"},
        {"size": "-1"},
        {"size": None},
        {"size": "7.5"},
        {"generation": None},
        {"generation": 17},
    ],
)
def test_an_answer_that_does_not_describe_the_blob_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer, match="cannot look up it"):
        parse_blob("a/b", json.dumps(BLOB | change).encode(), "cannot look up it")


def test_a_time_that_cannot_be_read_is_not_known() -> None:
    answer = json.dumps(BLOB | {"updated": "yesterday", "timeCreated": 3}).encode()
    meta, _ = parse_blob("a/b", answer, "")
    assert (meta.modified_at, meta.created_at) == (None, None)


def test_a_page_tells_blobs_prefixes_and_how_to_go_on() -> None:
    page, token = parse_listing(listing(items=[BLOB], prefixes=["c/"], nextPageToken="t"), "blob:b/")
    assert ([blob.key for blob in page.blobs], page.prefixes, token) == (["a/b"], ["c/"], "t")


def test_an_empty_listing_is_a_listing() -> None:
    page, token = parse_listing(listing(), "blob:b/")
    assert (list(page.blobs), list(page.prefixes), token) == ([], [], None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"{}",
        b"[]",
        b"null",
        b'{"items": []}',
        b"\xff\xfe",
        listing(items={}),
        listing(prefixes="a/"),
        listing(prefixes=[1]),
        listing(items=[None]),
        listing(items=["a"]),
        listing(items=[BLOB | {"name": ""}]),
        listing(items=[BLOB | {"size": "many"}]),
        listing(items=[BLOB | {"size": "-7"}]),
    ],
)
def test_nothing_is_concluded_from_a_200_that_is_no_listing(body: bytes) -> None:
    with pytest.raises(InvalidAnswer, match="cannot list blob:b/"):
        parse_listing(body, "blob:b/")


def test_hashes_are_read_from_one_header_or_from_two() -> None:
    both = {"crc32c": "yZRlqg==", "md5": BLOB["md5Hash"]}
    one = CIMultiDict([("X-Goog-Hash", f"crc32c=yZRlqg==,md5={BLOB['md5Hash']}")])
    two = CIMultiDict([("X-Goog-Hash", "crc32c=yZRlqg=="), ("X-Goog-Hash", f"md5={BLOB['md5Hash']}")])
    assert hashes(CIMultiDictProxy(one)) == hashes(CIMultiDictProxy(two)) == both
    assert hashes({}) == {}


def test_headers_of_content_tell_size_version_and_md5() -> None:
    headers = {
        "X-Goog-Generation": "17",
        "X-Goog-Hash": f"md5={BLOB['md5Hash']}",
        "Last-Modified": "Tue, 24 Nov 2026 13:46:22 GMT",
    }
    modified = datetime(2026, 11, 24, 13, 46, 22, tzinfo=UTC)
    assert meta_of_headers("k", headers, 7) == BlobMeta(key="k", size=7, etag="17", modified_at=modified, md5=MD5)


def test_content_with_a_date_that_cannot_be_read_has_none() -> None:
    assert meta_of_headers("k", {"Last-Modified": "yesterday"}, 7) == BlobMeta(key="k", size=7)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": {"code": 404, "message": "gone", "errors": [{"reason": "notFound"}]}}', ("notFound", "gone")),
        (b'{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}', ("PERMISSION_DENIED", "no")),
        (b"<Error><Code>NoSuchUpload</Code><Message>none</Message></Error>", ("NoSuchUpload", "none")),
        (
            b'{"error": {"message": "Provided hash doesn\'t match calculated MD5", "errors": [{"reason": "invalid"}]}}',
            ("BadDigest", "Provided hash doesn't match calculated MD5"),
        ),
        (b'{"error": "invalid_grant"}', ("", "")),
        (b'{"error": {"errors": [1]}}', ("", "")),
        (b'{"error": null}', ("", "")),
        (b"[]", ("", "")),
        (b"Not Found", ("", "")),
        (b"", ("", "")),
    ],
)
def test_a_refusal_tells_its_reason_in_json_or_in_xml(body: bytes, told: tuple[str, str]) -> None:
    assert refusal(body) == told


@pytest.mark.parametrize("key", [".", "..", "a\nb", "a\rb", ".well-known/acme-challenge/x", "k" * 1025, "\u00e9" * 513])
def test_names_that_google_does_not_take_are_known(key: str) -> None:
    assert why_not_held(key) is not None


@pytest.mark.parametrize("key", ["...", "a/..", "./a", "a\tb", ".well-known/x", "k" * 1024, "\u00e9" * 512])
def test_odd_names_that_google_takes_are_let_through(key: str) -> None:
    assert why_not_held(key) is None
