"""How bytes get into a container: a checked PUT, and uploads in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.stores.azure_copy import ask, copy_headers
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import (
    block_id,
    block_list,
    encode_value,
    md5_header,
    md5_of_header,
    meta_of_headers,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange, Bytes, CopySource
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large

SMALL_ANSWER = 1024 * 1024


async def put_checked(lane: DirectLane, request: Request, body: Bytes) -> tuple[Mapping[str, str], bytes]:
    """PUT a body with its MD5; return the headers of the answer, and the MD5.

    :param request: the PUT, without the body.
    :raises IntegrityError: Azure has received other bytes.
    """
    digest: bytes = await in_thread_if_large(_md5, body)
    headers = {
        **request.headers,
        "Content-Length": str(size_of(body)),
        "Content-MD5": md5_header(digest),
        "Content-Type": "application/octet-stream",
    }
    if "x-ms-blob-type" in headers:
        headers["x-ms-blob-content-md5"] = headers["Content-MD5"]
    response, _ = await lane.fetch(replace(request, headers=headers, body=body), largest=SMALL_ANSWER)
    if md5_of_header(response.headers.get("Content-MD5")) not in {None, digest.hex()}:
        raise IntegrityError(f"{request.what}: the storage holds other bytes than were sent", remedy="Write it again")
    return response.headers, digest


class AzureUpload:
    """An upload in parts.

    :param key: what it will be; `path` is the same, encoded.
    :param what: the attempt and its address, for errors.
    """

    def __init__(self, lane: DirectLane, key: str, path: str, what: str) -> None:
        self._lane = lane
        self._key = key
        self._path = path
        self._what = what
        self._name = uuid4().hex[:16]
        self._sizes: dict[int, int] = {}

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; Azure checks the MD5 that goes along."""
        await put_checked(self._lane, self._part(number, {}), body)
        self._sizes[number] = size_of(body)

    async def copy_part(self, number: int, span: ByteRange, source: CopySource) -> None:
        """Let Azure make part `number` of a range of another blob."""
        request = self._part(number, {**await copy_headers(source), "x-ms-source-range": span.header})
        await ask(self._lane, request)
        self._sizes[number] = len(span)

    def _part(self, number: int, headers: Mapping[str, str]) -> Request:
        return Request(
            what=f"{self._what} (part {number})",
            method="PUT",
            path=self._path,
            query=f"comp=block&blockid={encode_value(block_id(self._name, number))}",
            headers=headers,
        )

    async def complete(self, *, md5: str | None = None) -> BlobMeta:
        """Make the blob of the parts.

        :param md5: what is to be kept as the MD5 of the whole.
        :raises Conflict: somebody else wrote the key after the parts were sent, and Azure dropped them.
        """
        body = block_list([block_id(self._name, number) for number in sorted(self._sizes)])
        kept = {} if md5 is None else {"x-ms-blob-content-md5": md5_header(bytes.fromhex(md5))}
        request = Request(what=self._what, method="PUT", path=self._path, query="comp=blocklist", headers=kept)
        headers, _ = await put_checked(self._lane, request, body)
        meta = meta_of_headers(self._key, headers, sum(self._sizes.values()))
        return BlobMeta(key=meta.key, size=meta.size, etag=meta.etag, modified_at=meta.modified_at)


def size_of(body: Bytes) -> int:
    """Return the bytes of a body."""
    return body.nbytes if isinstance(body, memoryview) else len(body)


def _md5(body: Bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
