from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_xml
from airflow_provider_neuro_buckets.buckets.stores.s3_address import bucket_url
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    S3Signer,
    completion,
    deletion,
    encode_key,
    error_in,
    fits_xml,
    md5_of_etag,
    next_token,
    parse_deletion,
    parse_listing,
    text_in,
)

WHERE = "blob://cluster/org/project/bkt/"
KEYS = {
    "bucket_name": "real",
    "endpoint_url": "http://127.0.0.1:9000",
    "region_name": "eu-west-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "the-secret",
    "session_token": "the-token",
}


def credentials(**changes: str) -> BucketCredentials:
    return BucketCredentials(bucket_id="bucket-1", provider="minio", credentials={**KEYS, **changes})


def listing(inner: str) -> bytes:
    return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</ListBucketResult>'.encode()


def one_blob(**fields: str) -> bytes:
    found = {"Key": "key", "Size": "1", **fields}
    return listing("<Contents>" + "".join(f"<{name}>{text}</{name}>" for name, text in found.items()) + "</Contents>")


# Listings


def test_a_listing_gives_its_blobs_and_its_prefixes() -> None:
    page, token = parse_listing(
        listing(
            "<Name>real</Name><Prefix>a/</Prefix><IsTruncated>false</IsTruncated>"
            "<Contents><Key>a/b</Key><LastModified>2026-11-24T13:46:42.000Z</LastModified>"
            "<ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag><Size>12</Size></Contents>"
            "<CommonPrefixes><Prefix>a/c/</Prefix></CommonPrefixes>"
        ),
        WHERE,
    )
    (blob,) = page.blobs
    assert (blob.key, blob.size, blob.etag, blob.md5) == ("a/b", 12, *["9dd4e461268c8034f5c8564e155c67a6"] * 2)
    assert blob.modified_at == datetime(2026, 11, 24, 13, 46, 42, tzinfo=UTC)
    assert list(page.prefixes) == ["a/c/"]
    assert token is None


@pytest.mark.parametrize("place", ["before", "after"])
def test_keys_are_decoded_where_the_answer_says_that_they_are_encoded_wherever_it_says_so(place: str) -> None:
    said = "<EncodingType>url</EncodingType>"
    blob = "<Contents><Key>a+b%2B%20%25</Key><Size>1</Size></Contents>"
    inner = blob + "<CommonPrefixes><Prefix>c+d/</Prefix></CommonPrefixes>"
    page, _ = parse_listing(listing(said + inner if place == "before" else inner + said), WHERE)
    assert (page.blobs[0].key, page.prefixes[0]) == ("a b+ %", "c d/")


def test_keys_are_taken_as_they_are_where_the_answer_does_not_say_that_they_are_encoded() -> None:
    page, _ = parse_listing(one_blob(Key="a+b%20&amp;"), WHERE)
    assert page.blobs[0].key == "a+b%20&"


@pytest.mark.parametrize(
    ("inner", "key"),
    [
        ("<!--<EncodingType>url</EncodingType>-->{}", "a+b%20"),
        ("{}<Other><EncodingType>url</EncodingType></Other>", "a+b%20"),
        ("<EncodingType>ur&#108;</EncodingType>{}", "a b "),
        ('{}<EncodingType xml:lang="en">url</EncodingType>', "a b "),
    ],
)
def test_only_what_the_answer_itself_says_of_its_encoding_counts(inner: str, key: str) -> None:
    page, _ = parse_listing(listing(inner.format("<Contents><Key>a+b%20</Key><Size>1</Size></Contents>")), WHERE)
    assert [blob.key for blob in page.blobs] == [key]


def test_what_lies_deeper_in_a_blob_is_not_taken_for_its_own() -> None:
    inner = "<Key>a</Key><Size>1</Size><Owner><Key>b</Key><Size>2</Size></Owner><Restore><ETag>c</ETag></Restore>"
    page, _ = parse_listing(
        listing(f"<Contents>{inner}</Contents><Contents><Key>d</Key><Size>3</Size></Contents>"), WHERE
    )
    assert [(blob.key, blob.size, blob.etag) for blob in page.blobs] == [("a", 1, None), ("d", 3, None)]


