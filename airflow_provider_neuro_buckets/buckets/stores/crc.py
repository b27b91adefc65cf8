"""The CRC of a whole from the CRCs of its parts: what a blob of uploaded parts must have. Pure, no byte is read.

Appending `n` bytes multiplies the checksum so far by x^8n modulo the polynomial; the rest is addition.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

_ONE = 1 << 31
_BYTE = 1 << 23
"""x^8: bits count from the highest."""
_CRC_BYTES = 4


class Polynomial(IntEnum):
    """What a checksum is a remainder of."""

    CRC32 = 0xEDB88320
    CRC32C = 0x82F63B78


def crc_of_parts(parts: Iterable[tuple[int, int]], polynomial: Polynomial) -> int:
    """Return the checksum of parts put together.

    :param parts: checksum and size in bytes of each, in order.
    """
    whole = 0
    for crc, size in parts:
        whole = _product(_shift(size, polynomial), whole, polynomial) ^ crc
    return whole


def crc_of_base64(text: str | None) -> int | None:
    """Return the checksum in the notation of headers and listings; `None` for anything else."""
    try:
        digest = b64decode(text or "", validate=True)
    except ValueError:
        return None
    return int.from_bytes(digest, "big") if len(digest) == _CRC_BYTES else None


def bytes_of(crc: int) -> bytes:
    """Return a checksum as it is written, before Base64."""
    return crc.to_bytes(_CRC_BYTES, "big")


@lru_cache(maxsize=64)
def _shift(size: int, polynomial: int) -> int:
    """Return x^(8 * size) modulo the polynomial."""
    power, square = _ONE, _BYTE
    while size:
        if size & 1:
            power = _product(square, power, polynomial)
        square = _product(square, square, polynomial)
        size >>= 1
    return power


def _product(left: int, right: int, polynomial: int) -> int:
    """Multiply two polynomials modulo a third."""
    product, bit = 0, _ONE
    while bit:
        if left & bit:
            product ^= right
        right = (right >> 1) ^ (polynomial if right & 1 else 0)
        bit >>= 1
    return product
