"""Which items of a shard are done: one bit each. Pure."""

from __future__ import annotations


class Bitmap:
    """So many bits, all unset at first.

    :param content: what :meth:`content` returned of one of the same length.
    """

    def __init__(self, length: int, content: bytes | None = None) -> None:
        self._length = length
        self._bits = bytearray(content if content is not None else -(-length // 8))
        if len(self._bits) != -(-length // 8):
            raise ValueError(f"{len(self._bits)} bytes are no {length} bits")
        self.count = int.from_bytes(self._bits).bit_count()

    def __contains__(self, at: int) -> bool:
        return bool(self._bits[at >> 3] & (1 << (at & 7)))

    def add(self, at: int) -> None:
        """Set a bit."""
        if not 0 <= at < self._length:
            raise IndexError(at)
        self.count += at not in self
        self._bits[at >> 3] |= 1 << (at & 7)

    def content(self) -> bytes:
        """Return all bits."""
        return bytes(self._bits)
