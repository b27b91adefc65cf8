"""CRCs: what computes them, and that of a whole from those of its parts.

Appending `n` bytes multiplies the checksum so far by x^8n modulo the polynomial; the rest is addition.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from enum import Enum
from functools import lru_cache

try:
    from isal.isal_zlib import crc32 as _crc32
except ImportError:  # it is not made for every processor
    from zlib import crc32 as _crc32

CrcFunction = Callable[[bytes | bytearray | memoryview, int], int]
"""Takes bytes, and the checksum of what comes before them; 0 at the beginning."""


class Crc(Enum):
    """A kind of CRC, by what a checksum is a remainder of.

    :ivar polynomial: its bits count from the highest.
    :ivar size: bytes of a checksum.
    """

    CRC32 = 0xEDB88320, 4
    CRC32C = 0x82F63B78, 4
    CRC64NVME = 0x9A6C9329AC4BC9B5, 8

    def __init__(self, polynomial: int, size: int) -> None:
        self.polynomial = polynomial
        self.size = size

    @property
    def function(self) -> CrcFunction | None:
        """What computes it; `None` where nothing fast is installed that does."""
        return _function_of(self)

    def of_parts(self, parts: Iterable[tuple[int, int]]) -> int:
        """Return the checksum of parts put together.

        :param parts: checksum and size in bytes of each, in order.
        """
        whole = 0
        for crc, size in parts:
            whole = self._product(_shift(self, size), whole) ^ crc
        return whole

    def of_base64(self, text: str | None) -> int | None:
        """Return the checksum in the notation of headers and listings; `None` for anything else."""
        try:
            digest = b64decode(text or "", validate=True)
        except ValueError:
            return None
        return int.from_bytes(digest, "big") if len(digest) == self.size else None

    def bytes_of(self, crc: int) -> bytes:
        """Return a checksum as it is written, before Base64."""
        return crc.to_bytes(self.size, "big")

    @property
    def _one(self) -> int:
        return 1 << (8 * self.size - 1)

    def power(self, size: int) -> int:
        """Return x^(8 * size) modulo the polynomial."""
        power, square = self._one, self._one >> 8
        while size:
            if size & 1:
                power = self._product(square, power)
            square = self._product(square, square)
            size >>= 1
        return power

    def _product(self, left: int, right: int) -> int:
        """Multiply two polynomials modulo ours."""
        product, bit = 0, self._one
        while bit:
            if left & bit:
                product ^= right
            right = (right >> 1) ^ (self.polynomial if right & 1 else 0)
            bit >>= 1
        return product


def crc32(content: bytes | bytearray | memoryview, before: int = 0) -> int:
    """Return the CRC32 of bytes that follow others.

    :param before: that of the others.
    """
    return _crc32(content, before)


@lru_cache(maxsize=64)
def _shift(kind: Crc, size: int) -> int:
    return kind.power(size)


@lru_cache
def _function_of(kind: Crc) -> CrcFunction | None:
    if kind is Crc.CRC32:
        return crc32
    try:
        from awscrt import checksums  # noqa: PLC0415 - an extra, and it takes 50 ms to load
    except ImportError:
        return None
    return {Crc.CRC32C: checksums.crc32c, Crc.CRC64NVME: checksums.crc64nvme}.get(kind)
