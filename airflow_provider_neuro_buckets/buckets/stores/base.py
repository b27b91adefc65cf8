"""What a store must do: nine verbs on the keys of one bucket inside one provider. Everything richer is built on these.

A store never retries by itself above one request, never follows a redirect, and raises only the errors of
`buckets.errors`. Text in those errors names the blob by the address that `BlobStore.address` gives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ConfigurationError
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum

Bytes = bytes | bytearray | memoryview
Slot = Callable[[], AbstractAsyncContextManager[None]]
"""Gives the right to one more request at once, for the time of a block."""
PartOf = Callable[[int], Awaitable["Bytes | None"]]
"""Gives the content of a part by its number, from 1; `None` if it has no such part."""
Told = Callable[[int], object]
"""Hears of a number of bytes."""

LONGEST_SIGNED_SECONDS = 7 * 24 * 3600


class Capability(StrEnum):
    """What not every provider can do. A test that needs one is skipped, by name, where a store does not declare it."""

    CREATED_AT = "created_at"
    EMPTY_SEGMENTS = "empty_segments"
    DOT_SEGMENTS = "dot_segments"
    BACKSLASH = "backslash"
    CONTENT_MD5 = "content_md5"
    SIGN = "sign"
    COPY = "copy"
    RESUME = "resume"
    """An upload in parts that was cut off is taken up again."""
    KEEPS_MD5 = "keeps_md5"
    """It computes no MD5 of a blob made of parts, and keeps the one that it is told."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``[start, stop)`` of one blob. HTTP's closed form exists only in `header`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ConfigurationError(f"cannot read bytes {self.start}..{self.stop}", remedy="Pass 0 <= start < stop")

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def header(self) -> str:
        """Value of the HTTP header ``Range``."""
        return f"bytes={self.start}-{self.stop - 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLimits:
    """What a provider accepts in a multipart upload, in bytes and counts. The last part may be smaller."""

    smallest: int
    largest: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobMeta:
    """What the provider says of one blob.

    :ivar etag: identity of this version, without quotes; not a content hash unless `md5` says so.
    :ivar md5: hex MD5 of the content where the provider vouches for one (a single-part S3 ETag, Azure Content-MD5).
    """

    key: str
    size: int
    etag: str | None = None
    modified_at: datetime | None = None
    created_at: datetime | None = None
    md5: str | None = None


class Proof(StrEnum):
    """What shows that the bytes at one end of a transfer are those at the other."""

    CHECKSUM = "checksum"
    """A checksum that the provider computed, or holds, was compared with the content, whole or in parts."""
    SIZE = "size"
    """Their number, of one version of the blob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(BlobMeta):
    """What the provider says of a blob that was sent to it. What it stored differently raises `IntegrityError` instead.

    :ivar proof: what its answers have shown.
    """

    proof: Proof

    @classmethod
    def of(cls, meta: BlobMeta, proof: Proof) -> Stored:
        """Return what is known of a blob, with the proof."""
        return cls(**{one.name: getattr(meta, one.name) for one in fields(meta)}, proof=proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing."""

    blobs: Sequence[BlobMeta]
    prefixes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a bucket really is and what opens it. Two sites are equal when they are one bucket opened by one right.

    :ivar service: kind and address of the storage service.
    :ivar bucket: name of the bucket there.
    :ivar rights: the same for credentials that have the same rights; empty where that cannot be seen of credentials, or
        does not matter because a copy shows its own right to read.
    """

    service: str
    bucket: str
    rights: str = field(default="", repr=False)
    credentials: BucketCredentials = field(compare=False)

    def is_bucket_of(self, other: Site) -> bool:
        """Whether both are one bucket, whatever opens it."""
        return (self.service, self.bucket) == (other.service, other.bucket)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """One version of a blob, to be copied by its service.

    :ivar address: its ``blob:`` URI.
    """

    site: Site
    meta: BlobMeta
    address: str


def nobody(_: int) -> None:
    """Take no note of a number of bytes."""


def may_copy_inside(source: Site, destination: Site) -> bool:
    """Whether a service may be asked to copy from one bucket to another, so that no byte passes through here.

    It must be one service, and who writes must have the right to read. What it refuses in spite of this is streamed.
    """
    has_right = source.bucket == destination.bucket or source.rights == destination.rights
    return source.service == destination.service and has_right


class Body(Protocol):
    """An open answer to a read. `meta.size` is the size of the whole blob, whatever range was asked."""

    meta: BlobMeta

    def chunks(self) -> AsyncIterator[Bytes]:
        """Yield the bytes as the network hands them over; raise `Unavailable` when they end too early."""
        ...

    async def arrived(self) -> bytes:
        """Return all of the bytes, or those that came before the connection broke."""
        ...

    async def pour(self, basin: Basin) -> None:
        """Let a thread put the bytes into a basin; raise as `chunks`, or what that raises. Then the thread is gone."""
        ...


class MultipartUpload(Protocol):
    """An upload in parts. Parts may be sent in any order and side by side; sending a number again replaces it."""

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, counted from 1."""
        ...

    async def complete(self, *, md5: str | None = None) -> Stored:
        """Make the blob of all parts sent; atomic: before, the key holds what it held.

        :param md5: hex MD5 of the whole; of use where `Capability.KEEPS_MD5` is.
        :raises IntegrityError: the blob was made, of other bytes or of another number of them.
        """
        ...


