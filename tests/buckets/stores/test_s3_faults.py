"""What the S3 store makes of answers that no healthy server gives."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import zlib

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    Throttled,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores import aborting
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, Proof
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRC_FROM
from airflow_provider_neuro_buckets.buckets.stores.digest import md5
from airflow_provider_neuro_buckets.buckets.transfer import content
from airflow_provider_neuro_buckets.buckets.transfer.content import read_content, read_range, read_resumed
from buckets.stores.s3_scripts import (
    BUCKET,
    SECRET,
    Renewals,
    blob,
    etag_of,
    listing,
    refusal,
    span,
    store_at,
    stored,
)
from conformance.asking import blobs_under, content_of
from faults.crafted import (
    Answer,
    Asked,
    Choice,
    CraftedServer,
    breaking,
    by_method,
    crafted,
    dropping,
    endless,
    in_turn,
    reply,
    silent,
)

CONTENT = b"0123456789" * 1000
DELETED = reply(200, b"<DeleteResult></DeleteResult>")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on where a connection broke does so without a pause."""
    monkeypatch.setattr(content, "FIRST_PAUSE", 0.0)


# What is tried again, and what is not


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_service_that_is_down_for_a_moment_is_asked_again(status: int) -> None:
    async with crafted(in_turn(reply(status), reply(status), blob(CONTENT))) as server, store_at(server) as store:
        assert await content_of(store, "key") == CONTENT
        assert len(server.asked) == 3


@pytest.mark.parametrize(("status", "error"), [(503, Unavailable), (429, Throttled)])
async def test_a_service_that_stays_down_is_asked_a_fixed_number_of_times_f18(
    status: int, error: type[Exception]
) -> None:
    tries = {503: 3, 429: 4}[status]
    async with crafted(in_turn(reply(status))) as server, store_at(server) as store:
        with pytest.raises(error):
            await store.head("key")
        assert len(server.asked) == tries


async def test_reading_a_service_that_stays_down_does_not_multiply_the_tries_f18() -> None:
    async with (
        crafted(by_method(HEAD=in_turn(blob(CONTENT)), GET=in_turn(reply(503)))) as server,
        store_at(server) as store,
    ):
        with pytest.raises(Unavailable):
            _ = [chunk async for chunk in read_content(store, "key")]
        assert len(server.asked_by("GET")) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 405, 411, 413, 416, 501, 505])
async def test_what_will_not_change_is_asked_once(status: int) -> None:
    async with crafted(in_turn(reply(status))) as server, store_at(server) as store:
        with pytest.raises(BucketsError):
            await store.write("key", b"content")
        assert len(server.asked) == 1


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable"])
async def test_the_code_of_s3_decides_before_the_status(code: str) -> None:
    async with crafted(in_turn(refusal(400, code), blob(CONTENT))) as server, store_at(server) as store:
        assert await content_of(store, "key") == CONTENT


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("\u00b2", None), ("", None)])
async def test_the_wait_that_a_server_asks_for_is_told_to_the_retry_policy_f17(
    header: str, seconds: float | None
) -> None:
    once = RetryPolicy(attempts=1, throttled_attempts=1)
    async with (
        crafted(in_turn(reply(503, headers={"Retry-After": header}))) as server,
        store_at(server, retry=once) as store,
    ):
        with pytest.raises(Unavailable) as caught:
            await store.head("key")
        assert caught.value.retry_after == seconds


async def test_a_connection_that_breaks_before_the_answer_is_made_again() -> None:
    async with crafted(in_turn(dropping(), blob(CONTENT))) as server, store_at(server) as store:
        assert await content_of(store, "key") == CONTENT


