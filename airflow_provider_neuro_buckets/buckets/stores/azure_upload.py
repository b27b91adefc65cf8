"""How bytes get into a container: a checked PUT, and uploads in parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError, PermissionDenied, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.azure_copy import ask, copy_headers
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import (
    block_id,
    block_list,
    encode_value,
    meta_of_headers,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange, Bytes, CopySource, Proof, Stored
from airflow_provider_neuro_buckets.buckets.stores.damage import (
    damaged,
    right_or_gone,
    take_back,
    twice_if_damaged,
)
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, md5_of_base64, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large

SMALL_ANSWER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AzureReceipt:
    """What Azure says of a body that it was sent, and the MD5 that was sent along."""

    headers: Mapping[str, str]
    digest: bytes

    @property
    def proof(self) -> Proof:
        """Whether the answer shows the MD5."""
        return Proof.CHECKSUM if md5_of_base64(self.headers.get("Content-MD5")) == self.digest.hex() else Proof.SIZE


async def put_blob(lane: DirectLane, request: Request, body: Bytes) -> AzureReceipt:
    """PUT a blob, checked as `put_checked` says. Wrong bytes that Azure made of it do not stay under the key."""
    send = await _checked(lane, request, body)
    return await right_or_gone(send, lambda etag: _delete(lane, request, etag), request.what)


async def _delete(lane: DirectLane, request: Request, etag: str) -> None:
    """Delete a blob if it has this ETag, given with its quotes.

    :raises Conflict: it has another.
    """
    deletion = Request(what=request.what, method="DELETE", path=request.path, headers={"If-Match": etag})
    await lane.fetch(deletion, largest=SMALL_ANSWER)


async def put_checked(lane: DirectLane, request: Request, body: Bytes) -> AzureReceipt:
    """PUT a body with its MD5. Bytes that were damaged on the way are sent once more.

    :param request: the PUT, without the body.
    :raises IntegrityError: damaged again.
    """
    send = await _checked(lane, request, body)
    return await twice_if_damaged(lambda: send([]))


async def _checked(
    lane: DirectLane, request: Request, body: Bytes
) -> Callable[[list[str]], Coroutine[None, None, AzureReceipt]]:
    """Return what PUTs a body once, and takes note of the ETag of other bytes that Azure then holds."""
    digest: bytes = await in_thread_if_large(md5, body)
    headers = {
        **request.headers,
        "Content-Length": str(size_of(body)),
        "Content-MD5": base64_of(digest),
        "Content-Type": "application/octet-stream",
    }
    if "x-ms-blob-type" in headers:
        headers["x-ms-blob-content-md5"] = headers["Content-MD5"]
    whole = replace(request, headers=headers, body=body)

    async def once(wrong: list[str]) -> AzureReceipt:
        response, _ = await lane.fetch(whole, largest=SMALL_ANSWER)
        if md5_of_base64(response.headers.get("Content-MD5")) not in {None, digest.hex()}:
            wrong.append(response.headers.get("ETag", '""'))
            raise damaged(request.what)
        return AzureReceipt(response.headers, digest)

    return once


class AzureUpload:
    """An upload in parts.

    :param key: what it will be; `path` is the same, encoded.
    :param what: the attempt and its address, for errors.
    :param head: looks at the key, to see what was made.
    """

    def __init__(
        self, lane: DirectLane, key: str, path: str, what: str, *, head: Callable[[], Awaitable[BlobMeta]]
    ) -> None:
        self._lane = lane
        self._key = key
        self._path = path
        self._what = what
        self._name = uuid4().hex[:16]
        self._head = head
        self._sizes: dict[int, int] = {}
        self._proofs: dict[int, Proof] = {}

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; Azure checks the MD5 that goes along."""
        self._proofs[number] = (await put_checked(self._lane, self._part(number, {}), body)).proof
        self._sizes[number] = size_of(body)

    async def copy_part(self, number: int, span: ByteRange, source: CopySource) -> None:
        """Let Azure make part `number` of a range of another blob."""
        request = self._part(number, {**await copy_headers(source), "x-ms-source-range": span.header})
        await ask(self._lane, request)
        self._proofs[number] = Proof.SIZE
        self._sizes[number] = len(span)

    def _part(self, number: int, headers: Mapping[str, str]) -> Request:
        return Request(
            what=f"{self._what} (part {number})",
            method="PUT",
            path=self._path,
            query=f"comp=block&blockid={encode_value(self._id_of(number))}",
            headers=headers,
        )

    def _id_of(self, number: int) -> str:
        return block_id(self._name, number)

    async def complete(self, *, md5: str | None = None) -> Stored:
        """Make the blob of the parts, each of which Azure has checked; then look at its size.

        :param md5: what is to be kept as the MD5 of the whole.
        :raises Conflict: somebody else wrote the key after the parts were sent, and Azure dropped them.
        :raises IntegrityError: what was made has another size.
        """
        size = sum(self._sizes.values())
        body = block_list([self._id_of(number) for number in sorted(self._sizes)])
        kept = {} if md5 is None else {"x-ms-blob-content-md5": base64_of(bytes.fromhex(md5))}
        request = Request(what=self._what, method="PUT", path=self._path, query="comp=blocklist", headers=kept)
        receipt = await put_checked(self._lane, request, body)
        made = meta_of_headers(self._key, receipt.headers, size)
        await self._check_size(made)
        proof = Proof.SIZE if Proof.SIZE in self._proofs.values() else receipt.proof
        # Its own MD5 is that of the list.
        return Stored.of(replace(made, md5=md5), proof)

    async def _check_size(self, made: BlobMeta) -> None:
        # Who may write need not be allowed to look; and another writer may have come already.
        with suppress(ResourceNotFound, PermissionDenied):
            found = await self._head()
            if found.etag == made.etag and found.size != made.size:
                request = Request(what=self._what, method="PUT", path=self._path)
                await take_back(lambda: _delete(self._lane, request, f'"{found.etag}"'), self._what)
                raise IntegrityError(
                    f"{self._what}: the storage holds {found.size} of the {made.size} bytes that were sent",
                    remedy="Write it again",
                )
