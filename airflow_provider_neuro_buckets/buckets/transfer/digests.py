"""The MD5s of a file's parts while its ranges arrive, in any order and from several threads."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes
from airflow_provider_neuro_buckets.buckets.transfer.checksum import MIB, Read, have_etag


@dataclass(slots=True)
class _Part:
    """One part; all before `at` is digested. Whoever brings what follows goes on as far as there is something."""

    at: int
    stop: int
    arrived: dict[int, int] = field(default_factory=dict)
    digest: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    is_busy: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, start: int, stop: int, content: memoryview | None, read: Read) -> None:
        with self.lock:
            self.arrived[start] = stop
            if self.is_busy or self.at not in self.arrived:
                return
            self.is_busy = True
        while (upto := self._next()) is not None:
            if self.at == start and content is not None:
                self.digest.update(content)
            else:
                for at in range(self.at, upto, MIB):
                    self.digest.update(read(at, min(at + MIB, upto)))
            self.at = upto

    def _next(self) -> int | None:
        with self.lock:
            upto = self.arrived.pop(self.at, None)
            self.is_busy = upto is not None
            return upto


class Digests:
    """The MD5s of the parts of a file.

    What arrives in order is digested as it passes; what arrives too early is read again once its turn has come, from
    the file, where it is still in the memory of the system.

    :param size: bytes of the file.
    :param read: reads what has been written to the file.
    :ivar part: bytes of each part but the last; the size for the MD5 of the whole.
    """

    def __init__(self, *, size: int, part: int, read: Read) -> None:
        self._size = size
        self.part = part
        self._read = read
        self._parts = [_Part(at, min(at + part, size)) for at in range(0, size, part)]

    def add(self, start: int, content: Bytes) -> None:
        """Take bytes that are in the file by now. Blocking: run in a thread."""
        view = memoryview(content)
        self._add(start, view.nbytes, view)

    def add_written(self, start: int, stop: int) -> None:
        """Take the bytes ``[start, stop)``, which are in the file by now. Blocking: run in a thread."""
        self._add(start, stop - start, None)

    def _add(self, start: int, size: int, content: memoryview | None) -> None:
        at, stop = start, start + size
        while at < stop:
            part = self._parts[at // self.part]
            upto = min(part.stop, stop)
            part.add(at, upto, None if content is None else content[at - start : upto - start], self._read)
            at = upto

    def of_parts(self) -> list[bytes] | None:
        """Return the MD5s of the parts in their order; `None` before all bytes are there."""
        if any(part.at < part.stop for part in self._parts):
            return None
        return [part.digest.digest() for part in self._parts]

    def is_of(self, meta: BlobMeta) -> bool:
        """Whether all bytes are there, and have the MD5 or the ETag of a blob."""
        return have_etag(meta, self.of_parts() or [])
