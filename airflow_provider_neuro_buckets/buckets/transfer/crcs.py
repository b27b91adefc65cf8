"""The CRC of a file, or those of its parts, while its ranges arrive, in any order and from several threads."""

from __future__ import annotations

import threading

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRCS, Checksum
from airflow_provider_neuro_buckets.buckets.stores.crc import CrcFunction
from airflow_provider_neuro_buckets.buckets.transfer.checksum import MIB, Read, plausible_parts


class Crcs:
    """The CRCs of what arrived, which are put together in the end: nothing is read again, whatever the order.

    :param checksum: that of the blob, of a kind that is computed here.
    :param function: what computes it.
    :param read: reads what has been written to the file.
    :ivar part: bytes of each part but the last, if the checksum is made of those of parts; it is the likeliest size.
    """

    def __init__(self, *, size: int, checksum: Checksum, function: CrcFunction, read: Read) -> None:
        self._size = size
        self._kind = CRCS[checksum.algorithm]
        self._function = function
        self._checksum = checksum
        self._read = read
        guesses = plausible_parts(size, checksum.parts) if checksum.parts is not None else []
        self.part = guesses[0] if guesses else None
        self._every = self.part or size
        self._lock = threading.Lock()
        self._spans: dict[int, tuple[int, int]] = {}
        """By where it ends: where a span begins, and its checksum. None reaches over the end of a part."""

    def add(self, start: int, content: Bytes) -> None:
        """Take bytes that are in the file by now. Blocking: run in a thread."""
        rest = memoryview(content)
        with self._lock:
            begun, crc = self._spans.pop(start, (start, 0)) if start % self._every else (start, 0)
        while rest:
            if start % self._every == 0 and start > begun:
                self._keep(begun, start, crc)
                begun, crc = start, 0
            piece = rest[: self._every - start % self._every]
            crc = self._function(piece, crc)
            start += piece.nbytes
            rest = rest[piece.nbytes :]
        self._keep(begun, start, crc)

    def add_written(self, start: int, stop: int) -> None:
        """Take the bytes ``[start, stop)``, which are in the file by now. Blocking: run in a thread."""
        for at in range(start, stop, MIB):
            self.add(at, self._read(at, min(at + MIB, stop)))

    def _keep(self, start: int, stop: int, crc: int) -> None:
        with self._lock:
            self._spans[stop] = start, crc

    def is_of(self, _meta: BlobMeta) -> bool:
        """Whether all bytes are there, and have the checksum of the blob."""
        parts: list[list[tuple[int, int]]] = [[] for _ in range(0, self._size, self._every)]
        at = 0
        for stop, (start, crc) in sorted(self._spans.items()):
            if start != at:
                return False
            parts[start // self._every].append((crc, stop - start))
            at = stop
        if at != self._size:
            return False
        made = [self._kind.bytes_of(self._kind.of_parts(spans)) for spans in parts]
        if self._checksum.parts is None:
            return made == [self._checksum.value]
        whole = self._kind.bytes_of(self._function(b"".join(made), 0))
        return len(made) == self._checksum.parts and whole == self._checksum.value
