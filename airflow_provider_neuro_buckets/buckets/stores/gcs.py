"""Google Cloud Storage: the JSON API for all but uploads in parts, every request through the direct lane.

A version of a blob is its generation: it changes with the content and only with it, where Google's ETag also changes
with metadata. It stands in :attr:`BlobMeta.etag`.

Credentials have an access token that ends, or the key of a service account (the extra ``gcp``). They may carry
`endpoint_url`, as those of S3 do: an addition of this package for emulators, https or loopback only.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource, needed
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    InvalidAddress,
    InvalidAnswer,
    ResourceNotFound,
    TransientError,
    UnsupportedProvider,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.failures import first_failure
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.models import Bucket
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    ByteRange,
    Bytes,
    Capability,
    CopySource,
    Page,
    PartLimits,
    Proof,
    ResumedUpload,
    Site,
    Slot,
    Stored,
    Told,
    check_signed_life,
    nobody,
)
from airflow_provider_neuro_buckets.buckets.stores.body import Reading
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum, is_computable
from airflow_provider_neuro_buckets.buckets.stores.damage import damaged, right_or_gone
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of, md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, Transport, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.gcs_batch import BATCH, BATCH_PATH, deletions, parse_answers
from airflow_provider_neuro_buckets.buckets.stores.gcs_copy import rewrite, site_of
from airflow_provider_neuro_buckets.buckets.stores.gcs_keys import TokenSource, signed_url
from airflow_provider_neuro_buckets.buckets.stores.gcs_parts import GcsUpload, delete_version
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import (
    BLOB_FIELDS,
    LISTING_FIELDS,
    LISTING_PATH,
    UPLOAD_PATH,
    GcsSigner,
    blob_path,
    checksum_of,
    endpoint,
    meta_of_headers,
    parse_blob,
    parse_listing,
    quoted,
    refusal,
    related_parts,
    why_not_held,
)
from airflow_provider_neuro_buckets.buckets.stores.keys import check_key
from airflow_provider_neuro_buckets.buckets.stores.paging import pages_of
from airflow_provider_neuro_buckets.buckets.uri import blob_uri

LARGEST_PAGE = 16 * 1024 * 1024
SMALL_ANSWER = 1024 * 1024
BATCHES_AT_ONCE = 4
_EVERYWHERE = frozenset(
    {
        Capability.BACKSLASH,
        Capability.CONTENT_MD5,
        Capability.COPY,
        Capability.CREATED_AT,
        Capability.DOT_SEGMENTS,
        Capability.EMPTY_SEGMENTS,
    }
)


class GcsStore:
    """One bucket of Google Cloud Storage. See :class:`~…stores.base.BlobStore` for what each method promises."""

    limits = PartLimits(smallest=5 * 1024**2, largest=5 * 1024**3, most=10_000)
    copy_part = 5 * 1024**4  # how much it copies at a time, the service decides by itself

    def __init__(self, *, bucket: Bucket, credentials: CredentialSource, transport: Transport) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._tokens = TokenSource(credentials, transport.http)
        tokens = CredentialSource(self._tokens.fetch)
        self._lane = DirectLane(transport, credentials=tokens, signer=GcsSigner())

    @property
    def skew(self) -> float:
        """Local clock minus the server's, in seconds."""
        return self._lane.skew

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this bucket can do; whether its credentials sign is known once they were asked for."""
        return _EVERYWHERE | {Capability.SIGN} if self._tokens.can_sign else _EVERYWHERE

    def address(self, key: str) -> str:
        """Return the ``blob:`` URI of a key."""
        return str(blob_uri(self._bucket.uri, key))

    async def aclose(self) -> None:
        """Release nothing: the HTTP session is the client's."""

    def _check_writable(self, key: str) -> None:
        check_key(key)
        if reason := why_not_held(key):
            raise InvalidAddress(f"Google takes no blob {self.address(key)}: {reason}", remedy="Choose another key")

    def _check_possible(self, key: str) -> None:
        check_key(key)
        if reason := why_not_held(key):
            raise ResourceNotFound(f"there is no blob {self.address(key)}: {reason}", remedy="Check the address")

    async def head(self, key: str) -> BlobMeta:
        """Return what the service says of `key`."""
        return (await self._look_up(key))[0]

    async def _look_up(self, key: str) -> tuple[BlobMeta, str | None]:
        self._check_possible(key)
        what = f"cannot look up {self.address(key)}"
        request = Request(what=what, method="GET", path=blob_path(key), query=f"fields={quoted(BLOB_FIELDS)}")
        _, answer = await self._lane.fetch(request, largest=SMALL_ANSWER)
        return parse_blob(key, answer, what)

    async def checksum(self, meta: BlobMeta) -> Checksum | None:
        """Return the CRC32C, where something is installed that computes it fast."""
        return checksum_of(meta, *await self._look_up(meta.key)) if is_computable("crc32c") else None

    async def first_part(self, meta: BlobMeta) -> int | None:  # noqa: ARG002 - BlobStore's signature
        """Return `None`: a generation is made of nothing."""
        return None

    def read(self, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> Reading:
        """Open the content of `key` as it is stored; every header of the answer is checked against what was asked."""
        self._check_possible(key)
        # A blob stored as gzip would else be unpacked on the way, and fit neither its size nor any range.
        headers = {"Accept-Encoding": "gzip"}
        if span is not None:
            headers["Range"] = span.header
        query = "alt=media" if etag is None else f"alt=media&ifGenerationMatch={quoted(etag)}"
        what = f"cannot read {self.address(key)}"
        request = Request(what=what, method="GET", path=blob_path(key), query=query, headers=headers)
        return Reading(
            self._lane, request, key=key, span=span, etag=etag, meta_of=meta_of_headers, check=_check_as_stored
        )

    async def write(self, key: str, body: Bytes) -> Stored:
        """Create or replace `key`; the service checks the MD5 that goes along before it stores anything.

        Bytes that were damaged on the way are sent once more. If it stores others all the same, they do not stay.
        """
        self._check_writable(key)
        what = f"cannot write {self.address(key)}"
        digest: bytes = await in_thread_if_large(md5, body)
        boundary = secrets.token_hex(16)
        head, tail = related_parts({"name": key, "md5Hash": base64_of(digest)}, boundary)
        request = Request(
            what=what,
            method="POST",
            path=UPLOAD_PATH,
            query=f"uploadType=multipart&fields={quoted(BLOB_FIELDS)}",
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            body=(head, body, tail),
        )

        async def once(wrong: list[str]) -> Stored:
            _, answer = await self._lane.fetch(request, largest=SMALL_ANSWER)
            meta, _ = parse_blob(key, answer, what)
            if meta.size != size_of(body) or meta.md5 not in {None, digest.hex()}:
                wrong.append(meta.etag or "")
                raise damaged(what)
            return Stored.of(meta, Proof.SIZE if meta.md5 is None else Proof.CHECKSUM)

        return await right_or_gone(once, lambda version: delete_version(self._lane, key, version, what), what)

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[GcsUpload]:
        """Begin an upload in parts; whatever ends the block without `complete` aborts it."""
        self._check_writable(key)
        upload = GcsUpload(
            self._lane, key=key, what=f"cannot write {self.address(key)}", look_up=lambda: self._look_up(key)
        )
        await upload.begin()
        try:
            yield upload
        finally:
            await upload.abort()

    def resume(self, key: str, *_: object, **__: object) -> AbstractAsyncContextManager[ResumedUpload]:
        """Raise: there is no `Capability.RESUME`."""
        raise UnsupportedProvider(f"cannot take up an upload of {self.address(key)}", remedy="Begin it anew")

    def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List keys; the next page is on its way while one is handed over."""
        if prefix:
            check_key(prefix)
        where = self.address(prefix)
        return pages_of(
            lambda token: self._page(prefix, delimiter, page_size, token),
            lambda answer: parse_listing(answer, where),
            where,
            page_size=page_size,
        )

    async def _page(self, prefix: str, delimiter: str, page_size: int | None, token: str | None) -> bytes:
        query = {
            "delimiter": delimiter or None,
            "fields": LISTING_FIELDS,
            "maxResults": None if page_size is None else str(page_size),
            "pageToken": token,
            "prefix": prefix or None,
        }
        encoded = "&".join(f"{name}={quoted(value)}" for name, value in query.items() if value is not None)
        request = Request(what=f"cannot list {self.address(prefix)}", method="GET", path=LISTING_PATH, query=encoded)
        _, body = await self._lane.fetch(request, largest=LARGEST_PAGE)
        return body

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete keys, 100 a request and some requests at once; a single one by itself."""
        for key in keys:
            check_key(key)
        keys = [key for key in keys if why_not_held(key) is None]
        if len(keys) == 1:
            return await self._delete_each(keys)
        failures: dict[str, BucketsError] = {}
        slots = asyncio.Semaphore(BATCHES_AT_ONCE)

        async def delete_some(some: Sequence[str]) -> None:
            async with slots:
                failures.update(await self._delete_batch(some))

        async with first_failure(), asyncio.TaskGroup() as group:
            for at in range(0, len(keys), BATCH):
                group.create_task(delete_some(keys[at : at + BATCH]))
        return failures

    async def _delete_each(self, keys: Sequence[str]) -> dict[str, BucketsError]:
        failures: dict[str, BucketsError] = {}
        for key in keys:
            request = Request(what=self._deletion(key), method="DELETE", path=blob_path(key))
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
        """Delete keys in one request; those that came too late for its token, or at a bad moment, again one by one."""
        what = f"cannot delete {len(keys)} blobs of {self._bucket.uri}"
        given = await self._lane.retrying(self._credentials.current, what)
        boundary = secrets.token_hex(16)
        request = Request(
            what=what,
            method="POST",
            path=BATCH_PATH,
            headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
            body=deletions(keys, bucket_name=needed(given.credentials, "bucket_name"), boundary=boundary),
        )
        response, body = await self._lane.fetch(request, largest=LARGEST_PAGE)
        answers = parse_answers(response.headers.get("Content-Type", ""), body, what)
        failures: dict[str, BucketsError] = {}
        again: list[str] = []
        for number, key in enumerate(keys):
            status, refused = answers.get(number, (HTTPStatus.SERVICE_UNAVAILABLE, b""))
            if status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_FOUND:
                continue
            code, detail = refusal(refused)
            error = error_for(status, what=self._deletion(key), code=code, detail=detail[:200])
            if isinstance(error, TransientError | AuthenticationError):
                again.append(key)
            else:
                failures[key] = error
        return failures | await self._delete_each(again)

    def _deletion(self, key: str) -> str:
        return f"cannot delete {self.address(key)}"

    async def site(self) -> Site:
        """Return where the bucket really is, and what opens it now."""
        what = f"cannot open {self._bucket.uri}"
        return site_of(await self._lane.retrying(self._credentials.current, what))

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        """Create or replace `key` with a blob of the same service; it copies only the version that `source` says."""
        self._check_writable(key)
        what = f"cannot copy {source.address} to {self.address(key)}"
        return await rewrite(self._lane, key, source, what, slot=slot, copied=copied)

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        """Return a URL with which anybody can GET the blob for a while; needs the key of a service account.

        :raises UnsupportedProvider: the credentials are an access token, which cannot sign.
        """
        self._check_writable(key)
        check_signed_life(expires_in_seconds)
        what = f"cannot sign {self.address(key)}"
        given = await self._lane.retrying(self._credentials.current, what)
        keys = given.credentials
        if "key_data" not in keys:
            raise UnsupportedProvider(
                f"{what}: its credentials are an access token, which cannot sign",
                remedy="Let the platform sign, or use persistent credentials",
            )
        return signed_url(
            await self._tokens.account(given),
            endpoint=endpoint(keys),
            bucket_name=needed(keys, "bucket_name"),
            key=key,
            expires_in_seconds=expires_in_seconds,
            now=datetime.now(UTC) - timedelta(seconds=self.skew),
        )


def _check_as_stored(answer: Answer, what: str) -> None:
    """Refuse content that was packed or unpacked on the way."""
    sent = answer.headers.get("Content-Encoding", "identity")
    stored = answer.headers.get("X-Goog-Stored-Content-Encoding", sent)
    if sent != stored:
        raise InvalidAnswer(f"{what}: the answer is encoded as {sent!r}, not as it is stored ({stored!r})")
