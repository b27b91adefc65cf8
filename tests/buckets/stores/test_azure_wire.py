from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials, BucketProvider
from airflow_provider_neuro_buckets.buckets.stores.azure_access import (
    AzureAccess,
    AzureSigner,
    account_name,
    string_to_sign,
)
from airflow_provider_neuro_buckets.buckets.stores.azure_batch import CONTENT_TYPE, deletions, parse_outcomes
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import (
    block_id,
    block_list,
    encode_key,
    meta_of_headers,
    parse_error,
    parse_listing,
    why_not_held,
)
from airflow_provider_neuro_buckets.buckets.stores.direct import Request

MD5 = "XUFAKrxLKna5cZ2REBfFkg=="  # of b"hello"
SAS = "sv=2021-12-02&sr=c&sp=rl&sig=c2VjcmV0"


def credentials(**keys: str) -> BucketCredentials:
    given_keys = {"storage_endpoint": "https://acc.blob.core.windows.net/", "bucket_name": "cont", **keys}
    return BucketCredentials(bucket_id="bucket-1", provider=BucketProvider.AZURE, credentials=given_keys)


def listing(inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{inner}</EnumerationResults>'.encode()


def blob(name: str, properties: str = "<Content-Length>1</Content-Length>") -> str:
    return f"<Blobs><Blob>{name}<Properties>{properties}</Properties></Blob></Blobs>"


# --- keys


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_encoded_key_leads_back_to_the_key_and_needs_no_quoting(key: str) -> None:
    encoded = encode_key(key)
    assert unquote(encoded) == key
    assert not set(encoded) & set(' ?#%"<>\\') - {"%"}


@pytest.mark.parametrize("key", [".", "..", "./a", "a/..", "a/../b", "a.", "a./b", "a/b.", "a\\b", "a\x00", "\x1fa"])
def test_a_key_that_azure_cannot_hold_is_known(key: str) -> None:
    assert why_not_held(key)


@pytest.mark.parametrize("key", ["a", ".hidden", "a.b", "a//b", "/a", "a/", "..a/b", " ", "ключ", "%2e", "\t\n\r"])
def test_a_key_that_azure_keeps_is_not_refused(key: str) -> None:
    assert why_not_held(key) is None


# --- access


def test_a_sas_is_appended_to_the_query_of_a_request_and_its_question_mark_dropped() -> None:
    access = AzureAccess.of(credentials(sas_token=f"?{SAS}"))
    assert access.url("a%20b") == f"https://acc.blob.core.windows.net/cont/a%20b?{SAS}"
    assert access.url("", "comp=list") == f"https://acc.blob.core.windows.net/cont?comp=list&{SAS}"


def test_a_request_with_a_sas_carries_no_other_credential() -> None:
    request = Request(what="w", method="GET", path="a", headers={"Range": "bytes=0-1"})
    _, headers = AzureSigner().sign(credentials(sas_token=SAS), request)
    assert headers == {"Range": "bytes=0-1", "x-ms-version": "2021-12-02"}


def test_the_string_to_sign_is_the_documented_one() -> None:
    text = string_to_sign(
        "GET",
        "https://acc.blob.core.windows.net/cont/a%20b?timeout=20&comp=metadata&prefix=%D0%BA%2F",
        {
            "x-ms-version": "2021-12-02",
            "X-Ms-Date": "Sun, 11 Oct 2026 20:00:00 GMT",
            "Range": "bytes=0-1",
            "Content-Length": "0",
        },
        account="acc",
    )
    assert text == (
        "GET\n\n\n\n\n\n\n\n\n\n\nbytes=0-1\n"
        "x-ms-date:Sun, 11 Oct 2026 20:00:00 GMT\nx-ms-version:2021-12-02\n"
        "/acc/cont/a%20b\ncomp:metadata\nprefix:к/\ntimeout:20"
    )


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("https://acc.blob.core.windows.net", "acc"),
        ("https://acc-secondary.blob.core.windows.net", "acc"),
        ("https://acc.privatelink.blob.core.windows.net", "acc"),
        ("https://acc.z12.blob.storage.azure.net", "acc"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
    ],
)
def test_the_account_is_read_from_the_address(endpoint: str, account: str) -> None:
    assert account_name(endpoint) == account


def test_an_address_without_the_account_is_refused_for_an_account_key_only() -> None:
    with pytest.raises(InvalidAnswer, match="does not name its storage account"):
        AzureAccess.of(credentials(storage_endpoint="https://files.example.com", credential="a2V5"))
    assert AzureAccess.of(credentials(storage_endpoint="https://files.example.com", sas_token=SAS)).sas == SAS


