"""Copies inside S3 on a crafted server: what is asked, and what is made of answers that no healthy server gives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    Conflict,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    Unavailable,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, CopySource, Site, may_copy_inside
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import site_of
from buckets.stores.s3_scripts import AT_ONCE, BUCKET, Renewals, blob, refusal, store_at
from conformance.rigs.base import describe_keys
from faults.crafted import Answer, Asked, Choice, by_method, crafted, dropping, in_turn, reply

MIB = 1024**2
CONTENT = b"content"
MD5 = hashlib.md5(CONTENT).hexdigest()


async def source_in(store: BlobStore, key: str = "source", *, size: int = 7, etag: str | None = MD5) -> CopySource:
    md5 = etag if etag and "-" not in etag else None
    return CopySource(
        site=await store.site(),
        meta=BlobMeta(key=key, size=size, etag=etag, md5=md5),
        address=store.address(key),
    )


def made(etag: str = MD5, *, root: str = "CopyObjectResult", padding: bytes = b"", **headers: str) -> Answer:
    document = f"<{root}><LastModified>x</LastModified><ETag>&quot;{etag}&quot;</ETag></{root}>"
    return reply(200, padding + document.encode(), {name.replace("_", "-"): text for name, text in headers.items()})


def begun(upload: str = "upload-1") -> Answer:
    body = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
    return reply(200, body.encode())


def completed(etag: str) -> Answer:
    return reply(200, f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode())


def in_parts(part: Choice, *, whole: int) -> Choice:
    """Answer as a server that begins an upload, makes its parts as told, completes and aborts it."""

    def posted(asked: Asked) -> Answer:
        return begun() if asked.query == "uploads=" else completed("whole-3")

    head = reply(200, bytes(whole), {"ETag": '"whole-3"'})
    return by_method(POST=posted, PUT=part, DELETE=in_turn(reply(204)), HEAD=in_turn(head))


async def test_the_request_names_bucket_key_and_version_of_the_source_and_signs_them() -> None:
    async with crafted(in_turn(made())) as server, store_at(server) as store:
        await store.copy_from("to/a b", await source_in(store, "from/é+%?#/x"))
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("PUT", "/real/to/a%20b", b"")
    assert asked.headers["x-amz-copy-source"] == "/real/from/%C3%A9%2B%25%3F%23/x"
    assert asked.headers["x-amz-copy-source-if-match"] == f'"{MD5}"'
    for name in ("x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-tagging-directive"):
        assert name in asked.headers["Authorization"]


async def test_tags_which_need_rights_of_their_own_stay_behind() -> None:
    async with crafted(in_turn(made())) as server, store_at(server) as store:
        await store.copy_from("key", await source_in(store))
    assert server.asked[0].headers["x-amz-tagging-directive"] == "REPLACE"
    assert "x-amz-tagging" not in server.asked[0].headers


async def test_a_blob_without_an_etag_is_copied_as_it_is() -> None:
    async with (
        crafted(by_method(PUT=in_turn(made()), HEAD=in_turn(blob(CONTENT)))) as server,
        store_at(server) as store,
    ):
        made_of = await store.copy_from("key", await source_in(store, etag=None))
    assert "x-amz-copy-source-if-match" not in server.asked[0].headers
    assert (made_of.size, made_of.md5) == (7, MD5)


async def test_an_error_in_a_success_is_an_error_and_tried_again() -> None:
    error = reply(200, b"<Error><Code>InternalError</Code><Message>Busy.</Message></Error>")
    async with crafted(in_turn(error, made())) as server, store_at(server) as store:
        assert (await store.copy_from("key", await source_in(store))).etag == MD5
        assert len(server.asked) == 2
    async with crafted(in_turn(error)) as server, store_at(server) as store:
        with pytest.raises(Unavailable, match="InternalError"):
            await store.copy_from("key", await source_in(store))
        assert len(server.asked) == AT_ONCE.attempts


async def test_a_refusal_in_a_success_is_a_refusal() -> None:
    denied = reply(200, b"  \n<Error><Code>AccessDenied</Code><Message>No.</Message></Error>")
    async with crafted(in_turn(denied)) as server, store_at(server) as store:
        with pytest.raises(PermissionDenied):
            await store.copy_from("key", await source_in(store))
        assert len(server.asked) == 1


async def test_the_white_space_that_a_busy_server_sends_first_is_no_error() -> None:
    async with (
        crafted(in_turn(made(padding=b"<?xml version='1.0'?>" + b" " * 500))) as server,
        store_at(server) as store,
    ):
        assert (await store.copy_from("key", await source_in(store))).etag == MD5


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"<CopyObjectResult></CopyObjectResult>", b"{}"])
async def test_an_answer_that_does_not_tell_of_a_copy_is_none(body: bytes) -> None:
    async with crafted(in_turn(reply(200, body))) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer):
            await store.copy_from("key", await source_in(store))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "PreconditionFailed", Conflict),
        (404, "NoSuchKey", ResourceNotFound),
        (403, "AccessDenied", PermissionDenied),
        (501, "NotImplemented", UnsupportedProvider),
        (400, "InvalidRequest", BadRequest),
    ],
)
async def test_a_refusal_is_asked_once_and_told_with_both_addresses(status: int, code: str, kind: type) -> None:
    async with crafted(in_turn(refusal(status, code))) as server, store_at(server) as store:
        with pytest.raises(kind) as caught:
            await store.copy_from("key", await source_in(store))
        assert len(server.asked) == 1
        for key in ("source", "key"):
            assert store.address(key) in str(caught.value)


async def test_a_lost_answer_is_asked_for_again() -> None:
    async with crafted(in_turn(dropping(), made())) as server, store_at(server) as store:
        await store.copy_from("key", await source_in(store))
        assert len(server.asked) == 2


async def test_credentials_that_ended_are_renewed() -> None:
    async with crafted(in_turn(refusal(400, "ExpiredToken"), made())) as server:
        async with store_at(server, fetch=Renewals(server, "first", "second")) as store:
            await store.copy_from("key", await source_in(store))
        assert [asked.headers["x-amz-security-token"] for asked in server.asked] == ["first", "second"]


async def test_what_the_etag_of_the_copy_proves_is_not_asked_again() -> None:
    parts = "0" * 32 + "-3"
    for etag in (MD5, parts):
        async with crafted(in_turn(made(etag))) as server, store_at(server) as store:
            copied = await store.copy_from("key", await source_in(store, etag=etag))
        assert (copied.size, copied.etag, copied.md5) == (7, etag, MD5 if etag == MD5 else None)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("0" * 32 + "-3", made(MD5)),
        (MD5, made("0" * 32 + "-3")),
        (MD5, made("1" * 32, x_amz_server_side_encryption="aws:kms")),
    ],
    ids=["source of parts", "copy of parts", "encrypted copy"],
)
async def test_what_the_etag_of_the_copy_does_not_prove_is_looked_up(source: str, answer: Answer) -> None:
    async with (
        crafted(by_method(PUT=in_turn(answer), HEAD=in_turn(blob(b"12345")))) as server,
        store_at(server) as store,
    ):
        assert (await store.copy_from("key", await source_in(store, etag=source))).size == 5
        assert [asked.method for asked in server.asked] == ["PUT", "HEAD"]


async def test_the_parts_of_a_large_blob_are_ranges_of_the_same_version_f56() -> None:
    def part(asked: Asked) -> Answer:
        return made(hashlib.md5(asked.query.encode()).hexdigest(), root="CopyPartResult")

    async with crafted(in_parts(part, whole=12 * MIB)) as server, store_at(server) as store:
        store.copy_part = 5 * MIB
        copied = await store.copy_from("key", await source_in(store, size=12 * MIB))
        puts = sorted(server.asked_by("PUT"), key=lambda asked: asked.query)
    assert (copied.size, copied.etag) == (12 * MIB, "whole-3")
    assert [asked.query for asked in puts] == [f"partNumber={number}&uploadId=upload-1" for number in (1, 2, 3)]
    spans = [(0, 5 * MIB), (5 * MIB, 10 * MIB), (10 * MIB, 12 * MIB)]
    assert [asked.headers["x-amz-copy-source-range"] for asked in puts] == [f"bytes={at}-{to - 1}" for at, to in spans]
    assert {asked.headers["x-amz-copy-source-if-match"] for asked in puts} == {f'"{MD5}"'}
    document = next(asked.body for asked in server.asked_by("POST") if asked.query != "uploads=").decode()
    assert [document.index(hashlib.md5(asked.query.encode()).hexdigest()) for asked in puts]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (refusal(412, "PreconditionFailed"), Conflict),
        (reply(200, b"<Error><Code>AccessDenied</Code></Error>"), PermissionDenied),
        (reply(200, b""), InvalidAnswer),
    ],
    ids=["changed", "refused", "empty"],
)
async def test_a_part_that_cannot_be_made_aborts_the_upload(bad: Answer, kind: type) -> None:
    def part(asked: Asked) -> Answer:
        return bad if "partNumber=2" in asked.query else made(root="CopyPartResult")

    async with crafted(in_parts(part, whole=0)) as server, store_at(server) as store:
        store.copy_part = 5 * MIB
        with pytest.raises(kind):
            await store.copy_from("key", await source_in(store, size=12 * MIB))
        assert [asked.query for asked in server.asked_by("DELETE")] == ["uploadId=upload-1"]
        assert len(server.asked_by("POST")) == 1


def site(**keys: str) -> Site:
    given: Mapping[str, str] = {
        "bucket_name": "b",
        "endpoint_url": "https://s3.example.org",
        "access_key_id": "AK",
        "secret_access_key": "SK",
        **keys,
    }
    return site_of(describe_keys(BUCKET, **given))


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"bucket_name": "other"}, True),
        ({"access_key_id": "other"}, True),
        ({"bucket_name": "other", "access_key_id": "other"}, False),
        ({"bucket_name": "other", "session_token": "another session of the key"}, False),
        ({"endpoint_url": "https://s3.example.com"}, False),
        ({"endpoint_url": "http://s3.example.org"}, False),
    ],
    ids=["itself", "one key", "one bucket", "two keys", "two sessions", "two services", "without TLS"],
)
def test_s3_is_asked_where_one_right_covers_both_ends(change: dict[str, str], holds: bool) -> None:  # noqa: FBT001 - an expectation
    assert may_copy_inside(site(), site(**change)) is holds
    assert may_copy_inside(site(**change), site()) is holds


def test_all_regions_of_aws_are_one_service() -> None:
    here, there = (
        site(endpoint_url=f"https://s3.{region}amazonaws.com", bucket_name=region or "b")
        for region in ("", "eu-west-1.")
    )
    assert may_copy_inside(here, there)