async def test_nobody_listening_is_an_unavailable_service() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = CraftedServer(in_turn(reply()), url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        async with store_at(server) as store:
            with pytest.raises(Unavailable, match=r"cannot look up blob://.*/key: no connection"):
                await store.head("key")


async def test_silence_ends_a_request() -> None:
    closing = asyncio.Event()
    once = RetryPolicy(attempts=1)
    async with crafted(in_turn(silent(closing))) as server, store_at(server, retry=once, silence=0.1) as store:
        with pytest.raises(Unavailable, match="no answer in time"):
            await store.head("key")
        closing.set()


# Bodies


async def test_a_body_that_breaks_off_is_read_on_from_there_and_only_of_the_same_version_f25() -> None:
    headers = {"ETag": etag_of(CONTENT)}
    choose = by_method(
        HEAD=in_turn(blob(CONTENT)),
        GET=in_turn(
            breaking(CONTENT[:4000], announced=len(CONTENT), headers=headers),
            breaking(
                CONTENT[4000:7000],
                announced=6000,
                status=206,
                headers={**headers, "Content-Range": "bytes 4000-9999/10000"},
            ),
            span(CONTENT, 7000, 10000),
        ),
    )
    async with crafted(choose) as server, store_at(server) as store:
        received = [chunk async for chunk in read_content(store, "key")]
    assert b"".join(received) == CONTENT
    assert [asked.headers.get("Range") for asked in server.asked_by("GET")] == [
        None,
        "bytes=4000-9999",
        "bytes=7000-9999",
    ]
    assert {asked.headers["If-Match"] for asked in server.asked_by("GET")} == {etag_of(CONTENT)}


async def test_a_body_that_breaks_off_and_was_replaced_is_a_conflict() -> None:
    choose = by_method(
        HEAD=in_turn(blob(CONTENT)),
        GET=in_turn(
            breaking(CONTENT[:4000], announced=len(CONTENT), headers={"ETag": etag_of(CONTENT)}),
            refusal(412, "PreconditionFailed"),
        ),
    )
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(Conflict):
            _ = [chunk async for chunk in read_content(store, "key")]


@pytest.mark.usefixtures("at_once")
async def test_a_body_that_breaks_off_again_and_again_without_a_byte_is_given_up_f25() -> None:
    choose = by_method(
        HEAD=in_turn(blob(CONTENT)),
        GET=in_turn(breaking(b"", announced=len(CONTENT), headers={"ETag": etag_of(CONTENT)})),
    )
    async with crafted(choose) as server, store_at(server) as store:
        meta = await store.head("key")
        with pytest.raises(Unavailable):
            _ = [chunk async for chunk in read_resumed(store, meta, 0, meta.size)]
        assert len(server.asked_by("GET")) == 5


WRONG_ANSWERS = {
    "another version": blob(b"of another version"),
    "another size": reply(200, CONTENT[1:], {"ETag": etag_of(CONTENT)}),
    "an error document": reply(200, b"<Error><Code>InternalError</Code></Error>"),
    "no length": endless(headers={"ETag": etag_of(CONTENT)}),
    "a range": span(CONTENT, 0, 10),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_wrong_answer_about_a_blob_that_is_still_the_same_is_asked_again_f21(wrong: Answer, times: int) -> None:
    get = in_turn(*[wrong] * times, blob(CONTENT))
    async with (
        crafted(by_method(HEAD=in_turn(blob(CONTENT)), GET=get)) as server,
        store_at(server) as store,
    ):
        meta = await store.head("key")
        assert await read_range(store, meta, 0, meta.size) == CONTENT
        assert len(server.asked_by("GET")) == times + 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("wrong", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
async def test_a_service_that_always_answers_wrongly_is_left_after_a_few_times_f21(wrong: Answer) -> None:
    async with (
        crafted(by_method(HEAD=in_turn(blob(CONTENT)), GET=in_turn(wrong))) as server,
        store_at(server) as store,
    ):
        meta = await store.head("key")
        with pytest.raises((Conflict, InvalidAnswer)):
            _ = [chunk async for chunk in read_resumed(store, meta, 0, meta.size)]
        assert len(server.asked_by("GET")) == 1 + content.WRONG_ANSWERS


@pytest.mark.parametrize("now", [blob(b"new"), reply(404), reply(403)], ids=["replaced", "gone", "not to be seen"])
async def test_an_answer_about_a_blob_that_may_be_another_by_now_is_taken_for_what_it_says(now: Answer) -> None:
    head = in_turn(blob(CONTENT), now)
    async with (
        crafted(by_method(HEAD=head, GET=in_turn(refusal(412, "PreconditionFailed")))) as server,
        store_at(server) as store,
    ):
        meta = await store.head("key")
        for reading in (
            read_range(store, meta, 0, meta.size),
            anext(read_resumed(store, meta, 0, meta.size)),
        ):
            with pytest.raises(Conflict):
                await reading
        assert [asked.headers["If-Match"] for asked in server.asked_by("GET")].count(etag_of(CONTENT)) == 2


async def test_bytes_that_do_not_have_the_md5_of_the_blob_are_an_error_at_the_end() -> None:
    damaged = b"X" + CONTENT[1:]
    choose = by_method(
        HEAD=in_turn(blob(CONTENT)),
        GET=in_turn(reply(200, damaged, {"ETag": etag_of(CONTENT)})),
    )
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(IntegrityError):
            _ = [chunk async for chunk in read_content(store, "key")]


async def test_an_etag_made_with_keys_of_aws_kms_is_no_md5() -> None:
    kms = {"ETag": etag_of(b"anything"), "x-amz-server-side-encryption": "aws:kms"}
    choose = by_method(HEAD=in_turn(reply(200, CONTENT, kms)), GET=in_turn(reply(200, CONTENT, kms)))
    async with crafted(choose) as server, store_at(server) as store:
        assert b"".join([chunk async for chunk in read_content(store, "key")]) == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        blob(CONTENT),
        reply(200, CONTENT[10:20], {"ETag": etag_of(CONTENT), "Content-Range": "bytes 10-19/10000"}),
        span(CONTENT, 0, 5),
        span(CONTENT, 10, 19),
        span(CONTENT, 11, 21),
        reply(206, CONTENT[10:20], {"ETag": etag_of(CONTENT)}),
        reply(206, CONTENT[10:20], {"ETag": etag_of(CONTENT), "Content-Range": "bytes 10-19/*"}),
        reply(206, CONTENT[10:15], {"ETag": etag_of(CONTENT), "Content-Range": "bytes 10-19/10000"}),
        reply(206, CONTENT[10:20], {"ETag": etag_of(CONTENT), "Content-Range": "lines 10-19/10000"}),
    ],
    ids=[
        "200",
        "200 of the range",
        "other",
        "short",
        "shifted",
        "no Content-Range",
        "no size",
        "fewer bytes",
        "no bytes",
    ],
)
async def test_an_answer_that_is_not_exactly_the_span_is_refused_before_a_byte_of_it_f26_f28(answer: Answer) -> None:
    async with crafted(in_turn(answer)) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer):
            async with store.read("key", span=ByteRange(10, 20)):
                pytest.fail("the block was entered")


