"""How bytes get into an S3 bucket: a checked PUT, copies, and uploads in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

from airflow_provider_neuro_buckets.buckets.errors import (
    Conflict,
    IntegrityError,
    PermissionDenied,
    ResourceNotFound,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.stores import aborting
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange, Bytes, CopySource, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.damage import (
    damaged,
    right_or_gone,
    take_back,
    twice_if_damaged,
)
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    SMALL_ANSWER,
    bare_etag,
    completion,
    copy_headers,
    encode_key,
    encode_query,
    error_in,
    is_md5_hidden,
    is_of_parts,
    md5_of_etag,
    text_in,
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What S3 says of a body that it was sent; `md5` where the ETag shows it."""

    etag: str | None
    md5: str | None

    @property
    def proof(self) -> Proof:
        """What this shows."""
        return Proof.SIZE if self.md5 is None else Proof.CHECKSUM


async def put_blob(
    lane: DirectLane, request: Request, body: Bytes, *, head: Callable[[], Awaitable[BlobMeta]]
) -> Receipt:
    """PUT a blob, checked as `put_checked` says. Wrong bytes that the storage made of it do not stay under the key.

    :param head: looks at the key.
    """
    send = await _checked(lane, request, body)
    return await right_or_gone(send, lambda etag: _delete(lane, request, etag, head), request.what)


async def _delete(lane: DirectLane, request: Request, etag: str, head: Callable[[], Awaitable[BlobMeta]]) -> None:
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


async def _checked(
    lane: DirectLane, request: Request, body: Bytes
) -> Callable[[list[str]], Coroutine[None, None, Receipt]]:
    """Return what PUTs a body once, and takes note of the ETag of other bytes that the storage then holds."""
    digest: bytes = await in_thread_if_large(md5, body)
    headers = {**request.headers, "Content-MD5": base64_of(digest), "Content-Length": str(size_of(body))}
    whole = replace(request, method="PUT", headers=headers, body=body)

    async def once(wrong: list[str]) -> Receipt:
        response, _ = await lane.fetch(whole, largest=SMALL_ANSWER)
        receipt = _receipt(response.headers, bare_etag(response.headers.get("ETag")))
        if receipt.md5 is not None and receipt.md5 != digest.hex():
            wrong.append(receipt.md5)
            raise damaged(request.what)
        return receipt

    return once


def _receipt(headers: Mapping[str, str], etag: str | None) -> Receipt:
    return Receipt(etag, None if is_md5_hidden(headers) else md5_of_etag(etag))


async def copy_whole(lane: DirectLane, key: str, source: CopySource, what: str) -> BlobMeta | None:
    """Let S3 copy a blob in one request; `None` if its answer does not prove that the copy is the source."""
    request = Request(what=what, method="PUT", path=encode_key(key), headers=_copying(source))
    made = await _copy(lane, request, "CopyObjectResult")
    if made.etag is None or (made.etag != source.meta.etag and (made.md5 is None or source.meta.md5 is None)):
        return None
    return BlobMeta(key=key, size=source.meta.size, etag=made.etag, md5=made.md5)


def _copying(source: CopySource) -> dict[str, str]:
    # Tags stay behind: to copy them takes rights that the platform does not grant.
    return {**copy_headers(source), "x-amz-tagging-directive": "REPLACE", "Content-Length": "0"}


async def _copy(lane: DirectLane, request: Request, root: str) -> Receipt:
    """Send a request to copy; return what the answer says of what was made."""
    response, answer = await lane.fetch(
        request, largest=SMALL_ANSWER, check=lambda answer: check_no_error(answer, request.what)
    )
    return _receipt(response.headers, bare_etag(text_in(answer, root, "ETag", request.what)))


def check_no_error(answer: bytes, what: str) -> None:
    """Find an error in the clothes of a success: S3 begins to answer before it is done.

    :raises BucketsError: there is one.
    """
    code, message = error_in(answer)
    if code:
        raise error_for(HTTPStatus.INTERNAL_SERVER_ERROR, what=what, code=code, detail=message[:200])


