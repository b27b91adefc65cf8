"""What the Azure store makes of answers that no healthy server gives: a server made for the purpose, on loopback."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    TransientError,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, ByteRange, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from conformance.rigs.base import describe_bucket, describe_keys, opened

BUCKET = describe_bucket(id_="bucket-1", name="models", provider="azure")
SAS = "sv=2021-12-02&sp=rwdl&sig=c2VjcmV0"
BLOB = {"ETag": '"0x1"', "Last-Modified": "Tue, 24 Nov 2026 13:48:15 GMT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[Seen], web.Response | None]


class Script:
    """Answers each request with the next entry, the last one for ever; `None` breaks the connection."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers
        self.seen: list[Seen] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(method=request.method, target=request.raw_path, headers=request.headers, body=await request.read())
        answer = self._answers[min(len(self.seen), len(self._answers) - 1)](seen)
        self.seen.append(seen)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[tuple[ClosableStore, Script]]:
    script = Script(*answers)
    app = web.Application(client_max_size=64 * 1024**2)
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        keys = describe_keys(BUCKET, bucket_name="cont", storage_endpoint=f"http://127.0.0.1:{port}/acc", sas_token=SAS)
        async with opened(BUCKET, keys) as store:
            yield store, script
    finally:
        await runner.cleanup()


def answer(status: int = 200, *, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=status, body=body, headers=named)


def refusal(status: int, code: str, message: str = "No.") -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}\nRequestId:1</Message></Error>".encode()
    return answer(status, body=body, x_ms_error_code=code)


def listing(inner: str) -> Answer:
    return answer(body=f"<EnumerationResults>{inner}</EnumerationResults>".encode())


def outcomes(*statuses: tuple[int, str]) -> Answer:
    parts = "".join(
        f"--b\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status} Said\r\nx-ms-error-code: {code}\r\n\r\n"
        for number, (status, code) in enumerate(statuses)
    )
    return answer(202, body=f"{parts}--b--".encode(), Content_Type="multipart/mixed; boundary=b")


def lost(_seen: Seen) -> None:
    return None


async def keys_of(store: BlobStore) -> list[str]:
    return [blob.key async for page in store.pages("") for blob in page.blobs]


async def made_of_one_part(store: BlobStore) -> Stored:
    async with store.multipart("blob") as upload:
        await upload.put_part(1, b"content")
        return await upload.complete()


async def content_of(store: BlobStore, *, span: ByteRange | None = None) -> bytes:
    async with store.read("blob", span=span) as body:
        return b"".join([chunk async for chunk in body.chunks()])


# --- requests


async def test_the_sas_is_in_every_attempt_once() -> None:
    stored = answer(201, ETag='"0x1"')
    async with scripted(refusal(503, "ServerBusy"), lost, stored) as (store, script):
        await store.write("blob", b"content")
    assert [seen.target for seen in script.seen] == [f"/acc/cont/blob?{SAS}"] * 3
    assert [seen.body for seen in script.seen] == [b"content"] * 3


async def test_a_write_carries_its_md5_to_be_checked_and_to_be_kept() -> None:
    async with scripted(answer(201, ETag='"0x1"')) as (store, script):
        await store.write("blob", b"content")
    md5 = b64encode(hashlib.md5(b"content").digest()).decode()
    assert script.seen[0].headers["Content-MD5"] == script.seen[0].headers["x-ms-blob-content-md5"] == md5


async def test_a_redirect_is_not_followed_f51() -> None:
    async with scripted(answer(307, Location="http://127.0.0.1:1/elsewhere")) as (store, script):
        with pytest.raises(InvalidAnswer, match="redirects"):
            await store.write("blob", b"content")
    assert len(script.seen) == 1


async def test_a_firewall_is_a_denied_permission_and_not_asked_twice() -> None:
    refused = refusal(403, "AuthorizationFailure", "This request is not authorized to perform this operation.")
    async with scripted(refused) as (store, script):
        with pytest.raises(PermissionDenied):
            await keys_of(store)
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AuthenticationFailed", AuthenticationError),
        (401, "NoAuthenticationInformation", AuthenticationError),
        (403, "InsufficientAccountPermissions", PermissionDenied),
        (400, "Md5Mismatch", IntegrityError),
        (412, "ConditionNotMet", Conflict),
        (500, "OperationTimedOut", Unavailable),
    ],
)
async def test_a_refusal_becomes_the_error_of_its_code(status: int, code: str, kind: type[BucketsError]) -> None:
    async with scripted(refusal(status, code)) as (store, _):
        with pytest.raises(kind, match=rf"models/blob: the service answered {status} \({code}: No\.\)"):
            await store.write("blob", b"content")


