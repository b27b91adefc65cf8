"""S3 and its relatives: AWS, MinIO, SeaweedFS, OpenStack Swift, EMC ECS.

Every verb is a request on the direct lane: one policy of retries, one way to renew credentials, one set of
certificates.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from types import MappingProxyType

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BadRequest,
    BucketsError,
    Conflict,
    InvalidAddress,
    PermissionDenied,
    ResourceNotFound,
    TransientError,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketProvider
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    ByteRange,
    Bytes,
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
from airflow_provider_neuro_buckets.buckets.stores.keys import check_key, impossible, impossible_prefix
from airflow_provider_neuro_buckets.buckets.stores.paging import pages_of
from airflow_provider_neuro_buckets.buckets.stores.s3_address import is_tamper_proof
from airflow_provider_neuro_buckets.buckets.stores.s3_batch import BATCH, delete_batch
from airflow_provider_neuro_buckets.buckets.stores.s3_kinds import CAPABILITIES, EVERYWHERE, MARKERS_ARE_EMPTY
from airflow_provider_neuro_buckets.buckets.stores.s3_put import put_blob
from airflow_provider_neuro_buckets.buckets.stores.s3_resume import ResumedS3Upload
from airflow_provider_neuro_buckets.buckets.stores.s3_upload import S3Upload, copy_whole
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    SMALL_ANSWER,
    S3Signer,
    bare_etag,
    checksum_of,
    encode_key,
    encode_query,
    fits_xml,
    is_md5_hidden,
    is_of_parts,
    meta_of_headers,
    next_token,
    parse_listing,
    site_of,
)
from airflow_provider_neuro_buckets.buckets.uri import quote_key

LARGEST_PAGE = 16 * 1024 * 1024


class S3Store:
    """One bucket of an S3-compatible service. See :class:`~…stores.base.BlobStore` for what each method promises."""

    limits = PartLimits(smallest=5 * 1024**2, largest=5 * 1024**3, most=10_000)
    copy_part = 512 * 1024**2
    """S3 copies ten times as much at once; but not every service does so within the time that a silence may last."""

    def __init__(self, *, bucket: Bucket, credentials: CredentialSource, transport: Transport) -> None:
        self._bucket = bucket
        self._uri = str(bucket.uri)
        self._credentials = credentials
        self._signer = S3Signer()
        self._lane = DirectLane(transport, credentials=credentials, signer=self._signer)
        self.capabilities = CAPABILITIES.get(BucketProvider(bucket.provider), EVERYWHERE)

    @property
    def skew(self) -> float:
        """Local clock minus the server's, in seconds."""
        return self._lane.skew

    def address(self, key: str) -> str:
        """Return the ``blob:`` URI of a key."""
        return f"{self._uri}/{quote_key(key)}"

    async def aclose(self) -> None:
        """Release nothing: the connections belong to the session."""

    def _check_writable(self, key: str, size: int) -> None:
        """Refuse what the provider would report as a success and not keep: a key it rewrites, content it drops."""
        check_key(key)
        if size and key.endswith("/") and self._bucket.provider in MARKERS_ARE_EMPTY:
            raise InvalidAddress(
                f"{self.address(key)} ends with '/', and {self._bucket.provider} keeps no content in such a key",
                remedy="Choose another key",
            )
        if found := impossible(key, self.capabilities):
            raise InvalidAddress(
                f"{self.address(key)} has {found}, which {self._bucket.provider} cannot keep in a key",
                remedy="Choose another key",
            )

    def _check_possible(self, key: str) -> None:
        """Refuse a key that the provider would rewrite: it would answer for another blob."""
        check_key(key)
        if found := impossible(key, self.capabilities):
            raise ResourceNotFound(
                f"there is no blob {self.address(key)}: {self._bucket.provider} cannot keep {found} in a key",
                remedy="Check the address",
            )

    async def head(self, key: str) -> BlobMeta:
        """Return what S3 says of `key`."""
        self._check_possible(key)
        headers, length = await self._look_up(key)
        return meta_of_headers(key, headers, length)

    async def checksum(self, meta: BlobMeta) -> Checksum | None:
        """Return the checksum that an uploader has chosen, or AWS where nobody did."""
        # Not in `head`: who may not decrypt would be refused.
        try:
            headers, _ = await self._look_up(meta.key, headers={"x-amz-checksum-mode": "ENABLED"})
        except (BadRequest, UnsupportedProvider):
            return None  # not every service knows of checksums
        return checksum_of(headers) if bare_etag(headers.get("ETag")) == meta.etag else None

    async def _look_up(
        self, key: str, *, query: str = "", headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[Mapping[str, str], int]:
        what = f"cannot look up {self.address(key)}"
        request = Request(what=what, method="HEAD", path=encode_key(key), query=query, headers=headers)
        try:
            response, _ = await self._lane.fetch(request, largest=0)
        except (AuthenticationError, PermissionDenied, BadRequest):
            await self._ask_why(request)
            response, _ = await self._lane.fetch(request, largest=0)
        return response.headers, content_length(response, request.what)

    async def _ask_why(self, refused: Request) -> None:
        """Find out why a HEAD was refused, and renew credentials that have ended.

        The answer to a HEAD has no body that could tell. That to a GET has; it asks for a version that never is, so
        that no content comes.

        :raises BucketsError: the reason.
        """
        with suppress(Conflict):
            async with self._lane.open(replace(refused, method="GET", headers={"If-Match": '"-"'})):
                pass

    async def first_part(self, meta: BlobMeta) -> int | None:
        """Return the bytes of the first part of a blob; `None` where its ETag is not made of the parts' MD5s."""
        if not is_of_parts(meta.etag):
            return None
        try:
            headers, length = await self._look_up(meta.key, query="partNumber=1")
        except (BadRequest, UnsupportedProvider):
            return None  # not every service knows of the parts once the blob is made
        # Some answer with the ETag of the part. Another one of parts is that of another version.
        etag = bare_etag(headers.get("ETag"))
        is_other = is_of_parts(etag) and etag != meta.etag
        return None if is_other or is_md5_hidden(headers) else length

    def read(self, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> Reading:
        """Open the content of `key`; every header of the answer is checked against what was asked."""
        self._check_possible(key)
        headers = {}
        if span is not None:
            headers["Range"] = span.header
        if etag is not None:
            headers["If-Match"] = f'"{etag}"'
        request = Request(what=f"cannot read {self.address(key)}", method="GET", path=encode_key(key), headers=headers)
        return Reading(self._lane, request, key=key, span=span, etag=etag, meta_of=meta_of_headers)

    async def write(self, key: str, body: Bytes) -> Stored:
        """Create or replace `key`; S3 checks the MD5 that goes along, and the ETag it answers is checked here."""
        self._check_writable(key, size_of(body))
        request = Request(what=f"cannot write {self.address(key)}", method="PUT", path=encode_key(key))
        made = await put_blob(self._lane, request, body, head=lambda: self.head(key))
        return Stored(key=key, size=size_of(body), etag=made.etag, md5=made.md5, proof=made.proof)

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[S3Upload]:
        """Begin an upload in parts; whatever ends the block without `complete` aborts it."""
        self._check_writable(key, size=1)
        what = f"cannot write {self.address(key)}"
        async with self._upload(key, what, is_summed=await self._sums()) as upload:
            yield upload

    async def _sums(self) -> bool:
        """Whether a CRC32 is enough to show that the bytes have arrived."""
        return is_tamper_proof((await self._credentials.current()).credentials)

    @asynccontextmanager
    async def resume(self, key: str, part: PartOf | None, *, note: str = "") -> AsyncIterator[ResumedS3Upload]:
        """Take up an upload in parts that was cut off, or begin one."""
        self._check_writable(key, size=1)
        what = f"cannot write {self.address(key)}"
        is_summed = await self._sums()
        upload = ResumedS3Upload(lane=self._lane, key=key, what=what, head=lambda: self.head(key), is_summed=is_summed)
        await upload.take_up(part, note)
        try:
            yield upload
        finally:
            await upload.abort()

    @asynccontextmanager
    async def _upload(self, key: str, what: str, *, is_summed: bool = False) -> AsyncIterator[S3Upload]:
        upload = S3Upload(lane=self._lane, key=key, what=what, head=lambda: self.head(key), is_summed=is_summed)
        await upload.begin()
        try:
            yield upload
        finally:
            await upload.abort()

    def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List keys; the next page is on its way while one is handed over."""
        if prefix:
            check_key(prefix)
        if impossible_prefix(prefix, self.capabilities):
            return _nothing()
        where = self.address(prefix)
        return pages_of(
            lambda token: self._page(prefix, delimiter, page_size, token),
            lambda answer: parse_listing(answer, where),
            where,
            guess=next_token,
            page_size=page_size,
        )

    async def _page(self, prefix: str, delimiter: str, page_size: int | None, token: str | None) -> bytes:
        fields = {
            "continuation-token": token,
            "delimiter": delimiter or None,
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": None if page_size is None else str(page_size),
            "prefix": prefix or None,
        }
        request = Request(what=f"cannot list {self.address(prefix)}", method="GET", path="", query=encode_query(fields))
        _, body = await self._lane.fetch(request, largest=LARGEST_PAGE)
        return body

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete keys, 1,000 a request; alone go those that XML cannot hold, and those that S3 asks to try again."""
        for key in keys:
            check_key(key)
        # A key that cannot exist is gone already; the provider would delete another one for it.
        wanted = [key for key in keys if not impossible(key, self.capabilities)]
        batchable = [key for key in wanted if fits_xml(key)] if len(wanted) > 1 else []
        failures: dict[str, BucketsError] = {}
        for at in range(0, len(batchable), BATCH):
            batch = batchable[at : at + BATCH]
            failures |= await delete_batch(self._lane, batch, where=self._uri, address=self.address)
        done = set(batchable) - {key for key, error in failures.items() if isinstance(error, TransientError)}
        for key in wanted:
            if key not in done:
                failures.pop(key, None)
                failures |= await self._delete_one(key)
        return failures

    async def _delete_one(self, key: str) -> dict[str, BucketsError]:
        request = Request(what=f"cannot delete {self.address(key)}", method="DELETE", path=encode_key(key))
        try:
            await self._lane.fetch(request, largest=SMALL_ANSWER)
        except ResourceNotFound:
            return {}
        except TransientError:
            raise
        except BucketsError as error:
            return {key: error}
        return {}

    async def site(self) -> Site:
        """Return where the bucket really is, and what opens it now."""
        return site_of(await self._credentials.current())

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        """Create or replace `key` with a blob of the same service; S3 copies only the version that `source` says."""
        self._check_writable(key, source.meta.size)
        what = f"cannot copy {source.address} to {self.address(key)}"
        if source.meta.size > self.copy_part:
            await self._copy_in_parts(key, source, what, slot=slot, copied=copied)
        else:
            async with slot():
                made = await copy_whole(self._lane, key, source, what)
            copied(source.meta.size)
            if made is not None:
                return made
        async with slot():
            return await self.head(key)

    async def _copy_in_parts(self, key: str, source: CopySource, what: str, *, slot: Slot, copied: Told) -> None:
        parts = cut(source.meta.size, part=self.copy_part, most=self.limits.most)
        async with AsyncExitStack() as stack:
            async with slot():
                upload = await stack.enter_async_context(self._upload(key, what))
            await copy_parts(
                parts, lambda number, part: upload.copy_part(number, part, source), slot=slot, copied=copied
            )
            async with slot():
                await upload.complete()

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        """Return a URL with which anybody can GET `key`."""
        check_signed_life(expires_in_seconds)
        self._check_writable(key, size=0)
        return self._signer.presign(await self._credentials.current(), key, seconds=expires_in_seconds, skew=self.skew)


async def _nothing() -> AsyncIterator[Page]:
    yield Page(blobs=())
