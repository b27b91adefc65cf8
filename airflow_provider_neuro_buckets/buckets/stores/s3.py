"""S3 and its relatives: AWS, MinIO, SeaweedFS, OpenStack Swift, EMC ECS.

Bodies, listings, HEAD and deletions go through the direct lane; aiobotocore begins, completes and aborts uploads in
parts, with its own retries switched off so that attempts never multiply.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    Conflict,
    IntegrityError,
    ResourceNotFound,
    TransientError,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketProvider
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    ByteRange,
    Bytes,
    Capability,
    Page,
    PartLimits,
)
from airflow_provider_neuro_buckets.buckets.stores.body import StreamedBody, content_length, whole_size
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.paging import pages_of
from airflow_provider_neuro_buckets.buckets.stores.s3_sdk import S3Sdk
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    S3Signer,
    deletion,
    encode_key,
    fits_xml,
    md5_header,
    md5_of_etag,
    meta_of_headers,
    parse_deletion,
    parse_listing,
)
from airflow_provider_neuro_buckets.buckets.uri import blob_uri

log = logging.getLogger(__name__)

LARGEST_PAGE = 16 * 1024 * 1024
SMALL_ANSWER = 1024 * 1024
BATCH = 1000
ABORT_SECONDS = 3.0

_EVERYWHERE = frozenset({Capability.CONTENT_MD5})
_EVERY_KEY = frozenset({Capability.EMPTY_SEGMENTS, Capability.DOT_SEGMENTS})
CAPABILITIES = {
    BucketProvider.AWS: _EVERYWHERE | _EVERY_KEY,
    # MinIO refuses dot segments and folds empty ones; SeaweedFS folds or refuses both.
    BucketProvider.MINIO: _EVERYWHERE,
    BucketProvider.SEAWEEDFS: _EVERYWHERE,
    BucketProvider.OPEN_STACK: _EVERYWHERE | _EVERY_KEY,
    BucketProvider.EMC_ECS: _EVERYWHERE | _EVERY_KEY,
}


class S3Store:
    """One bucket of an S3-compatible service. See :class:`~…stores.base.BlobStore` for what each method promises."""

    limits = PartLimits(smallest=5 * 1024**2, largest=5 * 1024**3, most=10_000)

    def __init__(
        self, *, bucket: Bucket, credentials: CredentialSource, http: aiohttp.ClientSession, retry: RetryPolicy
    ) -> None:
        self._bucket = bucket
        self._lane = DirectLane(http=http, credentials=credentials, signer=S3Signer(), retry=retry)
        self._sdk = S3Sdk(credentials)
        self.capabilities = CAPABILITIES.get(BucketProvider(bucket.provider), _EVERYWHERE)

    @property
    def skew(self) -> float:
        """Local clock minus the server's, in seconds."""
        return self._lane.skew

    def address(self, key: str) -> str:
        """Return the ``blob:`` URI of a key."""
        return str(blob_uri(self._bucket.uri, key))

    async def aclose(self) -> None:
        """Close the SDK's client, if it was ever needed."""
        await self._sdk.aclose()

    async def head(self, key: str) -> BlobMeta:
        """Return what S3 says of `key`."""
        request = Request(what=f"cannot look up {self.address(key)}", method="HEAD", path=encode_key(key))
        response, _ = await self._lane.fetch(request, largest=0)
        return meta_of_headers(key, response.headers, content_length(response, request.what))

    @asynccontextmanager
    async def read(
        self, key: str, *, span: ByteRange | None = None, etag: str | None = None
    ) -> AsyncIterator[StreamedBody]:
        """Open the content of `key`; every header of the answer is checked against what was asked."""
        headers = {}
        if span is not None:
            headers["Range"] = span.header
        if etag is not None:
            headers["If-Match"] = f'"{etag}"'
        request = Request(what=f"cannot read {self.address(key)}", method="GET", path=encode_key(key), headers=headers)
        async with self._lane.open(request) as response:
            expected = content_length(response, request.what)
            size = whole_size(response, span, expected, request.what)
            meta = meta_of_headers(key, response.headers, size)
            if etag is not None and meta.etag != etag:
                raise Conflict(f"{request.what}: the storage sends another version", remedy="Try again")
            yield StreamedBody(meta, response, expected, request.what)

    async def write(self, key: str, body: Bytes) -> BlobMeta:
        """Create or replace `key`; S3 checks the MD5 that goes along, and the ETag it answers is checked here."""
        etag = await self._put(f"cannot write {self.address(key)}", encode_key(key), "", body)
        return BlobMeta(key=key, size=_size(body), etag=etag, md5=md5_of_etag(etag))

    async def _put(self, what: str, path: str, query: str, body: Bytes) -> str | None:
        digest: hashlib._Hash = await in_thread_if_large(_md5, body)
        request = Request(
            what=what,
            method="PUT",
            path=path,
            query=query,
            headers={"Content-MD5": md5_header(digest.digest()), "Content-Length": str(_size(body))},
            body=body,
        )
        response, _ = await self._lane.fetch(request, largest=SMALL_ANSWER)
        etag = response.headers.get("ETag", "").strip('"') or None
        encrypted = response.headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
        if not encrypted and md5_of_etag(etag) not in {None, digest.hexdigest()}:
            raise IntegrityError(f"{what}: the storage holds other bytes than were sent", remedy="Write it again")
        return etag

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[S3Upload]:
        """Begin an upload in parts; whatever ends the block without `complete` aborts it."""
        what = f"cannot write {self.address(key)}"
        begun = await self._call("create_multipart_upload", what, Key=key)
        upload = S3Upload(self, key, begun["UploadId"], what)
        try:
            yield upload
        finally:
            if not upload.completed:
                await self._abort(upload)

    async def _abort(self, upload: S3Upload) -> None:
        """Abort an upload within seconds, also while being cancelled; a failure is told, never raised."""
        abort = asyncio.ensure_future(
            self._call("abort_multipart_upload", upload.what, Key=upload.key, UploadId=upload.upload_id)
        )
        try:
            await asyncio.wait_for(asyncio.shield(abort), ABORT_SECONDS)
        except ResourceNotFound:
            pass
        except (BucketsError, TimeoutError) as error:
            abort.cancel()
            log.warning(
                "The upload %s of %s could not be aborted (%s); its parts remain until the bucket's rules remove them",
                upload.upload_id,
                self.address(upload.key),
                type(error).__name__,
            )

    async def _call(self, operation: str, what: str, **parameters: Any) -> Any:
        return await self._lane.retrying(lambda: self._sdk.call(operation, what, **parameters), what)

    def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List keys; the next page is on its way while one is handed over."""
        return pages_of(lambda token: self._page(prefix, delimiter, page_size, token), self.address(prefix))

    async def _page(
        self, prefix: str, delimiter: str, page_size: int | None, token: str | None
    ) -> tuple[Page, str | None]:
        where = self.address(prefix)
        query = {
            "continuation-token": token,
            "delimiter": delimiter or None,
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": None if page_size is None else str(page_size),
            "prefix": prefix or None,
        }
        encoded = "&".join(f"{name}={_quoted(value)}" for name, value in query.items() if value is not None)
        request = Request(what=f"cannot list {where}", method="GET", path="", query=encoded)
        _, body = await self._lane.fetch(request, largest=LARGEST_PAGE)
        return await asyncio.to_thread(parse_listing, body, where)

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete keys, 1,000 a request; those that XML cannot hold one by one."""
        failures: dict[str, BucketsError] = {}
        batchable = [key for key in keys if fits_xml(key)] if len(keys) > 1 else []
        for at in range(0, len(batchable), BATCH):
            failures |= await self._delete_batch(batchable[at : at + BATCH])
        alone = keys if len(keys) == 1 else [key for key in keys if not fits_xml(key)]
        for key in alone:
            request = Request(what=f"cannot delete {self.address(key)}", method="DELETE", path=encode_key(key))
            try:
                await self._lane.fetch(request, largest=SMALL_ANSWER)
            except ResourceNotFound:
                continue
            except TransientError:
                raise
            except BucketsError as error:
                failures[key] = error
        return failures

    async def _delete_batch(self, keys: Sequence[str]) -> dict[str, BucketsError]:
        where = str(self._bucket.uri)
        body = deletion(keys)
        request = Request(
            what=f"cannot delete {len(keys)} blobs of {where}",
            method="POST",
            path="",
            query="delete=",
            headers={"Content-MD5": md5_header(_md5(body).digest()), "Content-Length": str(len(body))},
            body=body,
        )
        _, answer = await self._lane.fetch(request, largest=LARGEST_PAGE)
        failed = await asyncio.to_thread(parse_deletion, answer, where)
        return {
            key: error_for(
                403 if code == "AccessDenied" else 400,
                what=f"cannot delete {self.address(key)}",
                code=code,
                detail=message,
            )
            for key, code, message in failed
            if code not in {"NoSuchKey", "NoSuchVersion"}
        }


