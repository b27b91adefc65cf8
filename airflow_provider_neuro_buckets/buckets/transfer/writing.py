"""How bytes go to a file: in steps that the system takes easily. Blocking: run in threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice

from airflow_provider_neuro_buckets.buckets.stores.base import Bytes

AT_ONCE = 32 * 1024
"""Bytes of one write. Of more, Linux makes larger pieces of its cache, out of memory that was free for long. A virtual
machine may have given that back to its host, and then a write takes ten times the CPU time: a file of 4 GiB took 17.5
CPU seconds in steps of 256 KiB, and 6.4 in these."""
MOST_BUFFERS = 1024
"""Buffers that the system writes at once."""


def write_at(file: int, at: int, *content: Bytes) -> None:
    """Write bytes at an offset of an open file, those of several buffers one after the other."""
    left = [memoryview(one) for one in content]
    while left:
        written = os.pwritev(file, _beginning(left, AT_ONCE - at % AT_ONCE), at)
        at += written
        while left and written >= left[0].nbytes:
            written -= left.pop(0).nbytes
        if written:
            left[0] = left[0][written:]


def _beginning(buffers: Sequence[memoryview], size: int) -> list[memoryview]:
    """Return the first `size` bytes of some buffers, or fewer where they are many."""
    found: list[memoryview] = []
    for buffer in islice(buffers, MOST_BUFFERS):
        found.append(buffer[:size])
        size -= found[-1].nbytes
        if not size:
            break
    return found