@pytest.mark.parametrize(
    "keys",
    [
        {"credential": "not base64!"},
        {"sas_token": "hunter2"},
        {"sas_token": "sig=hunter2 and more"},
        {"sas_token": "sig=hunter2\r\nEvil: header"},
        {"storage_endpoint": "ftp://hunter2", "sas_token": SAS},
        {"storage_endpoint": "https://user:hunter2@acc.blob.core.windows.net", "sas_token": SAS},
        {},
    ],
)
def test_credentials_that_cannot_be_used_are_refused_without_showing_them(keys: dict[str, str]) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        AzureAccess.of(credentials(**keys))
    assert "hunter2" not in str(caught.value)
    assert "base64!" not in str(caught.value)


def test_a_sas_inside_the_endpoint_is_not_taken_along() -> None:
    access = AzureAccess.of(credentials(storage_endpoint=f"https://acc.blob.core.windows.net/?{SAS}", sas_token=SAS))
    assert access.url("a").count("sig=") == 1


def test_the_repr_of_an_access_shows_neither_the_sas_nor_the_key_f114() -> None:
    shown = repr(AzureAccess.of(credentials(sas_token=SAS))) + repr(AzureAccess.of(credentials(credential="c2VjcmV0")))
    assert "c2VjcmV0" not in shown
    assert "secret" not in shown


# --- refusals


def test_a_refusal_is_read_from_the_header_and_only_the_first_line_of_its_message_is_kept() -> None:
    body = b"<Error><Code>BlobNotFound</Code><Message>No such blob.\nRequestId:1\nTime:2</Message></Error>"
    assert AzureSigner().error_code(body, {"x-ms-error-code": "BlobNotFound"}) == ("BlobNotFound", "No such blob.")
    assert parse_error(b"<html>") == ("", "")


def test_a_message_that_holds_a_signature_is_dropped() -> None:
    body = b"<Error><Code>X</Code><Message>bad query sig=c2VjcmV0</Message></Error>"
    assert AzureSigner().error_code(body, {}) == ("X", "")


def test_a_firewall_is_not_taken_for_ended_credentials_but_azurites_refusal_is() -> None:
    signer = AzureSigner()
    firewall = b"<Error><Code>AuthorizationFailure</Code><Message>This request is not authorized.</Message></Error>"
    azurite = b"<Error><Code>AuthorizationFailure</Code><Message>Server failed to authenticate it</Message></Error>"
    assert not signer.is_expired(403, signer.error_code(firewall, {})[0], "GET")
    assert signer.is_expired(403, signer.error_code(azurite, {})[0], "GET")


# --- listings and headers


def test_a_listing_gives_blobs_prefixes_and_the_marker() -> None:
    properties = (
        "<Creation-Time>Tue, 24 Nov 2026 13:48:15 GMT</Creation-Time>"
        "<Last-Modified>Wed, 25 Nov 2026 13:48:15 GMT</Last-Modified>"
        f"<Etag>0x1C</Etag><Content-Length>5</Content-Length><Content-MD5>{MD5}</Content-MD5>"
    )
    inner = (
        "<Prefix/><Blobs><BlobPrefix><Name>d/</Name></BlobPrefix>"
        f"<Blob><Name> a&amp;b </Name><Properties>{properties}</Properties></Blob></Blobs><NextMarker>m</NextMarker>"
    )
    page, marker = parse_listing(listing(inner), "blob:bkt/")
    assert (page.prefixes, marker) == (["d/"], "m")
    [meta] = page.blobs
    assert (meta.key, meta.size, meta.etag, meta.md5) == (" a&b ", 5, "0x1C", "5d41402abc4b2a76b9719d911017c592")
    assert meta.created_at == datetime(2026, 11, 24, 13, 48, 15, tzinfo=UTC)
    assert meta.modified_at == datetime(2026, 11, 25, 13, 48, 15, tzinfo=UTC)


def test_names_that_xml_cannot_hold_are_decoded_and_others_left_as_they_are() -> None:
    encoded, plain = '<Name Encoded="true">a%EF%BF%BE%25</Name>', "<Name>a%25</Name>"
    prefix = '<Blobs><BlobPrefix><Name Encoded="true">p%EF%BF%BF/</Name></BlobPrefix></Blobs>'
    page, _ = parse_listing(listing(blob(encoded) + blob(plain) + prefix), "blob:bkt/")
    assert [meta.key for meta in page.blobs] == ["a\ufffe%", "a%25"]
    assert page.prefixes == ["p\uffff/"]