async def test_a_version_that_is_not_the_pinned_one_is_a_conflict_also_when_the_server_does_not_compare() -> None:
    async with crafted(in_turn(blob(CONTENT))) as server, store_at(server) as store:
        with pytest.raises(Conflict, match="another version"):
            await content_of(store, "key", etag="0123")


async def test_a_body_that_does_not_say_how_long_it_is_is_refused() -> None:
    async with crafted(in_turn(endless(headers={"ETag": etag_of(CONTENT)}))) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer, match="how long"):
            await content_of(store, "key")


async def test_an_error_document_with_a_success_is_not_taken_for_the_blob_f21() -> None:
    error = reply(200, b"<Error><Code>InternalError</Code></Error>")
    choose = by_method(HEAD=in_turn(blob(CONTENT)), GET=in_turn(error))
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(Conflict):
            _ = [chunk async for chunk in read_content(store, "key")]


async def test_bytes_stored_compressed_are_read_as_they_are_stored_f38() -> None:
    packed = b"\x1f\x8b\x08 not even a whole one"
    async with crafted(in_turn(blob(packed, Content_Encoding="gzip"))) as server, store_at(server) as store:
        assert await content_of(store, "key") == packed
        assert "Accept-Encoding" not in server.asked[0].headers


async def test_an_endless_error_is_cut_off_f47() -> None:
    async with crafted(in_turn(endless(status=403))) as server, store_at(server) as store:
        with pytest.raises(PermissionDenied):
            await content_of(store, "key")


