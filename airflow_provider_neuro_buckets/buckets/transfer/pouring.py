"""The bytes of a range, from the network to whoever takes them, in a thread: in pieces of one buffer."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Conflict, InvalidAnswer, TransientError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore
from airflow_provider_neuro_buckets.buckets.transfer.content import PIECE, Breaks, opened


class Pieces:
    """The bytes ``[start, stop)`` of a blob, which are handed on as soon as a piece is whole.

    Each ends at a multiple of 1 MiB of the blob, or with the range: no block of a file is ever half written. They come
    into the same buffer, one after the other: what the processor still has near is read again, not the memory.

    :param take: told where a piece begins, and its bytes, which are others once it returns. Called in a thread.
    :ivar at: where the next byte belongs.
    """

    def __init__(self, start: int, stop: int, take: Callable[[int, memoryview], None]) -> None:
        self.at = start
        self.stop = stop
        self._take = take
        self._begun = start
        self._buffer = memoryview(bytearray(min(PIECE, stop - start)))

    def room(self) -> memoryview:
        """Return where the next bytes go."""
        return self._buffer[self.at - self._begun : self._upto - self._begun]

    def add(self, size: int) -> None:
        """Take note that so many bytes have come into the room, and hand on what is a piece. Blocking."""
        self.at += size
        if self.at == self._upto:
            self._take(self._begun, self._buffer[: self.at - self._begun])
            self._begun = self.at

    @property
    def _upto(self) -> int:
        return min((self._begun // PIECE + 1) * PIECE, self.stop)


async def pour_range(store: BlobStore, meta: BlobMeta, pieces: Pieces) -> None:
    """Fill `pieces` with the bytes of one version of a blob, going on where a connection broke.

    Raises what :func:`~.content.read_resumed` does, and what takes the pieces.
    """
    breaks = Breaks(store, meta)
    while pieces.at < pieces.stop:
        begun = pieces.at
        failure: BucketsError | None = None
        try:
            async with opened(store, meta, begun, pieces.stop) as body:
                try:
                    await body.pour(pieces)
                except TransientError as error:
                    failure = error
        except (Conflict, InvalidAnswer) as error:
            failure = error
        if failure is not None and pieces.at < pieces.stop:
            try:
                await breaks.after(failure, at=pieces.at, has_moved=pieces.at > begun)
            finally:
                failure = None  # raised, it refers to this frame, and keeps the buffer
