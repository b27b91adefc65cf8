"""What the GCS store makes of odd answers while it uploads in parts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.stores.base import Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from conformance.rigs.base import IMPATIENT, describe_keys, opened
from conformance.rigs.gcp_script import (
    BUCKET,
    TOKEN,
    Answer,
    Seen,
    answer,
    broken,
    crc32c,
    described,
    refusal,
    scripted,
)

BEGUN = answer(body=b"<InitiateMultipartUploadResult><UploadId>id/+=</UploadId></InitiateMultipartUploadResult>")
MADE = b"<CompleteMultipartUploadResult><Key>blob</Key></CompleteMultipartUploadResult>"
ABORTED = answer(204)


def kept(content: bytes) -> Answer:
    return answer(ETag='"an-etag"', X_Goog_Hash=f"crc32c={crc32c(content)}")


async def write_in_parts(store: ClosableStore, *parts: bytes) -> Stored:
    async with store.multipart("blob") as upload:
        for number, part in enumerate(parts, start=1):
            await upload.put_part(number, part)
        return await upload.complete()


async def test_parts_go_with_their_md5_and_come_together_in_order() -> None:
    made = answer(body=MADE, X_Goog_Generation="18", X_Goog_Hash=f"crc32c={crc32c(b'onetwo')}")
    answers = (BEGUN, kept(b"two"), kept(b"one"), made)
    async with scripted(*answers) as (store, script), store.multipart("a/b c") as upload:
        await upload.put_part(2, b"two")
        await upload.put_part(1, b"one")
        assert await upload.complete() == Stored(key="a/b c", size=6, etag="18", proof=Proof.CHECKSUM)
    assert script.said == [
        "POST /real/a%2Fb%20c?uploads=",
        "PUT /real/a%2Fb%20c?partNumber=2&uploadId=id%2F%2B%3D",
        "PUT /real/a%2Fb%20c?partNumber=1&uploadId=id%2F%2B%3D",
        "POST /real/a%2Fb%20c?uploadId=id%2F%2B%3D",
    ]
    assert script.seen[1].headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"two").digest()).decode()
    assert script.seen[3].body == (
        b"<CompleteMultipartUpload>"
        b'<Part><PartNumber>1</PartNumber><ETag>"an-etag"</ETag></Part>'
        b'<Part><PartNumber>2</PartNumber><ETag>"an-etag"</ETag></Part>'
        b"</CompleteMultipartUpload>"
    )
    assert all(seen.headers["Date"].endswith("GMT") for seen in script.seen)


async def test_a_part_that_arrives_damaged_is_sent_once_more() -> None:
    damaged = answer(ETag='"e"', X_Goog_Hash=f"md5={base64.b64encode(bytes(16)).decode()}")
    made = answer(body=MADE, X_Goog_Generation="18")
    found = described("blob", b"part", generation="18")
    async with scripted(BEGUN, damaged, kept(b"part"), made, found) as (store, _):
        assert (await write_in_parts(store, b"part")).etag == "18"
    async with scripted(BEGUN, damaged, damaged, ABORTED) as (store, script):
        with pytest.raises(IntegrityError, match="part 1"):
            await write_in_parts(store, b"part")
        assert script.said[-1] == "DELETE /real/blob?uploadId=id%2F%2B%3D"


async def test_a_whole_that_is_not_its_parts_is_told() -> None:
    made = answer(body=MADE, X_Goog_Generation="18", X_Goog_Hash=f"crc32c={crc32c(b'twoone')}")
    async with scripted(BEGUN, kept(b"one"), kept(b"two"), made, answer(204)) as (store, script):
        with pytest.raises(IntegrityError, match="other bytes"):
            await write_in_parts(store, b"one", b"two")
        assert script.said[4:] == ["DELETE /storage/v1/b/real/o/blob?ifGenerationMatch=18"], "it does not stay"


NO_UPLOAD = answer(404, body=b"<Error><Code>NoSuchUpload</Code><Message>not found</Message></Error>")


async def test_a_blob_that_was_made_although_the_answer_was_lost_is_recognised() -> None:
    found = described("blob", b"onetwo", md5Hash=None)
    async with scripted(BEGUN, kept(b"one"), kept(b"two"), broken, NO_UPLOAD, found) as (store, script):
        meta = await write_in_parts(store, b"one", b"two")
        assert (meta.size, meta.etag) == (6, "17")
        assert script.said[-1].startswith("GET /storage/v1/b/real/o/blob?")


@pytest.mark.parametrize(
    "found", [described("blob", b"twoone"), described("blob", b"other!!"), refusal(404, "notFound")]
)
async def test_another_blob_at_the_key_is_not_taken_for_an_upload_that_is_gone(found: Answer) -> None:
    async with scripted(BEGUN, kept(b"one"), kept(b"two"), NO_UPLOAD, found, NO_UPLOAD) as (store, _):
        with pytest.raises(ResourceNotFound, match="NoSuchUpload"):
            await write_in_parts(store, b"one", b"two")


async def test_without_checksums_of_its_parts_an_upload_that_is_gone_is_never_taken_as_made() -> None:
    bare = answer(ETag='"an-etag"')
    async with scripted(BEGUN, bare, NO_UPLOAD, described("blob", b"part"), NO_UPLOAD) as (store, _):
        with pytest.raises(ResourceNotFound, match="NoSuchUpload"):
            await write_in_parts(store, b"part")


async def test_a_version_that_is_not_told_is_looked_up_and_only_believed_if_it_is_ours() -> None:
    async with scripted(BEGUN, kept(b"part"), answer(body=MADE), described("blob", b"part")) as (store, _):
        assert (await write_in_parts(store, b"part")).etag == "17"
    async with scripted(BEGUN, kept(b"part"), answer(body=MADE), described("blob", b"trap")) as (store, _):
        assert await write_in_parts(store, b"part") == Stored(key="blob", size=4, proof=Proof.SIZE)


@pytest.mark.parametrize("content", [b"trap", b"par"], ids=["other bytes", "fewer bytes"])
async def test_a_blob_that_was_made_of_something_else_is_told(content: bytes) -> None:
    made = answer(body=MADE, X_Goog_Generation="17")
    async with scripted(BEGUN, kept(b"part"), made, described("blob", content), answer(204)) as (store, script):
        with pytest.raises(IntegrityError, match="other bytes"):
            await write_in_parts(store, b"part")
        assert script.said[4:] == ["DELETE /storage/v1/b/real/o/blob?ifGenerationMatch=17"], "it does not stay"


async def test_the_checksum_of_what_was_made_is_looked_up_where_the_answer_does_not_tell() -> None:
    made = answer(body=MADE, X_Goog_Generation="17")
    for found, proof in [
        (described("blob", b"part"), Proof.CHECKSUM),
        (described("blob", b"another", generation="19"), Proof.SIZE),
        (refusal(403, "forbidden"), Proof.SIZE),
    ]:
        async with scripted(BEGUN, kept(b"part"), made, found) as (store, _):
            stored = await write_in_parts(store, b"part")
            assert (stored.etag, stored.proof) == ("17", proof)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (answer(body=b"<Error><Code>InternalError</Code><Message>later</Message></Error>"), "InternalError"),
        (answer(body=b"<html>Sign in</html>"), "html"),
        (answer(body=b""), "not XML"),
        (refusal(412, "conditionNotMet"), "412"),
    ],
)
async def test_a_200_that_makes_no_blob_is_an_error_and_the_upload_is_aborted(made: Answer, said: str) -> None:
    async with scripted(BEGUN, kept(b"part"), made, ABORTED) as (store, script):
        with pytest.raises(BucketsError, match=said):
            await write_in_parts(store, b"part")
        assert script.said[-1] == "DELETE /real/blob?uploadId=id%2F%2B%3D"


@pytest.mark.parametrize(
    "begun", [answer(body=b"<InitiateMultipartUploadResult/>"), answer(body=b"<html/>"), answer(body=b"")]
)
async def test_an_upload_that_does_not_begin_is_told(begun: Answer) -> None:
    async with scripted(begun) as (store, script):
        with pytest.raises(InvalidAnswer):
            await write_in_parts(store, b"part")
        assert len(script.seen) == 1


async def test_an_abort_that_is_refused_is_told_and_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(BEGUN, refusal(403, "forbidden")) as (store, _):
        with caplog.at_level(logging.WARNING), pytest.raises(ZeroDivisionError):
            async with store.multipart("blob"):
                raise ZeroDivisionError
    assert "was not aborted" in caplog.text
    assert "id/+=" in caplog.text


async def test_an_upload_with_a_part_that_may_still_come_is_aborted_again_after_a_moment_f91() -> None:
    lost = [broken] * IMPATIENT.attempts
    async with scripted(BEGUN, kept(b"one"), *lost, ABORTED, NO_UPLOAD) as (store, script):
        with pytest.raises(Unavailable):
            await write_in_parts(store, b"one", b"two")
        assert script.said[2 + len(lost) :] == ["DELETE /real/blob?uploadId=id%2F%2B%3D"] * 2
    async with scripted(BEGUN, kept(b"one"), refusal(403, "forbidden"), ABORTED) as (store, script):
        with pytest.raises(PermissionDenied):
            await write_in_parts(store, b"one", b"two")
        assert len(script.said) == 4


async def test_an_upload_that_begins_while_it_is_cancelled_is_aborted() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(request: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return BEGUN(Seen(method="POST", target="", headers=request.headers, body=b"")) or web.Response()

    aborted: list[str] = []

    async def abort(request: web.Request) -> web.Response:
        aborted.append(request.query["uploadId"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/real/blob", slowly)
    app.router.add_delete("/real/blob", abort)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    keys = describe_keys(BUCKET, bucket_name="real", project="p", access_token=TOKEN, endpoint_url=endpoint)
    try:
        async with opened(BUCKET, keys) as store:
            task = asyncio.ensure_future(write_in_parts(store, b"part"))
            await asked.wait()
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
    finally:
        await runner.cleanup()
    assert aborted == ["id/+="]