@pytest.mark.parametrize(
    ("etag", "bare"), [('"abc"', "abc"), ('W/"abc"', "abc"), ("abc", "abc"), ('""', None), ("", None)]
)
async def test_an_etag_is_kept_bare(etag: str, bare: str | None) -> None:
    async with crafted(in_turn(reply(200, b"x", {"ETag": etag}))) as server, store_at(server) as store:
        assert (await store.head("key")).etag == bare


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2026 13:48:15 GMT"])
async def test_a_date_that_cannot_be_read_is_no_date(date: str) -> None:
    async with crafted(in_turn(reply(200, b"x", {"Last-Modified": date}))) as server, store_at(server) as store:
        assert (await store.head("key")).modified_at is None


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_nothing_is_told_to_its_target_f51_f110(status: int) -> None:
    async with crafted(in_turn(blob(CONTENT))) as elsewhere:
        headers = {"Location": f"{elsewhere.url}/real/key"}
        async with crafted(in_turn(reply(status, headers=headers))) as server, store_at(server) as store:
            with pytest.raises(InvalidAnswer, match="redirects"):
                await content_of(store, "key")
            with pytest.raises(InvalidAnswer, match="redirects"):
                await store.write("key", b"content")
        assert elsewhere.asked == []


# Credentials that end


def expired_unless(token: str, then: Choice, *, code: str = "ExpiredToken") -> Choice:
    def choose(asked: Asked) -> Answer:
        if asked.headers.get("X-Amz-Security-Token") != token:
            return refusal(400, code) if asked.method != "HEAD" else reply(403)
        return then(asked)

    return choose


async def test_fifty_requests_whose_credentials_end_at_once_renew_them_once_f59() -> None:
    async with crafted(expired_unless("second", in_turn(blob(CONTENT)))) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store:
            contents = await asyncio.gather(*(content_of(store, f"key{number}") for number in range(50)))
        assert set(contents) == {CONTENT}
        assert renewals.count == 2


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "RequestExpired"])
async def test_every_way_to_say_that_credentials_ended_renews_them(code: str) -> None:
    async with crafted(expired_unless("second", in_turn(blob(CONTENT)), code=code)) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store:
            assert await content_of(store, "key") == CONTENT
        assert renewals.count == 2


async def test_renewed_credentials_that_are_refused_as_well_end_the_request_f60() -> None:
    async with crafted(in_turn(refusal(400, "ExpiredToken"))) as server:
        renewals = Renewals(server, "first", "second", "third")
        async with store_at(server, fetch=renewals) as store:
            with pytest.raises(AuthenticationError, match="ExpiredToken"):
                await content_of(store, "key")
        assert renewals.count == 2
        assert len(server.asked) == 2


async def test_revoked_credentials_without_others_are_not_sent_again_f65() -> None:
    async with crafted(in_turn(refusal(403, "InvalidAccessKeyId"))) as server:
        async with store_at(server, fetch=Renewals(server, "only")) as store:
            with pytest.raises(AuthenticationError):
                await content_of(store, "key")
        assert len(server.asked) == 1


async def test_a_denied_permission_renews_nothing_f63() -> None:
    async with crafted(in_turn(refusal(403, "AccessDenied"))) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store:
            with pytest.raises(PermissionDenied):
                await store.write("key", b"content")
        assert renewals.count == 1
        assert len(server.asked) == 1


async def test_a_refused_head_learns_from_a_get_that_the_credentials_ended() -> None:
    choose = by_method(HEAD=in_turn(blob(CONTENT)), GET=in_turn(refusal(412, "PreconditionFailed")))
    async with crafted(expired_unless("second", choose)) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store:
            assert (await store.head("key")).size == len(CONTENT)
        assert renewals.count == 2


async def test_a_refused_head_learns_from_a_get_that_it_is_not_allowed() -> None:
    choose = by_method(HEAD=in_turn(reply(403)), GET=in_turn(refusal(403, "AccessDenied", "Not for you.")))
    async with crafted(choose) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store:
            with pytest.raises(PermissionDenied, match=r"cannot look up .*Not for you"):
                await store.head("key")
        assert renewals.count == 1
        assert [asked.method for asked in server.asked] == ["HEAD", "GET"]


async def test_a_head_that_is_refused_while_a_get_is_not_stays_refused() -> None:
    choose = by_method(HEAD=in_turn(reply(403)), GET=in_turn(refusal(412, "PreconditionFailed")))
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(PermissionDenied):
            await store.head("key")
        assert [asked.method for asked in server.asked] == ["HEAD", "GET", "HEAD"]


