"""Uploads in parts, through the XML API of Google Cloud Storage.

The JSON API has no parts in any order, so of the three ways that remain this one is taken. A resumable session takes
bytes one after the other only. Temporary blobs that are composed in the end stand in the bucket where everybody's
listings find them, 32 at most compose into one, and each is billed for the least time of its storage class, kept by
soft deletion and versions, and left for ever by a process that is killed. Here parts are invisible, come in any order
and side by side, replace each other by number, up to 10,000 of them, and one request removes them; the service takes
the same bearer token.

The service vouches for the MD5 of each part while it arrives, and for the CRC32C of the whole, which is computed from
those of the parts: after a lost answer it tells whether the blob at the key is this upload.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TypeVar
from xml.sax.saxutils import escape

from airflow_provider_neuro_buckets.buckets.errors import (
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.stores import aborting
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc
from airflow_provider_neuro_buckets.buckets.stores.damage import damaged, take_back, twice_if_damaged
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import (
    BUCKET,
    blob_path,
    hashes,
    quoted,
    refusal,
)
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_xml

log = logging.getLogger(__name__)

_SMALL_ANSWER = 1024 * 1024
_KIND_OF_PLAIN_ERRORS = 500

LookUp = Callable[[], Awaitable[tuple[BlobMeta, str | None]]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Part:
    """What is known of a part that was sent."""

    etag: str
    size: int
    crc32c: int | None


class GcsUpload:
    """An upload in parts.

    :param key: what it will be.
    :param what: the attempt and its address, for errors.
    :param look_up: asks what the key holds, with the base64 CRC32C.
    """

    def __init__(self, lane: DirectLane, *, key: str, what: str, look_up: LookUp) -> None:
        self._lane = lane
        self._key = key
        self._what = what
        self._look_up = look_up
        self._id = ""
        self._parts: dict[int, _Part] = {}
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
        kind = {"Content-Type": "application/octet-stream"}
        _, answer = await self._lane.fetch(self._request("POST", "uploads=", kind), largest=_SMALL_ANSWER)
        self._id = _expect(answer, "InitiateMultipartUploadResult", self._what).get("UploadId", "")
        if not self._id:
            raise InvalidAnswer(f"{self._what}: the storage does not say how to go on")
        self._is_open = True

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; the service checks its MD5. Bytes damaged on the way are sent once more."""
        what = f"{self._what} (part {number})"
        digest = base64_of(await in_thread_if_large(md5, body))
        query = f"partNumber={number}&uploadId={quoted(self._id)}"
        request = replace(self._request("PUT", query, {"Content-MD5": digest}, body), what=what)

        async def once() -> _Part:
            response, _ = await self._lane.fetch(request, largest=_SMALL_ANSWER)
            found = hashes(response.headers)
            if found.get("md5", digest) != digest:
                raise damaged(what)
            if not (etag := response.headers.get("ETag", "")):
                raise InvalidAnswer(f"{what}: the storage does not say what to call the part")
            return _Part(etag, size_of(body), Crc.CRC32C.of_base64(found.get("crc32c")))

        with self._under_way.sent(number):
            self._parts[number] = await twice_if_damaged(once)

    async def complete(self, *, md5: str | None = None) -> Stored:  # noqa: ARG002 - the service vouches for a CRC32C
        """Make the blob of the parts; after a lost answer the blob itself tells whether it was made.

        What the answer does not tell of it is looked up.
        """
        size = sum(part.size for part in self._parts.values())
        crc32c = await asyncio.to_thread(self._crc32c)
        try:
            generation, made = await self._complete()
        except ResourceNotFound:
            if (meta := await self._made_already(size, crc32c)) is None:
                raise
            self._is_open = False
            return Stored.of(meta, Proof.CHECKSUM)
        self._is_open = False
        if None not in {made, crc32c} and made != crc32c:
            raise await self._taken_back(generation)
        if generation is None or made is None or crc32c is None:
            return await self._looked_up(generation, size, crc32c)
        return self._stored(generation, Proof.CHECKSUM)

    def _stored(self, generation: str | None, proof: Proof) -> Stored:
        size = sum(part.size for part in self._parts.values())
        return Stored(key=self._key, size=size, etag=generation, proof=proof)

    async def _looked_up(self, generation: str | None, size: int, crc32c: int | None) -> Stored:
        """Return what the key holds; without a proof if that may be what another writer has made of it."""
        try:
            meta, found = await self._look_up()
        except (ResourceNotFound, PermissionDenied):
            return self._stored(generation, Proof.SIZE)
        theirs = Crc.CRC32C.of_base64(found)
        if meta.size == size and theirs is not None and theirs == crc32c:
            return Stored.of(meta, Proof.CHECKSUM)
        if meta.etag == generation and (meta.size != size or None not in {theirs, crc32c}):
            raise await self._taken_back(generation)
        return self._stored(generation, Proof.SIZE)

    async def _taken_back(self, generation: str | None) -> IntegrityError:
        """Delete what was made of the parts, as far as it can be told apart; return the error that tells of it."""
        if generation is not None:
            await take_back(lambda: delete_version(self._lane, self._key, generation, self._what), self._what)
        return damaged(self._what)

    async def _complete(self) -> tuple[str | None, int | None]:
        """Ask for the blob; return its generation and its checksum, as far as they are told."""
        body = _completion({number: self._parts[number].etag for number in sorted(self._parts)})
        request = self._request("POST", f"uploadId={quoted(self._id)}", {"Content-Type": "application/xml"}, body)
        response, answer = await self._lane.fetch(request, largest=_SMALL_ANSWER)
        _expect(answer, "CompleteMultipartUploadResult", self._what)
        headers = response.headers
        return headers.get("X-Goog-Generation"), Crc.CRC32C.of_base64(hashes(headers).get("crc32c"))

    async def _made_already(self, size: int, crc32c: int | None) -> BlobMeta | None:
        """Return what the key holds if that is this upload for sure."""
        try:
            meta, found = await self._look_up()
        except (ResourceNotFound, PermissionDenied):
            return None
        return meta if crc32c is not None and (meta.size, Crc.CRC32C.of_base64(found)) == (size, crc32c) else None

    def _crc32c(self) -> int | None:
        """Return the checksum that the blob must have; `None` where the service told none for a part."""
        parts = [part for _, part in sorted(self._parts.items())]
        known = [(part.crc32c, part.size) for part in parts if part.crc32c is not None]
        return Crc.CRC32C.of_parts(known) if len(known) == len(parts) else None

    async def abort(self) -> None:
        """Abort it unless it is complete: within seconds, also while being cancelled; a failure is told, not raised."""
        if not self._is_open:
            return
        request = self._request("DELETE", f"uploadId={quoted(self._id)}", {})
        await aborting.abort(
            lambda: self._lane.fetch(request, largest=_SMALL_ANSWER),
            upload=self._id,
            what=self._what,
            under_way=self._under_way,
        )

    def _request(self, method: str, query: str, headers: Mapping[str, str], body: Bytes | None = None) -> Request:
        """Return a request of the XML API, which wants each dated."""
        return Request(
            what=self._what,
            method=method,
            path=f"{BUCKET}/{quoted(self._key)}",
            query=query,
            headers={"Date": formatdate(usegmt=True), **headers},
            body=body,
        )


async def delete_version(lane: DirectLane, key: str, generation: str, what: str) -> None:
    """Delete a blob if it still has this generation.

    :raises Conflict: it has another.
    """
    query = f"ifGenerationMatch={quoted(generation)}"
    await lane.fetch(Request(what=what, method="DELETE", path=blob_path(key), query=query), largest=_SMALL_ANSWER)


def _completion(etags: dict[int, str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>" for number, etag in etags.items()
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _expect(body: bytes, root: str, what: str) -> dict[str, str]:
    """Return the texts below the root of an answer; a 200 may still bring an error.

    :raises BucketsError: it is another answer than `root`.
    """
    fields: dict[str, str] = {}
    found = parse_xml(body, lambda path, text: fields.setdefault(path[-1], text))
    if found == "Error":
        code, message = refusal(body)
        raise error_for(_KIND_OF_PLAIN_ERRORS, what=what, code=code, detail=message[:200])
    if found != root:
        raise InvalidAnswer(f"{what}: the answer is not {root} but <{found}>", remedy="Check the endpoint")
    return fields
