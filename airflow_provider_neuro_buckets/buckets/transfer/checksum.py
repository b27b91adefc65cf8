"""Whether local bytes are those of a blob, as far as what the provider says of it can tell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRCS, Checksum
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc, CrcFunction

MIB = 1024 * 1024
_AT_ONCE = MIB
_MD5_OF_PARTS = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})")
_USUAL_PARTS = tuple(size * MIB for size in (8, 5, 16, 15, 10, 32, 50, 64, 100, 128, 256, 512, 1024))
"""Sizes of parts that the uploaders in use choose, ours first."""
_MOST_GUESSES = 4

Read = Callable[[int, int], Bytes]
"""Reads the bytes ``[start, stop)`` of a local file."""


def can_compare(meta: BlobMeta) -> bool:
    """Whether there is anything that content could be compared with."""
    return meta.md5 is not None or _md5_of_parts(meta) is not None


def have_same_content(one: BlobMeta, other: BlobMeta) -> bool | None:
    """Whether two blobs of one size hold the same bytes; `None` if nothing that is known of both can tell.

    The MD5s decide, and else equal MD5s of parts; that those differ proves nothing.
    """
    if one.size == 0:
        return True
    if one.md5 is not None and other.md5 is not None:
        return one.md5 == other.md5
    return True if _md5_of_parts(one) is not None and one.etag == other.etag else None


def is_content_of(meta: BlobMeta, read: Read) -> bool:
    """Whether a local file of the blob's size holds its bytes. Blocking: run in a thread.

    An MD5 decides. The ETag of S3 for an upload in parts, the MD5 of the parts' MD5s and their number, proves equality
    when a usual size of parts leads to it; that none does proves nothing, and counts as no.
    """
    if meta.md5 is not None:
        return _digest(_MD5, read, 0, meta.size).hexdigest() == meta.md5
    of_parts = _md5_of_parts(meta)
    if of_parts is None:
        return False
    return any(is_made_of(meta, read, size) for size in plausible_parts(meta.size, of_parts[1]))


def is_made_of(meta: BlobMeta, read: Read, part: int) -> bool:
    """Whether parts of this size, out of a local file, have the ETag of the blob. Blocking: run in a thread."""
    return have_etag(meta, _digests(_MD5, read, meta.size, part))


def have_etag(meta: BlobMeta, md5s: Sequence[bytes]) -> bool:
    """Whether parts with these MD5s make the ETag of the blob, or a single one is its MD5."""
    if meta.md5 is not None:
        return [digest.hex() for digest in md5s] == [meta.md5]
    digest = hashlib.md5(b"".join(md5s), usedforsecurity=False).hexdigest()
    return _md5_of_parts(meta) == (digest, len(md5s))


def may_be_made_of(meta: BlobMeta, part: int) -> bool:
    """Whether equal parts of this size are as many as the ETag of the blob says."""
    of_parts = _md5_of_parts(meta)
    return of_parts is not None and part > 0 and -(-meta.size // part) == of_parts[1]


def likely_parts(meta: BlobMeta) -> list[int]:
    """Return the bytes to digest at once to compare them with what is known of a blob, the likeliest first."""
    if meta.md5 is not None:
        return [meta.size] if meta.size else []
    of_parts = _md5_of_parts(meta)
    return plausible_parts(meta.size, of_parts[1]) if of_parts is not None else []


def _md5_of_parts(meta: BlobMeta) -> tuple[str, int] | None:
    found = _MD5_OF_PARTS.fullmatch(meta.etag or "")
    return (found[1], int(found[2])) if found and meta.size else None


def plausible_parts(size: int, count: int) -> list[int]:
    """Return the likeliest sizes of parts that make `count` of them out of `size` bytes, at most four."""
    return list(_guesses(size, count))[:_MOST_GUESSES]


def _guesses(size: int, count: int) -> Iterator[int]:
    if count == 1:
        yield size
        return
    fits = [part for part in _USUAL_PARTS if -(-size // part) == count]
    yield from fits
    # An uploader that must keep below a number of parts takes the least whole MiB that does.
    least = -(-size // (count * MIB)) * MIB
    if least not in fits and -(-size // least) == count:
        yield least


def has_checksum(checksum: Checksum, size: int, read: Read) -> bool | None:
    """Whether content of so many bytes has a checksum; `None` if that is made of parts of no usual size.

    Blocking: run in a thread.
    """
    make = _maker_of(checksum.algorithm)
    if checksum.parts is None:
        return _digest(make, read, 0, size).digest() == checksum.value
    for part in plausible_parts(size, checksum.parts):
        whole = make()
        whole.update(b"".join(_digests(make, read, size, part)))
        if whole.digest() == checksum.value:
            return True
    return None


class _Digest(Protocol):
    def update(self, content: Bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _CrcDigest:
    def __init__(self, kind: Crc, function: CrcFunction) -> None:
        self._kind = kind
        self._function = function
        self._value = 0

    def update(self, content: Bytes) -> None:
        self._value = self._function(content, self._value)

    def digest(self) -> bytes:
        return self._kind.bytes_of(self._value)


def _maker_of(algorithm: str) -> Callable[[], _Digest]:
    kind = CRCS.get(algorithm)
    if kind is not None and kind.function is not None:
        return partial(_CrcDigest, kind, kind.function)
    return partial(hashlib.new, algorithm, usedforsecurity=False)


_MD5 = partial(hashlib.md5, usedforsecurity=False)
D = TypeVar("D", bound=_Digest)


def _digests(make: Callable[[], _Digest], read: Read, size: int, part: int) -> list[bytes]:
    return [_digest(make, read, at, min(at + part, size)).digest() for at in range(0, size, part)]


def _digest(make: Callable[[], D], read: Read, start: int, stop: int) -> D:
    digest = make()
    for at in range(start, stop, _AT_ONCE):
        digest.update(read(at, min(at + _AT_ONCE, stop)))
    return digest