async def test_credentials_that_end_during_an_upload_do_not_end_the_upload_f58() -> None:
    parts_seen: list[str] = []

    def choose(asked: Asked) -> Answer:
        token = asked.headers["X-Amz-Security-Token"]
        if asked.query.startswith("uploads"):
            return reply(200, BEGUN)
        if "partNumber=2" in asked.query and token == "first":
            return refusal(400, "ExpiredToken")
        if asked.method == "PUT":
            parts_seen.append(asked.query)
            return stored()(asked)
        return reply(200, COMPLETED)

    async with crafted(choose) as server:
        renewals = Renewals(server, "first", "second")
        async with store_at(server, fetch=renewals) as store, store.multipart("key") as upload:
            for number in (1, 2, 3):
                await upload.put_part(number, b"part")
            await upload.complete()
        assert renewals.count == 2
        assert parts_seen == [f"partNumber={number}&uploadId=the-upload" for number in (1, 2, 3)]


# Writes


async def test_bytes_that_were_damaged_on_the_way_are_sent_once_more_f34() -> None:
    async with crafted(in_turn(refusal(400, "BadDigest"), reply(200))) as server, store_at(server) as store:
        await store.write("key", b"content")
        assert [asked.body for asked in server.asked] == [b"content", b"content"]


@pytest.mark.parametrize("choose", [in_turn(refusal(400, "BadDigest")), stored(etag_of(b"other bytes"))])
async def test_bytes_that_are_damaged_twice_are_an_error_f34(choose: Choice) -> None:
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(IntegrityError):
            await store.write("key", b"content")
        assert len(server.asked_by("PUT")) == 2


async def test_the_md5_of_the_bytes_goes_along_and_is_signed() -> None:
    async with crafted(stored()) as server, store_at(server) as store:
        await store.write("key", b"content")
        (asked,) = server.asked
        assert asked.headers["Content-MD5"] == "mgNkuembtIDdJeHwKEyFVQ=="
        assert "content-md5" in asked.headers["Authorization"]


@pytest.mark.parametrize("refused", [refusal(400, "InvalidRequest"), refusal(501, "NotImplemented")])
async def test_a_service_that_refuses_a_crc32_is_sent_a_large_blob_without_one(refused: Answer) -> None:
    body = bytes(CRC_FROM)
    async with crafted(in_turn(refused, reply(200, b"", {"ETag": etag_of(body)}))) as server, store_at(server) as store:
        assert (await store.write("key", body)).proof is Proof.CHECKSUM
        with_one, without = server.asked_by("PUT")
    assert [asked.body == body and "Content-MD5" in asked.headers for asked in (with_one, without)] == [True, True]
    assert with_one.headers["x-amz-checksum-crc32"] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert "x-amz-checksum-crc32" not in without.headers


@pytest.mark.parametrize(
    "header", [{"x_amz_server_side_encryption": "aws:kms"}, {"x_amz_server_side_encryption": "aws:kms:dsse"}]
)
async def test_a_write_encrypted_with_keys_of_aws_kms_is_not_taken_for_damaged(header: dict[str, str]) -> None:
    async with crafted(stored(etag_of(b"of the cipher"), **header)) as server, store_at(server) as store:
        assert (await store.write("key", b"content")).size == 7
        assert len(server.asked) == 1


# Uploads in parts

BEGUN = b"<InitiateMultipartUploadResult><UploadId>the-upload</UploadId></InitiateMultipartUploadResult>"
COMPLETED = b'<CompleteMultipartUploadResult><ETag>"made-1"</ETag></CompleteMultipartUploadResult>'
GONE = refusal(404, "NoSuchUpload")


def uploading(
    complete: Choice, *, head: Choice | None = None, abort: Choice | None = None, begin: Choice | None = None
) -> Choice:
    begun = begin or in_turn(reply(200, BEGUN))
    choices: dict[str, Choice] = {
        "PUT": stored(),
        "HEAD": head or in_turn(reply(404)),
        "DELETE": abort or in_turn(reply(204)),
        "POST": lambda asked: begun(asked) if asked.query.startswith("uploads") else complete(asked),
    }
    return lambda asked: choices[asked.method](asked)


async def upload_one_part(server: CraftedServer) -> str | None:
    async with store_at(server) as store, store.multipart("key") as upload:
        await upload.put_part(1, CONTENT)
        return (await upload.complete()).etag