# --- reads


WRONG = answer(201, ETag='"0x1"', Content_MD5=b64encode(hashlib.md5(b"c0ntent").digest()).decode())


async def test_bytes_that_were_damaged_on_the_way_are_sent_once_more_f34() -> None:
    for damaged in (WRONG, refusal(400, "Md5Mismatch")):
        async with scripted(damaged, answer(201, ETag='"0x2"')) as (store, script):
            assert (await store.write("blob", b"content")).etag == "0x2"
            assert [seen.body for seen in script.seen] == [b"content", b"content"]


@pytest.mark.parametrize("second", [WRONG, refusal(400, "Md5Mismatch")])
async def test_wrong_bytes_that_azure_made_of_a_blob_do_not_stay_there_f34(second: Answer) -> None:
    async with scripted(WRONG, second, answer(202)) as (store, script):
        with pytest.raises(IntegrityError):
            await store.write("blob", b"content")
        assert [(seen.method, seen.headers.get("If-Match")) for seen in script.seen[2:]] == [("DELETE", '"0x1"')]


@pytest.mark.parametrize(
    ("deletion", "told"),
    [
        (answer(202), "the wrong bytes were deleted"),
        (refusal(403, "AuthorizationPermissionMismatch"), "the wrong bytes may still be there"),
        (refusal(412, "ConditionNotMet"), ""),
        (refusal(404, "BlobNotFound"), ""),
    ],
    ids=["deleted", "may not be deleted", "another writer", "gone"],
)
async def test_what_becomes_of_wrong_bytes_is_told_f34(
    deletion: Answer, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted(WRONG, WRONG, deletion) as (store, _):
        with pytest.raises(IntegrityError):
            await store.write("blob", b"content")
    assert told in caplog.text
    assert bool(told) is ("the wrong bytes" in caplog.text)


@pytest.mark.parametrize(
    "given",
    [
        answer(200, body=b"content", **BLOB),
        answer(206, body=b"con", Content_Range="bytes 0-2/7", **BLOB),
        answer(206, body=b"on", Content_Range="bytes 1-2/7", **BLOB),
        answer(206, body=b"onte", **BLOB),
    ],
    ids=["whole blob", "another range", "short range", "no range named"],
)
async def test_a_range_is_exactly_what_was_asked_or_an_error_f26_f28(given: Answer) -> None:
    async with scripted(given) as (store, _):
        with pytest.raises(InvalidAnswer):
            await content_of(store, span=ByteRange(1, 5))


async def test_another_version_than_the_pinned_one_is_a_conflict_even_if_the_server_overlooks_the_pin() -> None:
    async with scripted(answer(body=b"content", ETag='"0x2"')) as (store, script):
        with pytest.raises(Conflict):
            async with store.read("blob", etag="0x1"):
                pass
    assert script.seen[0].headers["If-Match"] == '"0x1"'


# --- listings


async def test_a_listing_that_names_a_page_twice_ends_in_an_error_f40() -> None:
    first, second = listing("<NextMarker>a</NextMarker>"), listing("<NextMarker>b</NextMarker>")
    async with scripted(first, second, first) as (store, script):
        with pytest.raises(InvalidAnswer, match="repeats itself"):
            await keys_of(store)
    assert len(script.seen) == 3


async def test_an_empty_page_with_a_marker_is_followed_and_the_marker_sent_as_it_came() -> None:
    last = listing(
        "<Blobs><Blob><Name>k</Name><Properties><Content-Length>1</Content-Length></Properties></Blob></Blobs>"
    )
    async with scripted(listing("<NextMarker>2!8 a&amp;/</NextMarker>"), last) as (store, script):
        assert await keys_of(store) == ["k"]
    assert "marker=2%218%20a%26%2F" in script.seen[1].target


@pytest.mark.parametrize("body", [b"", b"<html/>", b"<Error><Code>x</Code></Error>", b"<EnumerationResults>"])
async def test_an_answer_that_is_not_a_listing_is_never_an_empty_one_f39(body: bytes) -> None:
    async with scripted(answer(body=body)) as (store, _):
        with pytest.raises(InvalidAnswer):
            await keys_of(store)


# --- parts


async def test_a_commit_whose_answer_is_lost_is_sent_again_and_succeeds_f23() -> None:
    stored = answer(201, ETag='"0x1"')
    found = answer(200, body=bytes(7), ETag='"0x1"')
    async with scripted(stored, lost, stored, found) as (store, script), store.multipart("blob") as upload:
        await upload.put_part(1, b"content")
        meta = await upload.complete()
    assert (meta.size, meta.etag, meta.proof) == (7, "0x1", Proof.SIZE)
    assert script.seen[1].body == script.seen[2].body
    assert b"<Latest>" in script.seen[2].body


async def test_a_blob_that_was_made_shorter_than_its_parts_is_told() -> None:
    stored = answer(201, ETag='"0x1"')
    async with scripted(stored, stored, answer(200, body=bytes(6), ETag='"0x1"'), answer(202)) as (store, script):
        with pytest.raises(IntegrityError, match="6 of the 7 bytes"):
            await made_of_one_part(store)
        assert [(seen.method, seen.headers.get("If-Match")) for seen in script.seen[3:]] == [("DELETE", '"0x1"')]


@pytest.mark.parametrize("found", [answer(404), answer(403), answer(200, body=bytes(6), ETag='"0x2"')])
async def test_a_blob_that_was_made_and_cannot_be_seen_or_is_replaced_by_now_is_a_success(found: Answer) -> None:
    stored = answer(201, ETag='"0x1"')
    async with scripted(stored, stored, found) as (store, _):
        assert (await made_of_one_part(store)).size == 7


async def test_parts_whose_md5_azure_answers_are_proven() -> None:
    def echo(seen: Seen) -> Answer:
        if seen.method == "HEAD":
            return answer(200, body=bytes(7), ETag='"0x1"')
        return answer(201, ETag='"0x1"', Content_MD5=seen.headers["Content-MD5"])

    async with scripted(lambda seen: echo(seen)(seen)) as (store, _):
        assert (await made_of_one_part(store)).proof is Proof.CHECKSUM
        assert (await store.write("blob", b"content")).proof is Proof.CHECKSUM


async def test_an_upload_left_without_completing_commits_nothing() -> None:
    async with scripted(answer(201)) as (store, script), store.multipart("blob") as upload:
        await upload.put_part(1, b"content")
    assert ["comp=block&" in seen.target for seen in script.seen] == [True]


# --- batches


async def test_many_keys_take_one_request_for_each_256() -> None:
    full, rest = outcomes(*[(202, "")] * 256), outcomes(*[(202, "")] * 44)
    async with scripted(full, rest) as (store, script):
        assert await store.delete([f"key-{number}" for number in range(300)]) == {}
    assert [seen.target for seen in script.seen] == [f"/acc/cont?restype=container&comp=batch&{SAS}"] * 2
    assert [seen.body.count(b"DELETE /acc/cont/key-") for seen in script.seen] == [256, 44]


async def test_keys_that_a_batch_leaves_open_are_deleted_alone() -> None:
    batch = outcomes((202, ""), (503, "ServerBusy"), (403, "AuthenticationFailed"))
    async with scripted(batch, answer(202)) as (store, script):
        assert await store.delete(["a", "b", "c", "never-answered"]) == {}
    alone = sorted(seen.target.partition("?")[0] for seen in script.seen[1:])
    assert alone == ["/acc/cont/b", "/acc/cont/c", "/acc/cont/never-answered"]


async def test_a_key_that_a_batch_refuses_for_good_is_told_and_not_tried_again() -> None:
    batch = outcomes((202, ""), (409, "BlobImmutableDueToPolicy"), (404, "BlobNotFound"))
    async with scripted(batch) as (store, script):
        failures = await store.delete(["a", "b", "c"])
    assert {key: type(error) for key, error in failures.items()} == {"b": PermissionDenied}
    assert len(script.seen) == 1


async def test_where_batches_are_unknown_each_key_is_deleted_alone() -> None:
    async with scripted(refusal(400, "InvalidQueryParameterValue"), answer(202)) as (store, script):
        assert await store.delete(["a", "b"]) == {}
    assert [seen.method for seen in script.seen] == ["POST", "DELETE", "DELETE"]


async def test_a_batch_answered_by_something_else_deletes_nothing_in_silence() -> None:
    async with scripted(answer(body=b"<html/>")) as (store, _):
        with pytest.raises(InvalidAnswer):
            await store.delete(["a", "b"])


async def test_a_service_that_is_down_fails_a_deletion_as_a_whole() -> None:
    async with scripted(refusal(503, "ServerBusy")) as (store, _):
        with pytest.raises(TransientError):
            await store.delete(["a"])
