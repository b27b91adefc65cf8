"""The store for Azure Blob Storage: a bucket is a container.

Every verb goes through the direct lane. An upload in parts needs nothing begun or aborted here, and its commit is one
more PUT; the SDK is only asked to sign a URL, so a worker that has a SAS never loads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    BucketsError,
    InvalidAddress,
    ResourceNotFound,
    TransientError,
    UnsupportedProvider,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.failures import first_failure
from airflow_provider_neuro_buckets.buckets.models import Bucket
from airflow_provider_neuro_buckets.buckets.stores import azure_batch, azure_copy
from airflow_provider_neuro_buckets.buckets.stores.azure_access import AzureSigner
from airflow_provider_neuro_buckets.buckets.stores.azure_resume import ResumedAzureUpload
from airflow_provider_neuro_buckets.buckets.stores.azure_upload import AzureUpload, put_blob
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import (
    encode_key,
    encode_value,
    meta_of_headers,
    next_marker,
    parse_listing,
    why_not_held,
)
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    ByteRange,
    Bytes,
    Capability,
    CopySource,
    Page,
    PartLimits,
    PartOf,
    Site,
    Slot,
    Stored,
    Told,
    check_signed_life,
    nobody,
)
from airflow_provider_neuro_buckets.buckets.stores.body import Reading, content_length
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.stores.copying import copy_parts, cut
from airflow_provider_neuro_buckets.buckets.stores.digest import size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, Transport
from airflow_provider_neuro_buckets.buckets.stores.keys import check_key
from airflow_provider_neuro_buckets.buckets.stores.paging import pages_of
from airflow_provider_neuro_buckets.buckets.uri import blob_uri

LARGEST_PAGE = 32 * 1024 * 1024  # 5,000 names of 1,024 characters, each written in up to 5, and what is told of them
SMALL_ANSWER = 1024 * 1024
ALONE_AT_ONCE = 16


class AzureStore:
    """One container. See :class:`~…stores.base.BlobStore` for what each method promises.

    What Azure does not allow to promise: parts that were sent lie beside the key without belonging to an upload, so
    whoever else writes the key in the meantime sweeps them away, and `complete` then raises `Conflict`. Parts that are
    never completed are removed by Azure after a week. A blob made of parts has the MD5 that `complete` was told.
    """

    limits = PartLimits(smallest=1, largest=4000 * 1024**2, most=50_000)
    copy_part = azure_copy.AT_ONCE
    capabilities = frozenset(
        {
            Capability.CONTENT_MD5,
            Capability.COPY,
            Capability.CREATED_AT,
            Capability.EMPTY_SEGMENTS,
            Capability.KEEPS_MD5,
            Capability.RESUME,
        }
    )

    def __init__(self, *, bucket: Bucket, credentials: CredentialSource, transport: Transport) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._signer = AzureSigner()
        self._lane = DirectLane(transport, credentials=credentials, signer=self._signer)

    @property
    def skew(self) -> float:
        """Local clock minus the server's, in seconds."""
        return self._lane.skew

    def address(self, key: str) -> str:
        """Return the ``blob:`` URI of a key."""
        return str(blob_uri(self._bucket.uri, key))

    async def aclose(self) -> None:
        """Do nothing: the HTTP session is the opener's."""

    async def head(self, key: str) -> BlobMeta:
        """Return what Azure says of `key`."""
        request = Request(what=f"cannot look up {self.address(key)}", method="HEAD", path=self._existing(key))
        response, _ = await self._lane.fetch(request, largest=0)
        return meta_of_headers(key, response.headers, content_length(response, request.what))

    async def checksum(self, meta: BlobMeta) -> Checksum | None:  # noqa: ARG002 - BlobStore's signature
        """Return `None`: Azure keeps no other than an MD5."""
        return None

    async def first_part(self, meta: BlobMeta) -> int | None:  # noqa: ARG002 - BlobStore's signature
        """Return `None`: the ETags of Azure are made of nothing."""
        return None

    def read(self, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> Reading:
        """Open the content of `key`; every header of the answer is checked against what was asked."""
        headers = {}
        if span is not None:
            headers["Range"] = span.header
        if etag is not None:
            headers["If-Match"] = f'"{etag}"'
        request = Request(
            what=f"cannot read {self.address(key)}", method="GET", path=self._existing(key), headers=headers
        )
        return Reading(self._lane, request, key=key, span=span, etag=etag, meta_of=meta_of_headers)

    async def write(self, key: str, body: Bytes) -> Stored:
        """Create or replace `key`; Azure checks the MD5 that goes along and keeps it for whoever reads."""
        what = f"cannot write {self.address(key)}"
        request = Request(what=what, method="PUT", path=self._new(key), headers={"x-ms-blob-type": "BlockBlob"})
        receipt = await put_blob(self._lane, request, body)
        meta = meta_of_headers(key, receipt.headers, size_of(body))
        return Stored.of(replace(meta, md5=receipt.digest.hex()), receipt.proof)

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[AzureUpload]:
        """Begin an upload in parts, which takes no request. Left without `complete`, the key holds what it held."""
        yield self._upload(key, f"cannot write {self.address(key)}")

    @asynccontextmanager
    async def resume(
        self,
        key: str,
        part: PartOf | None,
        *,
        note: str = "",  # noqa: ARG002 - the names of the blocks tell
    ) -> AsyncIterator[ResumedAzureUpload]:
        """Take up an upload in parts that was cut off, or begin one."""
        what = f"cannot write {self.address(key)}"
        upload = ResumedAzureUpload(self._lane, key, self._new(key), what, head=lambda: self.head(key))
        if part is not None:
            await upload.look()
        yield upload

    def _upload(self, key: str, what: str) -> AzureUpload:
        return AzureUpload(self._lane, key, self._new(key), what, head=lambda: self.head(key))

    def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List keys, up to 5,000 a page; the next page is on its way while one is handed over."""
        if prefix:
            check_key(prefix)
        where = self.address(prefix)
        return pages_of(
            lambda marker: self._page(prefix, delimiter, page_size, marker),
            lambda answer: parse_listing(answer, where),
            where,
            guess=next_marker,
            page_size=page_size,
        )

    async def _page(self, prefix: str, delimiter: str, page_size: int | None, marker: str | None) -> bytes:
        query = {
            "restype": "container",
            "comp": "list",
            "delimiter": delimiter,
            "marker": marker,
            "maxresults": None if page_size is None else str(page_size),
            "prefix": prefix,
        }
        encoded = "&".join(f"{name}={encode_value(value)}" for name, value in query.items() if value)
        request = Request(what=f"cannot list {self.address(prefix)}", method="GET", path="", query=encoded)
        _, body = await self._lane.fetch(request, largest=LARGEST_PAGE)
        return body

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete keys, 256 a request."""
        for key in keys:
            check_key(key)
        held = [key for key in keys if why_not_held(key) is None]
        failures: dict[str, BucketsError] = {}
        alone = held if len(held) == 1 else []
        batchable = held if len(held) > 1 else []
        for at in range(0, len(batchable), azure_batch.MOST):
            failed, undecided = await self._delete_batch(batchable[at : at + azure_batch.MOST])
            failures |= failed
            alone += undecided
        return failures | await self._delete_alone(alone)

    async def _delete_batch(self, keys: Sequence[str]) -> tuple[dict[str, BucketsError], list[str]]:
        """Delete keys in one request; return the failures, and the keys that have to be tried alone.

        The requests inside are authorised when they are written: credentials that end on the way leave keys undecided.
        """
        access = self._signer.access(await self._credentials.current())
        body = azure_batch.deletions(access, [encode_key(key) for key in keys])
        request = Request(
            what=f"cannot delete {len(keys)} blobs of {self._bucket.uri}",
            method="POST",
            path="",
            query="restype=container&comp=batch",
            headers={"Content-Length": str(len(body)), "Content-Type": azure_batch.CONTENT_TYPE},
            body=body,
        )
        try:
            response, answer = await self._lane.fetch(request, largest=LARGEST_PAGE)
        except BadRequest:
            return {}, list(keys)  # not every service that speaks this protocol knows batches
        outcomes = azure_batch.parse_outcomes(answer, response.headers.get("Content-Type", ""))
        failures: dict[str, BucketsError] = {}
        undecided: list[str] = []
        for number, key in enumerate(keys):
            outcome = outcomes.get(number)
            if outcome is None or not (outcome.is_gone or outcome.is_final):
                undecided.append(key)
            elif not outcome.is_gone:
                what = f"cannot delete {self.address(key)}"
                failures[key] = error_for(outcome.status, what=what, code=outcome.code)
        return failures, undecided

    async def _delete_alone(self, keys: Sequence[str]) -> dict[str, BucketsError]:
        """Delete keys one by one, some side by side."""
        failures: dict[str, BucketsError] = {}
        left = iter(keys)

        async def work() -> None:
            for key in left:
                if error := await self._delete_one(key):
                    failures[key] = error

        async with first_failure(), asyncio.TaskGroup() as group:
            for _ in range(min(ALONE_AT_ONCE, len(keys))):
                group.create_task(work())
        return failures

    async def _delete_one(self, key: str) -> BucketsError | None:
        request = Request(what=f"cannot delete {self.address(key)}", method="DELETE", path=encode_key(key))
        try:
            await self._lane.fetch(request, largest=SMALL_ANSWER)
        except ResourceNotFound:
            return None
        except TransientError:
            raise
        except BucketsError as error:
            return error
        return None

    async def site(self) -> Site:
        """Return where the bucket really is, and what opens it now."""
        return azure_copy.site_of(await self._credentials.current())

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        """Create or replace `key` with a blob of the same service; Azure copies only the version that `source` says."""
        self._new(key)
        what = f"cannot copy {source.address} to {self.address(key)}"
        if source.meta.size > self.copy_part:
            upload = self._upload(key, what)
            parts = cut(source.meta.size, part=self.copy_part, most=self.limits.most)
            await copy_parts(
                parts, lambda number, part: upload.copy_part(number, part, source), slot=slot, copied=copied
            )
            async with slot():
                await upload.complete(md5=source.meta.md5)
        else:
            async with slot():
                made = await azure_copy.copy_whole(self._lane, key, source, what)
            copied(source.meta.size)
            if made is not None:
                return made
        async with slot():
            # The MD5 that it has was copied along with it, or told above, and compared with nothing.
            return replace(await self.head(key), md5=None)

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        """Return a URL with which anybody can GET the blob for a while; needs the account key.

        :raises UnsupportedProvider: the bucket is opened with a SAS, which cannot make another one.
        """
        check_signed_life(expires_in_seconds)
        path = self._new(key)
        access = self._signer.access(await self._credentials.current())
        if access.sas:
            raise UnsupportedProvider(
                f"cannot sign a URL for {self.address(key)}: a SAS opens the bucket, and cannot make another SAS",
                remedy="Let the platform sign, or use credentials with the account key",
            )
        return await asyncio.to_thread(access.read_url, path, key, expires_in_seconds=expires_in_seconds - self.skew)

    def _existing(self, key: str) -> str:
        """Return the path of a key that is read."""
        check_key(key)
        if reason := why_not_held(key):
            raise ResourceNotFound(f"there is no blob {self.address(key)}: {reason}", remedy="Check the key")
        return encode_key(key)

    def _new(self, key: str) -> str:
        """Return the path of a key that is written."""
        check_key(key)
        if reason := why_not_held(key):
            raise InvalidAddress(f"Azure cannot hold {self.address(key)}: {reason}", remedy="Choose another key")
        return encode_key(key)