class ResumedUpload(MultipartUpload, Protocol):
    """An upload in parts that goes on with one that was cut off, as far as that was of the same content.

    A part that is there is not sent again by `put_part`: its size and MD5 show that it is that part.
    """

    @property
    def spared(self) -> int:
        """Bytes of parts that were there already."""
        ...

    def note(self) -> str:
        """Return what a later upload finds the parts by that are there now; empty if none are, or it finds them anyway.

        Callable from any thread.
        """
        ...

    def keep(self) -> None:
        """Leave the parts for a later upload, rather than abort, if the block ends without `complete`."""
        ...


class BlobStore(Protocol):
    """One bucket inside one provider."""

    capabilities: frozenset[Capability]
    limits: PartLimits
    copy_part: int
    """Bytes that one request of `copy_from` copies at most."""

    @property
    def skew(self) -> float:
        """Local clock minus the server's in seconds, as its last dated answer showed; 0 before the first."""
        ...

    def address(self, key: str) -> str:
        """Return the address of a key for people and logs: its ``blob:`` URI."""
        ...

    async def head(self, key: str) -> BlobMeta:
        """Return what the provider says of `key`.

        :raises ResourceNotFound: no such key.
        """
        ...

    async def checksum(self, meta: BlobMeta) -> Checksum | None:
        """Return a checksum that the provider keeps of a blob, other than an MD5.

        `None` where there is none that is computed fast here, or the blob is another version now.
        """
        ...

    async def first_part(self, meta: BlobMeta) -> int | None:
        """Return the bytes of the first of the parts of which a blob was made.

        `None` where the provider does not tell, the ETag is not that of S3, made of the MD5s of the parts, or the blob
        is another version now.
        """
        ...

    def read(
        self, key: str, *, span: ByteRange | None = None, etag: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open the content for reading; leaving the block drops the connection if bytes are left.

        :param span: the bytes wanted; the answer must be a 206 with exactly these, or an error is raised.
        :param etag: raise `Conflict` unless the blob still is this version.
        """
        ...

    async def write(self, key: str, body: Bytes) -> Stored:
        """Create or replace `key` in one request; atomic, and the bytes stored are verified where the provider can."""
        ...

    def multipart(self, key: str) -> AbstractAsyncContextManager[MultipartUpload]:
        """Begin an upload in parts; leaving the block without `complete` aborts it, whatever the reason."""
        ...

    def resume(self, key: str, part: PartOf | None, *, note: str = "") -> AbstractAsyncContextManager[ResumedUpload]:
        """Take up an upload in parts that was cut off, or begin one; else as `multipart`.

        :param part: the content, by which an upload that is there is known to be of the same; `None` begins one.
        :param note: what `note` of the upload that was cut off said, if it was of the same content. Should it be gone
            or of other content after all, `put_part` or `complete` raises `ResourceNotFound` or `BadRequest`.
        :raises UnsupportedProvider: there is no `Capability.RESUME`.
        """
        ...

    def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        """List the keys that start with `prefix`, page by page, in the order of the provider.

        :param delimiter: fold all keys that share a prefix up to the next delimiter into `Page.prefixes`.
        :param page_size: at most so many a page; `None` leaves it to the provider.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        """Delete the keys, in as few requests as the provider allows; a missing key counts as deleted.

        :returns: the keys that could not be deleted, with the reason.
        """
        ...

    async def site(self) -> Site:
        """Return where the bucket really is, and what opens it now; requests nothing of the store."""
        ...

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        """Create or replace `key` with the content of a blob of the same service; atomic, and no byte comes here.

        Only where `may_copy_inside` and `Capability.COPY` allow to ask. Content is what is copied: what a provider
        keeps beside it, such as a content type, may come along or not.

        :param slot: held for each request; large blobs are copied in parts, several at once.
        :param copied: told how many bytes are copied, after each part.
        :raises ResourceNotFound: there is no such source.
        :raises Conflict: the source is another version now.
        :raises PermissionDenied: the service does not let these credentials copy from there.
        :raises UnsupportedProvider: it does not copy at all.
        """
        ...

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        """Return a URL, encoded, with which anybody can GET the blob for a while; requests nothing of the store.

        It is made from the bucket's own credentials and ends with them, if they end sooner. Its time is that of the
        server, as far as that is known by `skew`. Whether the blob exists is not checked.

        :param expires_in_seconds: 1 to `LONGEST_SIGNED_SECONDS`.
        :raises UnsupportedProvider: credentials of this kind cannot sign: there is no `Capability.SIGN`.
        """
        ...


def check_signed_life(expires_in_seconds: int) -> None:
    """Refuse a life that no provider grants to a signed URL.

    :raises ConfigurationError: not 1 to `LONGEST_SIGNED_SECONDS`.
    """
    if not 1 <= expires_in_seconds <= LONGEST_SIGNED_SECONDS:
        raise ConfigurationError(
            f"a signed URL cannot live {expires_in_seconds} seconds", remedy=f"Pass 1 to {LONGEST_SIGNED_SECONDS}"
        )
