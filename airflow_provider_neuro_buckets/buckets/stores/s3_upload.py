"""How bytes get into an S3 bucket in several requests: copies, and uploads in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    IntegrityError,
    PermissionDenied,
    ResourceNotFound,
    UnsupportedProvider,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.stores import aborting
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange, Bytes, CopySource, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc
from airflow_provider_neuro_buckets.buckets.stores.damage import damaged, take_back
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request
from airflow_provider_neuro_buckets.buckets.stores.s3_put import (
    Receipt,
    delete_version,
    put_checked,
    put_summed,
    receipt_of,
)
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    CRC32,
    CRC32_OF_WHOLE,
    CRC_TYPE,
    SMALL_ANSWER,
    bare_etag,
    completion,
    copy_headers,
    encode_key,
    encode_query,
    error_in,
    fields_in,
    is_of_parts,
    text_in,
)


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
    return receipt_of(response.headers, bare_etag(text_in(answer, root, "ETag", request.what)))


def check_no_error(answer: bytes, what: str) -> None:
    """Find an error in the clothes of a success: S3 begins to answer before it is done.

    :raises BucketsError: there is one.
    """
    code, message = error_in(answer)
    if code:
        raise error_for(HTTPStatus.INTERNAL_SERVER_ERROR, what=what, code=code, detail=message[:200])


_COMPLETED = "CompleteMultipartUploadResult"


class S3Upload:
    """An upload in parts.

    :param key: what it will be.
    :param what: the attempt and its address, for errors.
    :param head: looks at the key, to see whether the blob was made although nobody said so.
    :param is_summed: S3 shall keep a CRC32 of the whole, and no MD5 is computed; where it does not know how, the MD5s
        of the parts prove them.
    """

    def __init__(
        self,
        *,
        lane: DirectLane,
        key: str,
        what: str,
        head: Callable[[], Awaitable[BlobMeta]],
        is_summed: bool = False,
    ) -> None:
        self._lane = lane
        self._key = key
        self._what = what
        self._head = head
        self._id = ""
        self._parts: dict[int, Receipt] = {}
        self._sizes: dict[int, int] = {}
        self._under_way = aborting.UnderWay()
        self._is_open = False
        self._is_summed = is_summed

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
        if self._is_summed:
            try:
                await self._begin_with(CRC32_OF_WHOLE)
            except (BadRequest, UnsupportedProvider):
                self._is_summed = False
        if not self._is_open:
            await self._begin_with({})

    async def _begin_with(self, headers: Mapping[str, str]) -> None:
        response, answer = await self._ask("POST", {"uploads": ""}, headers=headers)
        self._id = text_in(answer, "InitiateMultipartUploadResult", "UploadId", self._what)
        self._is_open = True
        # Who does not know of checksums does not mind being asked for one, and says nothing of it.
        self._is_summed = bool(headers) and all(response.headers.get(name) == headers[name] for name in headers)

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; its checksum goes along, and the answer is compared."""
        request = Request(
            what=f"{self._what} (part {number})",
            method="PUT",
            path=encode_key(self._key),
            query=encode_query({"partNumber": str(number), "uploadId": self._id}),
        )
        put = put_summed if self._is_summed else put_checked
        with self._under_way.sent(number):
            self._parts[number] = await put(self._lane, request, body)
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
        expected, crc = self._expected_etag(), self._crc32()
        try:
            answer = await self._complete(crc)
        except ResourceNotFound:
            if (meta := await self._made_already(size, expected)) is None:
                raise
            self._is_open = False
            return Stored.of(meta, Proof.CHECKSUM)
        self._is_open = False
        etag = bare_etag(text_in(answer, _COMPLETED, "ETag", self._what))
        told = Crc.CRC32.of_base64(fields_in(answer, _COMPLETED).get("ChecksumCRC32"))
        has_crc = crc is not None and told == crc
        if (expected and etag != expected and is_of_parts(etag)) or (crc is not None and told not in {None, crc}):
            raise await self._taken_back(etag)
        if not has_crc and (not expected or etag != expected):
            await self._check_size(etag, size)
        proof = Proof.CHECKSUM if expected or has_crc else Proof.SIZE
        return Stored(key=self._key, size=size, etag=etag, proof=proof)

    async def _complete(self, crc: int | None) -> bytes:
        """Have the blob made; S3 compares the CRC32 of the whole, if there is one."""
        etags = {number: part.etag or "" for number, part in self._parts.items()}
        crcs: dict[int, str] = {}
        headers: dict[str, str] = {}
        if crc is not None:
            known = {number: part.crc32 for number, part in self._parts.items()}
            crcs = {number: base64_of(Crc.CRC32.bytes_of(one)) for number, one in known.items() if one is not None}
            headers = {CRC32: base64_of(Crc.CRC32.bytes_of(crc)), CRC_TYPE: CRC32_OF_WHOLE[CRC_TYPE]}
        _, answer = await self._ask("POST", {"uploadId": self._id}, completion(etags, crcs), headers=headers)
        return answer

    def _crc32(self) -> int | None:
        """Return the CRC32 of the whole; `None` for an upload that keeps none."""
        if not self._is_summed:
            return None
        parts = [(part.crc32, self._sizes[number]) for number, part in sorted(self._parts.items())]
        return Crc.CRC32.of_parts([(crc, size) for crc, size in parts if crc is not None])

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
        await take_back(lambda: delete_version(self._lane, request, etag or "", self._head), self._what)
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

    async def _ask(
        self,
        method: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[Answer, bytes]:
        """Send a request about the upload and return the answer, which may be an error in the clothes of a success."""
        request = Request(
            what=self._what,
            method=method,
            path=encode_key(self._key),
            query=encode_query(query),
            headers={**headers, "Content-Length": str(len(body or b""))},
            body=body,
        )
        return await self._lane.fetch(
            request, largest=SMALL_ANSWER, check=lambda answer: check_no_error(answer, self._what)
        )
