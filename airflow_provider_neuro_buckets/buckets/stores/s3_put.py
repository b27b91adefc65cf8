"""A body on its way to S3, and what shows that S3 has it: a checksum goes along, and the answer is compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from airflow_provider_neuro_buckets.buckets.errors import BadRequest, Conflict, UnsupportedProvider
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes, Proof
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRC_FROM
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc, crc32
from airflow_provider_neuro_buckets.buckets.stores.damage import damaged, right_or_gone, twice_if_damaged
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    CRC32,
    SMALL_ANSWER,
    bare_etag,
    is_md5_hidden,
    md5_of_etag,
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What S3 says of a body that it was sent.

    :ivar md5: where the ETag shows it.
    :ivar crc32: that of the body, where it went along.
    """

    etag: str | None
    md5: str | None
    crc32: int | None = None

    @property
    def proof(self) -> Proof:
        """What this shows."""
        return Proof.SIZE if self.md5 is None else Proof.CHECKSUM


async def put_blob(
    lane: DirectLane, request: Request, body: Bytes, *, head: Callable[[], Awaitable[BlobMeta]]
) -> Receipt:
    """PUT a blob, checked as `put_checked` says. Wrong bytes that the storage made of it do not stay under the key.

    With a large one a CRC32 goes along, which S3 keeps: whoever reads the blob is spared its MD5.

    :param head: looks at the key.
    """
    send = await _checked(lane, request, body, keeps_crc=size_of(body) >= CRC_FROM)
    return await right_or_gone(send, lambda etag: delete_version(lane, request, etag, head), request.what)


async def delete_version(
    lane: DirectLane, request: Request, etag: str, head: Callable[[], Awaitable[BlobMeta]]
) -> None:
    """Delete what a key holds, if it has this ETag.

    :raises Conflict: it has another.
    """
    if (await head()).etag != etag:
        raise Conflict(f"{request.what}: it was replaced")
    # Not every service compares; another writer may come in between only there.
    headers = {"If-Match": f'"{etag}"'}
    deletion = Request(what=request.what, method="DELETE", path=request.path, headers=headers)
    await lane.fetch(deletion, largest=SMALL_ANSWER)


async def put_checked(lane: DirectLane, request: Request, body: Bytes) -> Receipt:
    """PUT a body. S3 checks the MD5 that goes along; the ETag it answers is checked here.

    Bytes that were damaged on the way are sent once more.

    :param request: the PUT, without the body.
    :raises IntegrityError: damaged again.
    """
    send = await _checked(lane, request, body)
    return await twice_if_damaged(lambda: send([]))


async def put_summed(lane: DirectLane, request: Request, body: Bytes) -> Receipt:
    """PUT a part of an upload that keeps a CRC32, which takes hardly any time beside an MD5; else as `put_checked`.

    Where the answer does not show that S3 has computed it too, the MD5 decides.
    """
    crc: int = await in_thread_if_large(crc32, body)
    whole = _with(request, body, {CRC32: base64_of(Crc.CRC32.bytes_of(crc))})

    async def once() -> Receipt:
        response, _ = await lane.fetch(whole, largest=SMALL_ANSWER)
        receipt = replace(receipt_of(response.headers, bare_etag(response.headers.get("ETag"))), crc32=crc)
        told = Crc.CRC32.of_base64(response.headers.get(CRC32))
        if told is None and receipt.md5 is not None:
            digest: bytes = await in_thread_if_large(md5, body)
            if digest.hex() != receipt.md5:
                raise damaged(request.what)
        elif told not in {None, crc}:
            raise damaged(request.what)
        return receipt

    return await twice_if_damaged(once)


async def _checked(
    lane: DirectLane, request: Request, body: Bytes, *, keeps_crc: bool = False
) -> Callable[[list[str]], Coroutine[None, None, Receipt]]:
    """Return what PUTs a body once, and takes note of the ETag of other bytes that the storage then holds.

    :param keeps_crc: a CRC32 goes along as well; without it to a service that refuses it.
    """
    digest: bytes = await in_thread_if_large(md5, body)
    plain = _with(request, body, {"Content-MD5": base64_of(digest)})
    crc: str | None = None
    if keeps_crc:
        crc = base64_of(Crc.CRC32.bytes_of(await in_thread_if_large(crc32, body)))

    async def send() -> Answer:
        if crc is not None:
            with suppress(BadRequest, UnsupportedProvider):
                response, _ = await lane.fetch(
                    _with(plain, body, {"x-amz-sdk-checksum-algorithm": "CRC32", CRC32: crc}), largest=SMALL_ANSWER
                )
                return response
        response, _ = await lane.fetch(plain, largest=SMALL_ANSWER)
        return response

    async def once(wrong: list[str]) -> Receipt:
        headers = (await send()).headers
        receipt = receipt_of(headers, bare_etag(headers.get("ETag")))
        if receipt.md5 is not None and receipt.md5 != digest.hex():
            wrong.append(receipt.md5)
            raise damaged(request.what)
        return receipt

    return once


def _with(request: Request, body: Bytes, checksum: Mapping[str, str]) -> Request:
    headers = {**request.headers, **checksum, "Content-Length": str(size_of(body))}
    return replace(request, method="PUT", headers=headers, body=body)


def receipt_of(headers: Mapping[str, str], etag: str | None) -> Receipt:
    """Return what an answer says, and the ETag that is in its headers or its body."""
    return Receipt(etag, None if is_md5_hidden(headers) else md5_of_etag(etag))
