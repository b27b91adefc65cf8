"""What copies inside a service have in common: a large blob is copied in parts, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from airflow_provider_neuro_buckets.buckets.failures import first_failure
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, Slot, Told

PARTS_AT_ONCE = 16


def cut(size: int, *, part: int, most: int) -> list[ByteRange]:
    """Cut a blob into parts of at most `part` bytes; into larger ones where those would be more than `most`."""
    step = max(part, -(-size // most))
    return [ByteRange(at, min(at + step, size)) for at in range(0, size, step)]


async def copy_parts(
    parts: list[ByteRange], copy: Callable[[int, ByteRange], Awaitable[object]], *, slot: Slot, copied: Told
) -> None:
    """Await `copy(number, part)` for each part, several at once; the first failure ends the others.

    :param copied: told of the bytes so far.
    """
    left = iter(enumerate(parts, start=1))
    done = 0

    async def work() -> None:
        nonlocal done
        for number, part in left:
            async with slot():
                await copy(number, part)
            done += len(part)
            copied(done)

    async with first_failure(), asyncio.TaskGroup() as group:
        for _ in range(min(PARTS_AT_ONCE, len(parts))):
            group.create_task(work())
