"""What the GCS store makes of answers that no healthy server gives."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    BucketsError,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    Throttled,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange
from conformance.asking import blobs_under, content_of
from conformance.rigs.base import IMPATIENT
from conformance.rigs.gcp_script import TOKEN, Answer, answer, broken, described, refusal, scripted

MISMATCH = 'Provided MD5 hash "x" doesn\'t match calculated MD5 hash "y".'


async def test_what_the_service_says_it_holds_is_compared_with_what_was_sent_f34() -> None:
    async with scripted(described("blob", b"c0ntent"), described("blob", b"content")) as (store, script):
        assert (await store.write("blob", b"content")).md5 == hashlib.md5(b"content").hexdigest()
        assert len(script.seen) == 2


@pytest.mark.parametrize("second", [described("blob", b"c0ntent", generation="18"), refusal(400, "invalid", MISMATCH)])
async def test_wrong_bytes_that_the_service_made_of_a_blob_do_not_stay_there_f34(second: Answer) -> None:
    first = described("blob", b"c0ntent", generation="18")
    async with scripted(first, second, answer(204)) as (store, script):
        with pytest.raises(IntegrityError):
            await store.write("blob", b"content")
        assert script.said[2:] == ["DELETE /storage/v1/b/real/o/blob?ifGenerationMatch=18"]


@pytest.mark.parametrize(
    ("deletion", "told"),
    [
        (answer(204), "the wrong bytes were deleted"),
        (refusal(403, "forbidden"), "the wrong bytes may still be there"),
        (refusal(412, "conditionNotMet"), ""),
        (refusal(404, "notFound"), ""),
    ],
    ids=["deleted", "may not be deleted", "another writer", "gone"],
)
async def test_what_becomes_of_wrong_bytes_is_told_f34(
    deletion: Answer, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted(described("blob", b"c0ntent"), described("blob", b"c0ntent"), deletion) as (store, _):
        with pytest.raises(IntegrityError):
            await store.write("blob", b"content")
    assert told in caplog.text
    assert bool(told) is ("the wrong bytes" in caplog.text)


async def test_bytes_that_the_service_refuses_as_damaged_are_sent_once_more_f34() -> None:
    async with scripted(refusal(400, "invalid", MISMATCH), described("blob", b"content")) as (store, _):
        await store.write("blob", b"content")
    async with scripted(refusal(400, "invalid", MISMATCH)) as (store, script):
        with pytest.raises(IntegrityError):
            await store.write("blob", b"content")
        assert len(script.seen) == 2


async def test_a_write_sends_its_name_and_md5_along_and_the_bytes_untouched() -> None:
    content = bytes(range(256)) * 2048
    async with scripted(described("a\u00e9\U0001f600/b", content)) as (store, script):
        await store.write("a\u00e9\U0001f600/b", memoryview(content))
    (seen,) = script.seen
    boundary = seen.headers["Content-Type"].partition("boundary=")[2].encode()
    _, metadata, body, end = seen.body.split(b"--" + boundary)
    assert json.loads(metadata.partition(b"\r\n\r\n")[2]) == {
        "name": "a\u00e9\U0001f600/b",
        "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
    }
    assert body.partition(b"\r\n\r\n")[2] == content + b"\r\n"
    assert end == b"--\r\n"
    assert int(seen.headers["Content-Length"]) == len(seen.body)
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"


async def test_an_answer_about_another_blob_is_not_taken() -> None:
    async with scripted(described("other", b"content")) as (store, _):
        with pytest.raises(InvalidAnswer, match="other"):
            await store.write("blob", b"content")
        with pytest.raises(InvalidAnswer, match="other"):
            await store.head("blob")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed_with_the_token_f51(status: int) -> None:
    async with scripted(described("blob", b"content")) as (_, elsewhere):
        async with scripted(answer(status, Location=f"{elsewhere.endpoint}/storage/v1/b/real/o")) as (store, script):
            for call in (store.head("blob"), store.write("blob", b""), content_of(store, "blob"), blobs_under(store)):
                with pytest.raises(InvalidAnswer, match="redirects"):
                    await call
            assert len(script.seen) == 4
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("refused", "error", "requests"),
    [
        (refusal(400, "invalid"), BadRequest, 1),
        (refusal(403, "forbidden"), PermissionDenied, 1),
        (refusal(403, "rateLimitExceeded"), Throttled, 3),
        (refusal(403, "userRateLimitExceeded"), Throttled, 3),
        (refusal(404, "notFound"), ResourceNotFound, 1),
        (refusal(412, "conditionNotMet"), Conflict, 1),
        (refusal(429, "rateLimitExceeded"), Throttled, 3),
        (refusal(500, "internalError"), Unavailable, 3),
        (refusal(503, "backendError"), Unavailable, 3),
        (answer(502, body=b"<html>Bad Gateway</html>"), Unavailable, 3),
    ],
)
async def test_a_refusal_is_told_by_what_it_means_and_tried_again_where_that_helps(
    refused: Answer, error: type[BucketsError], requests: int
) -> None:
    async with scripted(refused) as (store, script):
        with pytest.raises(error, match="blob:") as caught:
            await store.head("a/b")
        assert len(script.seen) == requests
    assert TOKEN not in repr(caught.value)


async def test_a_refusal_that_passes_is_got_over() -> None:
    async with scripted(broken, refusal(503, "backendError"), described("blob", b"x")) as (store, _):
        assert (await store.head("blob")).size == 1


CONTENT = {"X_Goog_Generation": "17", "X_Goog_Hash": "crc32c=AAAAAA=="}


@pytest.mark.parametrize(
    "given",
    [
        answer(200, body=b"content", **CONTENT),
        answer(206, body=b"cont", Content_Range="bytes 0-3/7", **CONTENT),
        answer(206, body=b"on", Content_Range="bytes 1-3/7", **CONTENT),
        answer(206, body=b"ont", Content_Range="bytes 1-3/*", **CONTENT),
        answer(206, body=b"ont", **CONTENT),
    ],
)
async def test_an_answer_that_is_not_the_range_asked_for_is_refused_f26_f28(given: Answer) -> None:
    async with scripted(given) as (store, _):
        with pytest.raises(InvalidAnswer):
            await content_of(store, "blob", span=ByteRange(1, 4))


async def test_content_of_another_generation_is_refused_even_where_the_condition_was_ignored() -> None:
    async with scripted(answer(200, body=b"content", **CONTENT)) as (store, script):
        with pytest.raises(Conflict):
            await content_of(store, "blob", etag="16")
        assert await content_of(store, "blob", etag="17") == b"content"
        assert script.said[0].endswith("?alt=media&ifGenerationMatch=16")


async def test_content_that_was_packed_or_unpacked_on_the_way_is_refused_f38() -> None:
    packed = answer(200, body=b"packed", Content_Encoding="gzip", X_Goog_Stored_Content_Encoding="identity", **CONTENT)
    unpacked = answer(200, body=b"content", X_Goog_Stored_Content_Encoding="gzip", **CONTENT)
    stored = answer(200, body=b"packed", Content_Encoding="gzip", X_Goog_Stored_Content_Encoding="gzip", **CONTENT)
    async with scripted(packed, unpacked, stored) as (store, script):
        for _ in range(2):
            with pytest.raises(InvalidAnswer, match="not as it is stored"):
                await content_of(store, "blob")
        assert await content_of(store, "blob") == b"packed"
        assert {seen.headers["Accept-Encoding"] for seen in script.seen} == {"gzip"}


async def test_a_listing_that_repeats_itself_ends_in_an_error_f40() -> None:
    page = json.dumps({"kind": "storage#objects", "nextPageToken": "again"}).encode()
    async with scripted(answer(body=page)) as (store, script):
        with pytest.raises(InvalidAnswer, match="repeats itself"):
            await blobs_under(store)
        assert len(script.seen) == 2


async def test_a_listing_asks_for_no_more_than_it_uses_and_encodes_what_it_asks() -> None:
    async with scripted(answer(body=b'{"kind": "storage#objects"}')) as (store, script):
        assert [page async for page in store.pages("a b/&c", delimiter="/", page_size=5)]
    (said,) = script.said
    assert said == (
        "GET /storage/v1/b/real/o?delimiter=%2F&fields=kind%2CnextPageToken%2Cprefixes%2C"
        "items%28name%2Csize%2Cgeneration%2Cmd5Hash%2CtimeCreated%2Cupdated%29&maxResults=5&prefix=a%20b%2F%26c"
    )


def batch(*statuses: int) -> Answer:
    refused = json.dumps({"error": {"code": 0, "message": "no", "errors": [{"reason": "told"}]}})
    parts = [
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
        f"HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\n\r\n{refused if status >= 400 else ''}\r\n"
        for number, status in enumerate(statuses)
    ]
    return answer(body=("".join(parts) + "--b--\r\n").encode(), Content_Type="multipart/mixed; boundary=b")


async def test_a_batch_tells_which_keys_failed_and_tries_the_busy_ones_alone() -> None:
    async with scripted(batch(204, 403, 404, 429, 503), answer(204), refusal(403, "forbidden")) as (store, script):
        failures = await store.delete(["gone", "kept", "missing", "busy", "busy too"])
        assert {key: type(error) for key, error in failures.items()} == {
            "kept": PermissionDenied,
            "busy too": PermissionDenied,
        }
        assert "models/kept" in str(failures["kept"])
        assert script.said[1:] == ["DELETE /storage/v1/b/real/o/busy", "DELETE /storage/v1/b/real/o/busy%20too"]


async def test_a_key_that_a_batch_says_nothing_about_is_tried_alone() -> None:
    async with scripted(batch(204), answer(204)) as (store, script):
        assert await store.delete(["told", "untold"]) == {}
        assert script.said[1:] == ["DELETE /storage/v1/b/real/o/untold"]


async def test_keys_of_a_batch_for_which_the_token_has_ended_are_tried_alone() -> None:
    async with scripted(batch(204, 401), answer(204)) as (store, script):
        assert await store.delete(["gone", "late"]) == {}
        assert script.said[1:] == ["DELETE /storage/v1/b/real/o/late"]


async def test_a_batch_that_is_answered_with_a_page_of_html_deletes_nothing_for_sure() -> None:
    async with scripted(answer(body=b"<html>Sign in</html>", Content_Type="text/html")) as (store, _):
        with pytest.raises(InvalidAnswer):
            await store.delete(["a", "b"])


async def test_batches_hold_a_hundred_keys_each() -> None:
    async with scripted(batch(*[204] * 100)) as (store, script):
        assert await store.delete([str(number) for number in range(300)]) == {}
        assert [seen.body.count(b"DELETE /") for seen in script.seen] == [100] * 3


async def test_the_retries_of_a_request_are_those_of_the_policy_and_no_more() -> None:
    async with scripted(refusal(503, "backendError")) as (store, script):
        with pytest.raises(Unavailable):
            await store.write("blob", b"content")
        with pytest.raises(Unavailable):
            await store.delete(["a", "b"])
        with pytest.raises(Unavailable):
            await blobs_under(store)
        assert len(script.seen) == 3 * IMPATIENT.attempts