def test_a_blob_has_nothing_of_the_one_before_it() -> None:
    first = '<Key>a</Key><Size>1</Size><ETag>"x"</ETag><LastModified>2026-11-24T13:46:42Z</LastModified>'
    page, _ = parse_listing(
        listing(f"<Contents>{first}</Contents><Contents><Key>b</Key><Size>2</Size></Contents>"), WHERE
    )
    assert (page.blobs[1].etag, page.blobs[1].modified_at) == (None, None)


def test_names_with_a_prefix_of_a_namespace_are_read_likewise() -> None:
    inner = "<s:Contents><s:Key>a</s:Key><s:Size>1</s:Size></s:Contents>"
    page, _ = parse_listing(f'<s:ListBucketResult xmlns:s="http://s3">{inner}</s:ListBucketResult>'.encode(), WHERE)
    assert [blob.key for blob in page.blobs] == ["a"]


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b"<NextContinuationToken>1/a+b=</NextContinuationToken>", "1/a+b="),
        (b"<NextContinuationToken>a&amp;b</NextContinuationToken>", None),
        (b"<NextContinuationToken>\xc3\xa4</NextContinuationToken>", None),
        (b"<NextContinuationToken>a<b/></NextContinuationToken>", None),
        (b"<NextContinuationToken></NextContinuationToken>", None),
        (b"<NextContinuationToken/>", None),
        (b"<NextContinuationToken>a", None),
        (b"", None),
    ],
)
def test_a_token_is_found_ahead_where_it_is_plain(body: bytes, token: str | None) -> None:
    assert next_token(body) == token


def test_white_space_in_a_key_is_part_of_it() -> None:
    page, _ = parse_listing(one_blob(Key="  two \t "), WHERE)
    assert page.blobs[0].key == "  two \t "


@pytest.mark.parametrize("size", ["-1", "", " 1", "1 ", "1.0", "1e3", "0x10", "NaN", "one", "\u0661"])
def test_a_size_that_is_no_size_is_an_invalid_answer_that_names_the_key_f43(size: str) -> None:
    with pytest.raises(InvalidAnswer, match="'key'"):
        parse_listing(one_blob(Size=size), WHERE)


def test_a_blob_without_a_key_is_an_invalid_answer() -> None:
    with pytest.raises(InvalidAnswer):
        parse_listing(one_blob(Key=""), WHERE)


def test_a_size_beyond_all_disks_is_a_number_f43() -> None:
    page, _ = parse_listing(one_blob(Size="9" * 30), WHERE)
    assert page.blobs[0].size == int("9" * 30)


@pytest.mark.parametrize("when", ["", "yesterday", "2026-99-99T00:00:00Z"])
def test_a_blob_is_not_lost_for_a_date_that_cannot_be_read(when: str) -> None:
    page, _ = parse_listing(one_blob(LastModified=when), WHERE)
    assert page.blobs[0].modified_at is None


