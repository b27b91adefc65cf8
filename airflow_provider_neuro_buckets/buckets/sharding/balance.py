"""Which shard an item goes to. Pure: no I/O, no clock."""

from __future__ import annotations

import heapq

FILE_WORTH = 128 * 1024
"""As many bytes as a worker moves in the time that a file costs it whatever its size."""


class Balancer:
    """Deals items out one by one, each to the shard that has the least so far.

    The loads of two shards, bytes and files together, differ by no more than the largest item; and no shard is empty
    unless there are fewer items than shards.

    :param shards: how many there are.
    :param worth: bytes that a file counts besides its own.
    :ivar items: how many each has got, and `bytes` their size.
    """

    def __init__(self, shards: int, *, worth: int = FILE_WORTH) -> None:
        self._worth = worth
        self._loads = [(0, shard) for shard in range(shards)]
        self.items = [0] * shards
        self.bytes = [0] * shards

    def place(self, size: int) -> int:
        """Return the shard, from 0, that an item of so many bytes goes to."""
        load, shard = self._loads[0]
        heapq.heapreplace(self._loads, (load + size + self._worth, shard))
        self.items[shard] += 1
        self.bytes[shard] += size
        return shard