async def test_an_error_in_the_clothes_of_a_success_is_tried_again_f22() -> None:
    padded = b" \n \n" + b'<?xml version="1.0"?>' + COMPLETED
    error = reply(200, b"<Error><Code>InternalError</Code><Message>Again.</Message></Error>")
    async with crafted(uploading(in_turn(error, error, reply(200, padded)))) as server:
        assert await upload_one_part(server) == "made-1"
        assert server.asked_by("DELETE") == []


async def test_an_error_in_the_clothes_of_a_success_that_stays_aborts_the_upload() -> None:
    error = reply(200, b"\n<Error><Code>InvalidPart</Code><Message>Wrong.</Message></Error>")
    async with crafted(uploading(in_turn(error))) as server:
        with pytest.raises(BucketsError, match="InvalidPart"):
            await upload_one_part(server)
        assert [asked.query for asked in server.asked_by("DELETE")] == ["uploadId=the-upload"]


async def test_a_completion_whose_answer_was_lost_is_found_at_the_key_f23() -> None:
    made = md5(md5(CONTENT)).hex() + "-1"
    head = in_turn(reply(200, CONTENT, {"ETag": f'"{made}"'}))
    async with crafted(uploading(in_turn(dropping(), GONE), head=head)) as server:
        assert await upload_one_part(server) == made
        assert server.asked_by("DELETE") == []


@pytest.mark.parametrize("found", [blob(CONTENT), blob(b"something else"), reply(404), reply(403)])
async def test_an_upload_that_is_gone_and_not_at_the_key_is_an_error_that_says_so(found: Answer) -> None:
    choose = uploading(in_turn(GONE), head=in_turn(found))
    async with crafted(lambda asked: found if asked.method == "GET" else choose(asked)) as server:
        with pytest.raises(ResourceNotFound, match=r"cannot write .*NoSuchUpload"):
            await upload_one_part(server)


@pytest.mark.parametrize("answer", [reply(403), reply(500), reply(404), dropping()])
async def test_an_abort_that_fails_does_not_hide_why_the_upload_ended_f91(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async with crafted(uploading(in_turn(reply(403)), abort=in_turn(answer))) as server:
        with pytest.raises(PermissionDenied, match="cannot write"):
            await upload_one_part(server)
    assert SECRET not in caplog.text
    assert "first-token" not in caplog.text


async def test_an_abort_that_never_answers_is_given_up_f91(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aborting, "ABORT_SECONDS", 0.05)
    closing = asyncio.Event()
    async with crafted(uploading(in_turn(reply(403)), abort=in_turn(silent(closing)))) as server:
        with pytest.raises(PermissionDenied):
            await upload_one_part(server)
        closing.set()
    assert "the-upload was not aborted" in caplog.text


async def test_an_abort_that_is_stuck_is_sent_again_f91(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aborting, "ABORT_SECONDS", 9.0)
    closing = asyncio.Event()
    abort = in_turn(silent(closing), reply(204))
    async with crafted(uploading(in_turn(reply(403)), abort=abort)) as server:
        with pytest.raises(PermissionDenied):
            await upload_one_part(server)
        closing.set()
        assert len(server.asked_by("DELETE")) == 2
    assert "was not aborted" not in caplog.text


@pytest.mark.parametrize(("part", "aborts"), [(reply(403), 1), (reply(503), 2), (dropping(), 2)])
async def test_an_upload_with_a_part_that_may_still_come_is_aborted_again_after_a_moment_f91(
    part: Answer, aborts: int
) -> None:
    choose = by_method(PUT=in_turn(part), POST=in_turn(reply(200, BEGUN)), DELETE=in_turn(reply(204), GONE))
    async with crafted(choose) as server:
        with pytest.raises(BucketsError):
            await upload_one_part(server)
        assert [asked.query for asked in server.asked_by("DELETE")] == ["uploadId=the-upload"] * aborts


@pytest.mark.parametrize(("body", "aborted"), [(BEGUN, ["uploadId=the-upload"]), (b"<html/>", [])])
async def test_an_upload_that_begins_while_it_is_cancelled_is_aborted(body: bytes, aborted: list[str]) -> None:
    asked, going_on = asyncio.Event(), asyncio.Event()

    def begin(_: Asked) -> Answer:
        async def answer(_: web.Request) -> web.StreamResponse:
            asked.set()
            await going_on.wait()
            return web.Response(body=body)

        return answer

    async with crafted(uploading(in_turn(reply(500)), begin=begin)) as server:
        task = asyncio.create_task(upload_one_part(server))
        await asked.wait()
        task.cancel()
        going_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [asked.query for asked in server.asked_by("DELETE")] == aborted


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"<InitiateMultipartUploadResult/>", b"{}"])
async def test_a_beginning_without_an_upload_is_an_invalid_answer(body: bytes) -> None:
    async with crafted(uploading(in_turn(reply(200)), begin=in_turn(reply(200, body)))) as server:
        with pytest.raises(InvalidAnswer):
            await upload_one_part(server)