class S3Upload:
    """An upload in parts that has begun."""

    def __init__(self, store: S3Store, key: str, upload_id: str, what: str) -> None:
        self._store = store
        self._etags: dict[int, str] = {}
        self._sizes: dict[int, int] = {}
        self.key = key
        self.upload_id = upload_id
        self.what = what
        self.completed = False

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1; its MD5 goes along and its ETag is checked."""
        query = f"partNumber={number}&uploadId={_quoted(self.upload_id)}"
        etag = await self._store._put(f"{self.what} (part {number})", encode_key(self.key), query, body)  # noqa: SLF001 - one class in two
        self._etags[number] = etag or ""
        self._sizes[number] = _size(body)

    async def complete(self) -> BlobMeta:
        """Make the blob of the parts; after a lost answer the blob itself tells whether it was made."""
        parts = [{"PartNumber": number, "ETag": f'"{self._etags[number]}"'} for number in sorted(self._etags)]
        size = sum(self._sizes.values())
        try:
            answer = await self._store._call(  # noqa: SLF001 - one class in two
                "complete_multipart_upload",
                self.what,
                Key=self.key,
                UploadId=self.upload_id,
                MultipartUpload={"Parts": parts},
            )
        except ResourceNotFound:
            meta = await self._store.head(self.key)
            if meta.size != size or meta.etag != self._etag():
                raise
            self.completed = True
            return meta
        self.completed = True
        etag = answer.get("ETag", "").strip('"') or None
        return BlobMeta(key=self.key, size=size, etag=etag)

    def _etag(self) -> str:
        """Return the ETag that S3 gives to these parts."""
        digests = b"".join(bytes.fromhex(self._etags[number]) for number in sorted(self._etags))
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self._etags)}"


def _md5(body: Bytes) -> hashlib._Hash:
    return hashlib.md5(body, usedforsecurity=False)


def _size(body: Bytes) -> int:
    return body.nbytes if isinstance(body, memoryview) else len(body)


def _quoted(text: str) -> str:
    return encode_key(text).replace("/", "%2F")
