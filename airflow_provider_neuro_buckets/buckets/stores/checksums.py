"""Checksums that a provider keeps of a blob beside its MD5, or instead of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from airflow_provider_neuro_buckets.buckets.stores.crc import Crc

CRCS: Mapping[str, Crc] = MappingProxyType({kind.name.lower(): kind for kind in Crc})
"""The kinds of CRC by the names of algorithms."""
CRC_FROM = 2 * 1024 * 1024
"""Bytes of a blob whose CRC spares more time than it takes to ask for one: its MD5 takes some milliseconds."""
_HASHES = frozenset({"sha1", "sha256"})


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum of a blob, other than an MD5.

    :ivar algorithm: ``crc32``, ``crc32c``, ``crc64nvme``, ``sha1`` or ``sha256``.
    :ivar parts: it is made of the checksums of so many parts, one after the other; `None`: of the content itself.
    """

    algorithm: str
    value: bytes
    parts: int | None = None


def is_computable(algorithm: str) -> bool:
    """Whether something is installed that computes a checksum fast."""
    return algorithm in _HASHES or (algorithm in CRCS and CRCS[algorithm].function is not None)