# Listings


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>It works!</body></html>",
        b"<!DOCTYPE html><html></html>",
        b'{"Contents": []}',
        b"<ListAllMyBucketsResult/>",
        b"<ListBucketResult><Contents><Key>a</Key>",
        b"<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
    ],
)
async def test_what_is_not_a_listing_deletes_nothing_f39(body: bytes) -> None:
    async with crafted(by_method(GET=in_turn(reply(200, body)), POST=in_turn(DELETED))) as server:
        async with store_at(server) as store:
            with pytest.raises(InvalidAnswer):
                await remove_path(Listing(BUCKET, store), "", recursive=True)
        assert {asked.method for asked in server.asked} == {"GET"}


async def test_a_listing_without_end_is_cut_off_f47() -> None:
    async with crafted(in_turn(endless())) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer, match="more than"):
            await blobs_under(store)


@pytest.mark.parametrize("tokens", [("same",), ("one", "two"), ("one", "two", "three")])
async def test_a_listing_that_goes_round_in_circles_is_left_f40(tokens: tuple[str, ...]) -> None:
    pages = [listing(f"key-{token}", token=token) for token in tokens]
    count = 0

    def choose(_: Asked) -> Answer:
        nonlocal count
        count += 1
        return pages[(count - 1) % len(pages)]

    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer, match="repeats itself"):
            await blobs_under(store)
        assert len(server.asked) <= len(tokens) + 2


async def test_a_listing_that_goes_on_without_saying_where_is_invalid_f40() -> None:
    page = listing("a", extra="<IsTruncated>true</IsTruncated>")
    async with crafted(in_turn(page)) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer, match="does not say where"):
            await blobs_under(store)


async def test_pages_follow_the_token_of_the_one_before() -> None:
    choose = in_turn(listing("a", token="t/1 +"), listing("b", token="2"), listing("c"))
    async with crafted(choose) as server, store_at(server) as store:
        assert [meta.key for meta in await blobs_under(store)] == ["a", "b", "c"]
    assert [asked.query for asked in server.asked] == [
        "encoding-type=url&list-type=2",
        "continuation-token=t%2F1%20%2B&encoding-type=url&list-type=2",
        "continuation-token=2&encoding-type=url&list-type=2",
    ]


async def test_the_next_page_is_on_its_way_while_one_is_handed_over() -> None:
    second_asked = asyncio.Event()

    def choose(asked: Asked) -> Answer:
        if "continuation-token" in asked.query:
            second_asked.set()
            return listing("b")
        return listing("a", token="1")

    async with crafted(choose) as server, store_at(server) as store:
        pages = aiter(store.pages(""))
        await anext(pages)
        await asyncio.wait_for(second_asked.wait(), 60)
        assert [page.blobs[0].key async for page in pages] == ["b"]


async def test_a_chosen_size_of_pages_asks_for_no_page_in_vain() -> None:
    choose = by_method(GET=in_turn(listing("a", token="1"), listing("b")), HEAD=in_turn(blob(CONTENT)))
    async with crafted(choose) as server, store_at(server) as store:
        pages = aiter(store.pages("", page_size=1))
        await anext(pages)
        for _ in range(5):  # time enough for a page that nobody asked for
            await store.head("key")
        assert len(server.asked_by("GET")) == 1
        assert [page.blobs[0].key async for page in pages] == ["b"]
        assert len(server.asked_by("GET")) == 2


# Deletions