def test_a_date_without_a_zone_is_in_utc() -> None:
    page, _ = parse_listing(one_blob(LastModified="2026-11-24T13:46:42"), WHERE)
    assert page.blobs[0].modified_at == datetime(2026, 11, 24, 13, 46, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>Sign in to the hotel's network</body></html>",
        b'{"ListBucketResult": {}}',
        b"<ListBucketResult>",
        b"<ListBucketResult></ListBucketResult>trailing",
        b"<ListBucketResult><Contents></ListBucketResult>",
        b"<Error><Code>NoSuchBucket</Code></Error>",
        b"\xff\xfe\x00\x01",
    ],
)
def test_nothing_is_concluded_from_what_is_not_a_listing_f39(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parse_listing(body, WHERE)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_listing_or_end_in_another_error(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parse_listing(body, WHERE)


@pytest.mark.parametrize("token", ["<NextContinuationToken/>", ""])
def test_a_listing_that_goes_on_must_say_where(token: str) -> None:
    with pytest.raises(InvalidAnswer, match="does not say where"):
        parse_listing(listing(f"<IsTruncated>true</IsTruncated>{token}"), WHERE)


def test_a_listing_that_goes_on_gives_the_token_as_it_is() -> None:
    token = "1/a+b%20="
    inner = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    assert parse_listing(listing(inner + "<EncodingType>url</EncodingType>"), WHERE)[1] == token


# XML


def bomb() -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><ListBucketResult>&a9;</ListBucketResult>'.encode()


@pytest.mark.parametrize(
    "body",
    [
        bomb(),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult>&e;</ListBucketResult>',
        b"<ListBucketResult>&undeclared;</ListBucketResult>",
        b"<a>" * 17 + b"</a>" * 17,
    ],
    ids=["bomb", "external", "external entity", "undeclared", "deep"],
)
def test_xml_that_grows_or_reaches_out_is_refused_f44(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parse_xml(body, lambda _path, _text: None)
    with pytest.raises(InvalidAnswer, match=r"doctype|not XML|deeper"):
        parse_listing(body, WHERE)


# Errors, uploads, deletions


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<Error><Code>NoSuchKey</Code><Message>Gone.</Message></Error>", ("NoSuchKey", "Gone.")),
        (b'\n <?xml version="1.0"?><Error><Code>SlowDown</Code></Error>', ("SlowDown", "")),
        (b"<Error><Details><Code>inner</Code></Details><Code>outer</Code></Error>", ("outer", "")),
        (b"<CompleteMultipartUploadResult><Code>x</Code></CompleteMultipartUploadResult>", ("", "")),
        (b"<html>502 Bad Gateway</html>", ("", "")),
        (b"", ("", "")),
        (b"no xml", ("", "")),
        (bomb(), ("", "")),
    ],
)
def test_the_code_and_the_message_of_an_error_document(body: bytes, found: tuple[str, str]) -> None:
    assert error_in(body) == found


def test_one_text_of_an_answer_is_found_behind_the_white_space_of_a_busy_server() -> None:
    assert text_in(b" \n\n<?xml version='1.0'?><R><UploadId>u</UploadId></R>", "R", "UploadId", "what") == "u"


@pytest.mark.parametrize("body", [b"", b"<R/>", b"<R><UploadId/></R>", b"<Other><UploadId>u</UploadId></Other>", b"<"])
def test_an_answer_without_the_text_that_matters_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        text_in(body, "R", "UploadId", "what")


def test_a_completion_names_the_parts_in_the_order_of_their_numbers() -> None:
    parts: list[str] = []
    root = parse_xml(completion({2: "b", 10: "c&", 1: "a"}), lambda path, text: parts.append(f"{path[-1]}={text}"))
    assert root == "CompleteMultipartUpload"
    assert [part for part in parts if "PartNumber" in part or "ETag" in part] == [
        "PartNumber=1",
        'ETag="a"',
        "PartNumber=2",
        'ETag="b"',
        "PartNumber=10",
        'ETag="c&"',
    ]


@given(st.lists(st.text(min_size=1).filter(fits_xml), min_size=1, max_size=5))
def test_every_key_that_fits_xml_is_in_a_deletion_as_it_is(keys: list[str]) -> None:
    found: list[str] = []
    parse_xml(deletion(keys), lambda path, text: found.append(text) if path[-1] == "Key" else None)
    assert found == keys


@pytest.mark.parametrize("key", ["\n", "a\rb", "\x00", "\x1f", "\ufffe", " a", "a ", "a\n", "\u3000a"])
def test_keys_that_xml_would_change_do_not_fit(key: str) -> None:
    assert not fits_xml(key)


def test_only_failures_are_read_from_the_answer_to_a_deletion() -> None:
    body = (
        b"<DeleteResult><Deleted><Key>a</Key></Deleted>"
        b"<Error><Key>b</Key><Code>AccessDenied</Code><Message>No.</Message></Error><Error/></DeleteResult>"
    )
    assert parse_deletion(body, WHERE) == [("b", "AccessDenied", "No."), ("", "", "")]


@pytest.mark.parametrize("body", [b"", b"<html/>", b"<Error><Code>x</Code></Error>"])
def test_what_is_not_the_answer_to_a_deletion_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parse_deletion(body, WHERE)


@pytest.mark.parametrize(
    ("etag", "md5"),
    [
        ("9dd4e461268c8034f5c8564e155c67a6", "9dd4e461268c8034f5c8564e155c67a6"),
        ("9dd4e461268c8034f5c8564e155c67a6-2", None),
        ("9DD4E461268C8034F5C8564E155C67A6", None),
        ("abc", None),
        (None, None),
    ],
)
def test_only_the_etag_of_a_single_part_is_an_md5(etag: str | None, md5: str | None) -> None:
    assert md5_of_etag(etag) == md5


# Addresses and signatures


@given(st.text(min_size=1))
def test_an_encoded_key_decodes_to_itself_and_has_no_character_that_means_anything(key: str) -> None:
    encoded = encode_key(key)
    assert unquote(encoded) == key
    assert not set(encoded) & set("?#[]&=+ \"'<>\\")


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({}, "http://127.0.0.1:9000/real/"),
        ({"endpoint_url": "http://127.0.0.1:9000/"}, "http://127.0.0.1:9000/real/"),
        ({"endpoint_url": "https://s3.amazonaws.com"}, "https://real.s3.amazonaws.com/"),
        ({"endpoint_url": ""}, "https://real.s3.eu-west-1.amazonaws.com/"),
        ({"endpoint_url": "", "region_name": ""}, "https://real.s3.us-east-1.amazonaws.com/"),
        ({"endpoint_url": "", "region_name": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn/real/"),
        ({"endpoint_url": "", "bucket_name": "dotted.name"}, "https://s3.eu-west-1.amazonaws.com/dotted.name/"),
        ({"endpoint_url": "https://s3.amazonaws.com.evil.example"}, "https://s3.amazonaws.com.evil.example/real/"),
    ],
)
def test_the_bucket_is_in_the_host_on_aws_and_in_the_path_elsewhere(keys: dict[str, str], url: str) -> None:
    assert bucket_url({**KEYS, **keys}) == url


@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key", "bucket_name"])
def test_credentials_without_what_signing_needs_are_an_invalid_answer_that_names_it(name: str) -> None:
    with pytest.raises(InvalidAnswer, match=name):
        S3Signer().sign(credentials(**{name: ""}), Request(what="what", method="GET", path="key"))


def test_a_signature_is_the_one_that_botocore_computes_for_the_same_request() -> None:
    url, headers = S3Signer().sign(credentials(), Request(what="what", method="GET", path="a%20b", query="x=1"))
    again = AWSRequest(method="GET", url=url, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    again.context["timestamp"] = headers["X-Amz-Date"]
    again.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    again.headers["X-Amz-Security-Token"] = "the-token"
    auth = S3SigV4Auth(Credentials("AKIDEXAMPLE", "the-secret", "the-token"), "s3", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert headers["X-Amz-Security-Token"] == "the-token"


def test_each_credentials_sign_their_own_requests() -> None:
    signer = S3Signer()
    request = Request(what="what", method="GET", path="key")
    signer.sign(credentials(), request)
    url, headers = signer.sign(credentials(access_key_id="AKIDOTHER", bucket_name="other"), request)
    assert url == "http://127.0.0.1:9000/other/key"
    assert "Credential=AKIDOTHER/" in headers["Authorization"]


def test_a_signed_url_names_its_life_and_its_token_and_never_the_secret() -> None:
    url = S3Signer().presign(credentials(), "a b/c?", seconds=600, skew=0.0)
    query = parse_qs(urlsplit(url).query)
    assert urlsplit(url).path == "/real/a%20b/c%3F"
    assert query["X-Amz-Expires"] == ["600"]
    assert query["X-Amz-Security-Token"] == ["the-token"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert "the-secret" not in url