class S3Upload:
    """An upload in parts.

    :param key: what it will be.
    :param what: the attempt and its address, for errors.
    :param head: looks at the key, to see whether the blob was made although nobody said so.
    """

    def __init__(self, *, lane: DirectLane, key: str, what: str, head: Callable[[], Awaitable[BlobMeta]]) -> None:
        self._lane = lane
        self._key = key
        self._what = what
        self._head = head
        self._id = ""
        self._parts: dict[int, Receipt] = {}
        self._sizes: dict[int, int] = {}
        self._under_way = aborting.UnderWay()
        self._is_open = False

    async def begin(self) -> None:
        """Begin it; one that begins while this is cancelled is aborted."""
        beginning = asyncio.ensure_future(self._begin())
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.wait([beginning], timeout=aborting.ABORT_SECONDS)
            beginning.cancel()
            if beginning.done() and not beginning.cancelled() and beginning.exception() is None:
                await self.abort()
            raise

    async def _begin(self) -> None:
        answer = await self._ask("POST", {"uploads": ""})
        self._id = text_in(answer, "InitiateMultipartUploadResult", "UploadId", self._what)
        self._is_open = True

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; its MD5 goes along and its ETag is checked."""
        request = Request(
            what=f"{self._what} (part {number})",
            method="PUT",
            path=encode_key(self._key),
            query=encode_query({"partNumber": str(number), "uploadId": self._id}),
        )
        with self._under_way.sent(number):
            self._parts[number] = await put_checked(self._lane, request, body)
        self._sizes[number] = size_of(body)

    async def copy_part(self, number: int, span: ByteRange, source: CopySource) -> None:
        """Let S3 make part `number` of a range of another blob."""
        request = Request(
            what=f"{self._what} (part {number})",
            method="PUT",
            path=encode_key(self._key),
            query=encode_query({"partNumber": str(number), "uploadId": self._id}),
            headers={**copy_headers(source), "x-amz-copy-source-range": span.header, "Content-Length": "0"},
        )
        with self._under_way.sent(number):
            self._parts[number] = await _copy(self._lane, request, "CopyPartResult")
        self._sizes[number] = len(span)

    async def complete(self, *, md5: str | None = None) -> Stored:  # noqa: ARG002 - S3 has its own, of the parts
        """Make the blob of the parts; after a lost answer the blob itself tells whether it was made.

        Its ETag, where S3 makes it of the MD5s of the parts, proves that it has them all; and else its size is looked
        up.
        """
        size = sum(self._sizes.values())
        etags = {number: part.etag or "" for number, part in self._parts.items()}
        expected = self._expected_etag()
        try:
            answer = await self._ask("POST", {"uploadId": self._id}, completion(etags))
        except ResourceNotFound:
            if (meta := await self._made_already(size, expected)) is None:
                raise
            self._is_open = False
            return Stored.of(meta, Proof.CHECKSUM)
        self._is_open = False
        etag = bare_etag(text_in(answer, "CompleteMultipartUploadResult", "ETag", self._what))
        if expected and etag != expected and is_of_parts(etag):
            raise await self._taken_back(etag)
        if not expected or etag != expected:
            await self._check_size(etag, size)
        return Stored(key=self._key, size=size, etag=etag, proof=Proof.CHECKSUM if expected else Proof.SIZE)

    async def _made_already(self, size: int, expected: str) -> BlobMeta | None:
        """Return what the key holds if that is this upload for sure."""
        try:
            meta = await self._head()
        except (ResourceNotFound, PermissionDenied):
            return None
        return meta if (meta.size, meta.etag) == (size, expected) else None

    async def _check_size(self, etag: str | None, size: int) -> None:
        # Who may write need not be allowed to look; and another writer may have come already.
        with suppress(ResourceNotFound, PermissionDenied):
            meta = await self._head()
            if meta.etag == etag and meta.size != size:
                raise await self._taken_back(etag)

    async def _taken_back(self, etag: str | None) -> IntegrityError:
        """Delete what was made of the parts; return the error that tells of it."""
        request = Request(what=self._what, method="DELETE", path=encode_key(self._key))
        await take_back(lambda: _delete(self._lane, request, etag or "", self._head), self._what)
        return damaged(self._what)

    def _expected_etag(self) -> str:
        """Return the ETag that S3 gives to these parts; empty where they have no MD5 to make it of."""
        md5s = [part.md5 for _, part in sorted(self._parts.items())]
        known = [one for one in md5s if one is not None]
        if len(known) != len(md5s):
            return ""
        return f"{md5(bytes.fromhex(''.join(known))).hex()}-{len(known)}"

    async def abort(self) -> None:
        """Abort it unless it is complete: within seconds, also while being cancelled; a failure is told, not raised."""
        if not self._is_open:
            return
        await aborting.abort(
            lambda: self._ask("DELETE", {"uploadId": self._id}),
            upload=self._id,
            what=self._what,
            under_way=self._under_way,
        )

    async def _ask(self, method: str, query: Mapping[str, str], body: bytes | None = None) -> bytes:
        """Send a request about the upload and return the answer, which may be an error in the clothes of a success."""
        request = Request(
            what=self._what,
            method=method,
            path=encode_key(self._key),
            query=encode_query(query),
            headers={"Content-Length": str(len(body or b""))},
            body=body,
        )
        _, answer = await self._lane.fetch(
            request, largest=SMALL_ANSWER, check=lambda answer: check_no_error(answer, self._what)
        )
        return answer