async def test_a_thousand_and_one_keys_are_two_requests() -> None:
    async with crafted(by_method(POST=in_turn(DELETED), DELETE=in_turn(reply(204)))) as server:
        async with store_at(server) as store:
            assert await store.delete([f"key{number}" for number in range(1001)]) == {}
        assert [asked.method for asked in server.asked] == ["POST", "POST"]
        assert [asked.body.count(b"<Key>") for asked in server.asked] == [1000, 1]


async def test_keys_that_xml_cannot_carry_go_alone() -> None:
    keys = ["plain", "new\nline", "\x01", " space", "r\rn", "\ufffe"]
    async with crafted(by_method(POST=in_turn(DELETED), DELETE=in_turn(reply(204)))) as server:
        async with store_at(server) as store:
            assert await store.delete(keys) == {}
        assert b"<Key>plain</Key>" in server.asked_by("POST")[0].body
        assert [asked.target for asked in server.asked_by("DELETE")] == [
            "/real/new%0Aline",
            "/real/%01",
            "/real/%20space",
            "/real/r%0Dn",
            "/real/%EF%BF%BE",
        ]


async def test_keys_that_are_not_deleted_come_back_with_the_reason_and_only_they() -> None:
    failed = (
        b"<DeleteResult><Error><Key>denied</Key><Code>AccessDenied</Code><Message>No.</Message></Error>"
        b"<Error><Key>gone</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    )
    async with crafted(in_turn(reply(200, failed))) as server, store_at(server) as store:
        failures = await store.delete(["denied", "gone", "fine"])
    assert {key: type(error) for key, error in failures.items()} == {"denied": PermissionDenied}
    assert "blob://test-cluster/test-org/test-project/models/denied" in str(failures["denied"])


async def test_a_key_that_s3_asks_to_delete_again_is_deleted_again() -> None:
    failed = b"<DeleteResult><Error><Key>busy</Key><Code>InternalError</Code></Error></DeleteResult>"
    choose = by_method(POST=in_turn(reply(200, failed)), DELETE=in_turn(reply(503), reply(204)))
    async with crafted(choose) as server, store_at(server) as store:
        assert await store.delete(["busy", "fine"]) == {}
        assert [asked.target for asked in server.asked_by("DELETE")] == ["/real/busy", "/real/busy"]


@pytest.mark.parametrize("key", ["", "<Key>models/busy</Key>"])
async def test_keys_are_tried_alone_where_nobody_can_tell_which_of_them_was_not_deleted(key: str) -> None:
    failed = f"<DeleteResult><Error>{key}<Code>AccessDenied</Code></Error></DeleteResult>".encode()
    alone = {"/real/busy": refusal(403, "AccessDenied")}
    choose = by_method(POST=in_turn(reply(200, failed)), DELETE=lambda asked: alone.get(asked.target, reply(204)))
    async with crafted(choose) as server, store_at(server) as store:
        failures = await store.delete(["busy", "fine"])
        assert {key: type(error) for key, error in failures.items()} == {"busy": PermissionDenied}
        assert [asked.target for asked in server.asked_by("DELETE")] == ["/real/busy", "/real/fine"]


async def test_an_answer_that_does_not_tell_what_was_deleted_is_invalid() -> None:
    async with crafted(in_turn(reply(200, b"<html/>"))) as server, store_at(server) as store:
        with pytest.raises(InvalidAnswer):
            await store.delete(["a", "b"])


# Secrets


async def test_no_error_and_no_line_of_our_log_holds_a_secret_f109(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="airflow_provider_neuro_buckets")
    shown: list[str] = []
    answers = [reply(500), refusal(403, "SignatureDoesNotMatch"), refusal(400, "ExpiredToken"), dropping(), reply(307)]
    for answer in answers:
        async with crafted(in_turn(answer)) as server, store_at(server) as store:
            for verb in (store.head("key"), store.write("key", b""), store.delete(["a", "b"]), blobs_under(store)):
                with pytest.raises(BucketsError) as caught:
                    await verb
                shown += [repr(caught.value), str(caught.value)]
            shown.append(repr(store))
    text = caplog.text + "".join(shown)
    assert "cannot write blob://" in text
    for secret in (SECRET, "first-token", "AKIDEXAMPLE", "Signature="):
        assert secret not in text
