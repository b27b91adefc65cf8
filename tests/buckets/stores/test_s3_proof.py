"""What the S3 store takes as a proof that S3 has the bytes that it was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc, crc32
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5
from buckets.stores.s3_scripts import etag_of, store_at
from faults.crafted import Answer, Asked, Choice, CraftedServer, crafted, in_turn, reply

PARTS = (b"the first part", b"the last")
WHOLE = b"".join(PARTS)
OF_PARTS = f"{md5(b''.join(md5(part) for part in PARTS)).hex()}-2"
KMS = {"x-amz-server-side-encryption": "aws:kms"}
BEGUN = b"<InitiateMultipartUploadResult><UploadId>the-upload</UploadId></InitiateMultipartUploadResult>"


def completed(etag: str) -> Answer:
    return reply(200, f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode())


def receiving(made: str, *, found: Answer | None = None, hides: bool = False) -> Choice:
    """Take an upload in parts, and say that its ETag is `made`."""

    def choose(asked: Asked) -> Answer:
        match asked.method:
            case "PUT":
                return reply(200, b"", {"ETag": etag_of(b"cipher" if hides else asked.body)} | (KMS if hides else {}))
            case "HEAD":
                return found or reply(404)
            case "DELETE":
                return reply(204)
            case "POST" if asked.query.startswith("uploads"):
                return reply(200, BEGUN)
            case _:
                return completed(made)

    return choose


async def upload(server: CraftedServer) -> Stored:
    async with store_at(server) as store, store.multipart("key") as sent:
        for number, part in reversed(list(enumerate(PARTS, start=1))):
            await sent.put_part(number, part)
        return await sent.complete()


async def test_the_etag_of_the_parts_is_a_proof_without_another_look() -> None:
    async with crafted(receiving(OF_PARTS)) as server:
        made = await upload(server)
        assert (made.size, made.etag, made.proof) == (len(WHOLE), OF_PARTS, Proof.CHECKSUM)
        assert server.asked_by("HEAD") == []


@pytest.mark.parametrize("made", [f"{md5(WHOLE).hex()}-2", OF_PARTS.replace("-2", "-1"), f"{md5(PARTS[0]).hex()}-1"])
async def test_an_etag_that_is_that_of_other_parts_is_an_integrity_error(made: str) -> None:
    async with crafted(receiving(made, found=reply(200, WHOLE, {"ETag": f'"{made}"'}))) as server:
        with pytest.raises(IntegrityError, match=r"blob:.*key"):
            await upload(server)
        assert [(asked.target, asked.headers["If-Match"]) for asked in server.asked_by("DELETE")] == [
            ("/real/key", f'"{made}"')
        ], "it does not stay"


async def test_a_blob_of_another_writer_is_not_taken_for_wrong_bytes() -> None:
    async with crafted(receiving(f"{md5(WHOLE).hex()}-2", found=reply(200, b"x", {"ETag": '"of-another"'}))) as server:
        with pytest.raises(IntegrityError):
            await upload(server)
        assert server.asked_by("DELETE") == []


async def test_an_etag_of_a_kind_of_its_own_is_not_taken_for_damage_and_the_size_is_looked_up() -> None:
    found = reply(200, WHOLE, {"ETag": '"opaque"'})
    async with crafted(receiving("opaque", found=found)) as server:
        assert (await upload(server)).proof is Proof.CHECKSUM, "each part was compared"
        assert len(server.asked_by("HEAD")) == 1


@pytest.mark.parametrize("hides", [False, True])
async def test_a_blob_that_was_made_of_fewer_bytes_is_an_integrity_error(hides: bool) -> None:  # noqa: FBT001 - parametrised
    etag = "opaque" if not hides else OF_PARTS
    found = reply(200, WHOLE[:-1], {"ETag": f'"{etag}"'})
    async with crafted(receiving(etag, found=found, hides=hides)) as server:
        with pytest.raises(IntegrityError):
            await upload(server)
        assert [asked.headers["If-Match"] for asked in server.asked_by("DELETE")] == [f'"{etag}"'], "it does not stay"


async def test_with_keys_of_aws_kms_only_the_size_is_proven() -> None:
    found = reply(200, WHOLE, {"ETag": '"0123456789abcdef0123456789abcdef-2"', **KMS})
    async with crafted(receiving("0123456789abcdef0123456789abcdef-2", found=found, hides=True)) as server:
        assert (await upload(server)).proof is Proof.SIZE


@pytest.mark.parametrize("found", [reply(404), reply(403), reply(200, b"other", {"ETag": '"another"'})])
async def test_a_blob_that_may_not_be_seen_or_is_replaced_by_now_is_a_success(found: Answer) -> None:
    async with crafted(receiving("opaque", found=found)) as server:
        assert (await upload(server)).size == len(WHOLE)


async def test_a_write_is_proven_by_the_md5_that_is_answered_and_by_nothing_else() -> None:
    answers = {
        Proof.CHECKSUM: {"ETag": etag_of(b"content")},
        Proof.SIZE: {"ETag": '"opaque"'},
    }
    for proof, headers in answers.items():
        async with crafted(in_turn(reply(200, b"", headers))) as server, store_at(server) as store:
            assert (await store.write("key", b"content")).proof is proof


async def test_a_write_with_keys_of_aws_kms_has_no_md5_and_no_proof_but_its_size() -> None:
    headers = {"ETag": etag_of(b"cipher"), **KMS}
    async with crafted(in_turn(reply(200, b"", headers))) as server, store_at(server) as store:
        made = await store.write("key", b"content")
        assert (made.md5, made.proof) == (None, Proof.SIZE)


class Summing:
    """A service that keeps a CRC32 of an upload in parts, with what it says of it.

    :ivar of_part: of the CRC32 of a part that came.
    :ivar of_whole: of that of the blob.
    """

    def __init__(self, *, hides: bool = False) -> None:
        self.of_part: Callable[[str], str | None] = lambda crc: crc
        self.of_whole: Callable[[str], str | None] = lambda crc: crc
        self.made = OF_PARTS
        self.hides = hides

    def __call__(self, asked: Asked) -> Answer:
        match asked.method:
            case "PUT":
                kept = self.of_part(written(crc32(asked.body)))
                told = {"x-amz-checksum-crc32": kept} if kept else {}
                etag = etag_of(b"cipher" if self.hides else asked.body)
                return reply(200, b"", {"ETag": etag, **told} | (KMS if self.hides else {}))
            case "HEAD":
                return reply(200, WHOLE, {"ETag": f'"{self.made}"'})
            case "DELETE":
                return reply(204)
            case "POST" if asked.query.startswith("uploads"):
                return reply(200, BEGUN, {name: asked.headers[name] for name in SUMMED if name in asked.headers})
            case _:
                kept = self.of_whole(asked.headers.get("x-amz-checksum-crc32", ""))
                field = f"<ChecksumCRC32>{kept}</ChecksumCRC32>" if kept else ""
                body = f"<CompleteMultipartUploadResult><ETag>{self.made}</ETag>{field}</CompleteMultipartUploadResult>"
                return reply(200, body.encode())


SUMMED = ("x-amz-checksum-algorithm", "x-amz-checksum-type")


def written(crc: int) -> str:
    return base64_of(Crc.CRC32.bytes_of(crc))


async def test_where_s3_keeps_a_crc32_that_goes_along_and_no_md5() -> None:
    async with crafted(Summing()) as server:
        assert (await upload(server)).proof is Proof.CHECKSUM
        sent = {asked.body: asked.headers for asked in server.asked_by("PUT")}
        assert {body: headers["x-amz-checksum-crc32"] for body, headers in sent.items()} == {
            part: written(crc32(part)) for part in PARTS
        }
        assert all("x-amz-checksum-crc32" in headers["Authorization"] for headers in sent.values()), "it is signed"
        assert not any("Content-MD5" in headers for headers in sent.values())
        completing = server.asked_by("POST")[-1]
        assert completing.headers["x-amz-checksum-crc32"] == written(crc32(WHOLE))
        assert completing.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        assert [completing.body.count(written(crc32(part)).encode()) for part in PARTS] == [1, 1]


async def test_a_crc32_is_a_proof_also_with_keys_of_aws_kms() -> None:
    summing = Summing(hides=True)
    summing.made = "0123456789abcdef0123456789abcdef-2"
    async with crafted(summing) as server:
        assert (await upload(server)).proof is Proof.CHECKSUM
        summing.of_whole = lambda _: None
        assert (await upload(server)).proof is Proof.SIZE


async def test_a_part_that_has_another_crc32_is_sent_once_more_and_then_an_error_f34() -> None:
    summing = Summing()
    answers = iter([written(1)])
    summing.of_part = lambda crc: next(answers, crc)
    async with crafted(summing) as server:
        assert (await upload(server)).proof is Proof.CHECKSUM
        assert len(server.asked_by("PUT")) == 3
        summing.of_part = lambda _: written(1)
        with pytest.raises(IntegrityError, match="part 2"):
            await upload(server)


async def test_a_service_that_says_nothing_of_the_crc32_of_a_part_is_compared_by_md5() -> None:
    summing = Summing()
    summing.of_part = lambda _: None
    async with crafted(summing) as server:
        assert (await upload(server)).proof is Proof.CHECKSUM

    def damaging(asked: Asked) -> Answer:
        is_part = asked.method == "PUT"
        return reply(200, b"", {"ETag": etag_of(b"other")}) if is_part else summing(asked)

    async with crafted(damaging) as server:
        with pytest.raises(IntegrityError):
            await upload(server)


async def test_a_blob_with_another_crc32_does_not_stay() -> None:
    summing = Summing()
    summing.of_whole = lambda _: written(1)
    async with crafted(summing) as server:
        with pytest.raises(IntegrityError, match=r"blob:.*key"):
            await upload(server)
        assert len(server.asked_by("DELETE")) == 1


META = BlobMeta(key="key", size=len(WHOLE), etag=OF_PARTS)


@pytest.mark.parametrize("etag", [OF_PARTS, md5(PARTS[0]).hex()])
async def test_the_size_of_the_first_part_is_told(etag: str) -> None:
    async with crafted(in_turn(reply(206, PARTS[0], {"ETag": f'"{etag}"'}))) as server, store_at(server) as store:
        assert await store.first_part(META) == len(PARTS[0])
        (asked,) = server.asked
        assert (asked.method, asked.query) == ("HEAD", "partNumber=1")


OTHER_VERSION = {"ETag": f'"{md5(b"").hex()}-2"'}


@pytest.mark.parametrize(
    "answer", [reply(400), reply(416), reply(501), reply(206, PARTS[0], KMS), reply(206, PARTS[0], OTHER_VERSION)]
)
async def test_a_first_part_that_nobody_tells_is_none(answer: Answer) -> None:
    async with crafted(in_turn(answer)) as server, store_at(server) as store:
        assert await store.first_part(META) is None


async def test_a_blob_that_has_no_parts_is_not_asked_about() -> None:
    async with crafted(in_turn(reply(500))) as server, store_at(server) as store:
        assert await store.first_part(BlobMeta(key="key", size=1, etag=md5(b"x").hex())) is None
        assert server.asked == []