def test_metadata_tags_and_the_properties_of_a_prefix_are_not_taken_for_those_of_a_blob() -> None:
    other = "<Name>other</Name><Content-Length>9</Content-Length><Etag>other</Etag>"
    held = "<Properties><Etag>0x1C</Etag><Content-Length>5</Content-Length></Properties>"
    inner = (
        f"<Blobs>\n <BlobPrefix>\n  <Name>d/</Name>\n  <Properties>{other}</Properties>\n </BlobPrefix>\n"
        f" <Blob>\n  <Metadata>{other}</Metadata>\n  <Name>a</Name>\n  {held}\n"
        f"  <Tags><TagSet>{other}</TagSet></Tags>\n  <OrMetadata>{other}</OrMetadata>\n </Blob>\n</Blobs>"
    )
    page, marker = parse_listing(listing(inner), "blob:bkt/")
    assert (page.prefixes, marker) == (["d/"], None)
    assert [(meta.key, meta.size, meta.etag) for meta in page.blobs] == [("a", 5, "0x1C")]
    nameless = "<Blobs><BlobPrefix><Name>d/</Name></BlobPrefix><Blob><Properties></Properties></Blob></Blobs>"
    with pytest.raises(InvalidAnswer, match="has the key ''"):
        parse_listing(listing(nameless), "blob:bkt/")


def test_directories_of_a_hierarchical_account_are_no_blobs() -> None:
    directory = "<ResourceType>directory</ResourceType><Content-Length>0</Content-Length>"
    page, _ = parse_listing(listing(blob("<Name>d</Name>", directory) + blob("<Name>d/a</Name>")), "blob:bkt/")
    assert [meta.key for meta in page.blobs] == ["d/a"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>welcome</body></html>",
        b'{"blobs": []}',
        b"<Error><Code>ServerBusy</Code></Error>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><EnumerationResults/>',
        listing("<Blobs>")[:-1],
        listing(blob("<Name>a</Name>", "<Content-Length>-1</Content-Length>")),
        listing(blob("<Name>a</Name>", "")),
        listing(blob("<Name></Name>")),
    ],
)
def test_nothing_is_concluded_from_what_is_not_a_listing(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parse_listing(body, "blob:bkt/")


def test_the_md5_of_a_range_is_never_taken_for_that_of_the_blob() -> None:
    headers = {"Content-Range": "bytes 0-4/9", "Content-MD5": MD5}
    assert meta_of_headers("a", headers, 9).md5 is None
    assert meta_of_headers("a", {**headers, "x-ms-blob-content-md5": MD5}, 9).md5 == "5d41402abc4b2a76b9719d911017c592"


# --- parts and batches


def test_names_of_blocks_have_one_length_and_differ_between_parts_and_uploads() -> None:
    names = [block_id("0123456789abcdef", number) for number in (1, 2, 9, 10, 50_000)]
    assert len({len(name) for name in names}) == 1
    assert len(set(names)) == 5
    assert block_id("fedcba9876543210", 1) not in names
    assert block_list(["QQ=="]).endswith(b"<BlockList><Latest>QQ==</Latest></BlockList>")


def test_each_deletion_of_a_batch_is_authorised_by_itself() -> None:
    with_sas = deletions(AzureAccess.of(credentials(sas_token=SAS)), ["a", "b%20c"]).decode()
    assert f"DELETE /cont/a?{SAS} HTTP/1.1\r\n" in with_sas
    assert f"DELETE /cont/b%20c?{SAS} HTTP/1.1\r\n" in with_sas
    with_key = deletions(AzureAccess.of(credentials(credential="c2VjcmV0")), ["a", "b"]).decode()
    assert with_key.count("Authorization: SharedKey acc:") == 2
    assert with_key.count("x-ms-date: ") == 2


def test_the_answer_to_a_batch_is_read_by_number_whatever_the_order() -> None:
    body = (
        b"--b1\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nHTTP/1.1 404 Not there\r\n"
        b"x-ms-error-code: BlobNotFound\r\n\r\n<Error/>\r\n--b1\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n"
        b"--b1\r\nContent-ID: 2\r\n\r\nHTTP/1.1 503 Busy\r\nx-ms-error-code: ServerBusy\r\n\r\n--b1--"
    )
    outcomes = parse_outcomes(body, 'multipart/mixed; boundary="b1"')
    assert {number: outcome.is_gone for number, outcome in outcomes.items()} == {0: True, 1: True, 2: False}
    assert not outcomes[2].is_final


@pytest.mark.parametrize("content_type", ["", "text/html", "multipart/mixed"])
def test_what_is_not_the_answer_to_a_batch_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidAnswer):
        parse_outcomes(b"<html>", content_type)


def test_the_boundary_of_a_batch_is_the_one_it_announces() -> None:
    boundary = CONTENT_TYPE.partition("boundary=")[2]
    body = deletions(AzureAccess.of(credentials(sas_token=SAS)), ["a", "b"]).decode()
    assert body.count(f"--{boundary}\r\n") == 2
    assert body.endswith(f"--{boundary}--\r\n")
