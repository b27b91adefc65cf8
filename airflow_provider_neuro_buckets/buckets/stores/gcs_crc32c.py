"""CRC32C of a whole from the CRC32Cs of its parts: what a blob of uploaded parts must have. Pure, no byte is read.

Appending `n` bytes multiplies the checksum so far by x^8n modulo the polynomial; the rest is addition.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache

_POLYNOMIAL = 0x82F63B78
_ONE = 1 << 31
_BYTE = 1 << 23
"""x^8: bits count from the highest."""
_CRC_BYTES = 4


def crc32c_of_parts(parts: Iterable[tuple[int, int]]) -> int:
    """Return the checksum of parts put together.

    :param parts: checksum and size in bytes of each, in order.
    """
    whole = 0
    for crc, size in parts:
        whole = _product(_shift(size), whole) ^ crc
    return whole


def crc32c_of_base64(text: str | None) -> int | None:
    """Return the checksum in the service's notation; `None` for anything else."""
    try:
        digest = b64decode(text or "", validate=True)
    except ValueError:
        return None
    return int.from_bytes(digest, "big") if len(digest) == _CRC_BYTES else None


@lru_cache(maxsize=64)
def _shift(size: int) -> int:
    """Return x^(8 * size) modulo the polynomial."""
    power, square = _ONE, _BYTE
    while size:
        if size & 1:
            power = _product(square, power)
        square = _product(square, square)
        size >>= 1
    return power


def _product(left: int, right: int) -> int:
    """Multiply two polynomials modulo ours."""
    product, bit = 0, _ONE
    while bit:
        if left & bit:
            product ^= right
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
        bit >>= 1
    return product
