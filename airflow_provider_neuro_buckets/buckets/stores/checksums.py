"""Checksums that a provider keeps of a blob beside its MD5, or instead of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum of a blob, other than an MD5.

    :ivar algorithm: ``crc32``, ``sha1`` or ``sha256``.
    :ivar parts: it is made of the checksums of so many parts, one after the other; `None`: of the content itself.
    """

    algorithm: str
    value: bytes
    parts: int | None = None
