"""When a storage receives, or holds, other bytes than were sent: what all providers have in common."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Conflict, IntegrityError, ResourceNotFound

log = logging.getLogger(__name__)
T = TypeVar("T")


def damaged(what: str) -> IntegrityError:
    """Return the error for bytes that arrived as others."""
    return IntegrityError(f"{what}: the storage holds other bytes than were sent", remedy="Write it again")


async def twice_if_damaged(send: Callable[[], Awaitable[T]]) -> T:
    """Await `send()`, once more if the bytes were damaged on the way.

    :raises IntegrityError: damaged again.
    """
    try:
        return await send()
    except IntegrityError as error:
        log.warning("%s; sent once more", error.problem)
        return await send()


async def right_or_gone(
    send: Callable[[list[str]], Awaitable[T]], delete: Callable[[str], Awaitable[object]], what: str
) -> T:
    """Await `send()`, once more if the bytes were damaged on the way. Wrong bytes that were stored do not stay.

    :param send: is given a list, for the version of the key that has other bytes than were sent.
    :param delete: deletes such a version of the key and no other.
    :param what: the attempt and its address, for the log.
    :raises IntegrityError: damaged again.
    """
    wrong: list[str] = []
    try:
        return await twice_if_damaged(lambda: send(wrong))
    except BucketsError:
        if wrong:
            await take_back(lambda: delete(wrong[-1]), what)
        raise


async def take_back(delete: Callable[[], Awaitable[object]], what: str) -> None:
    """Delete what the storage made of other bytes than were sent: who reads would take it for the blob.

    What was there before is gone already. A failure is told, not raised.

    :param delete: deletes that version of the key and no other.
    :param what: the attempt and its address, for the log.
    """
    try:
        await delete()
    except (Conflict, ResourceNotFound):
        pass  # somebody has replaced or deleted it
    except BucketsError as error:
        log.warning("%s: the wrong bytes may still be there (%s)", what, type(error).__name__)
    else:
        log.warning("%s: the wrong bytes were deleted", what)
