"""The end of an upload in parts that makes no blob: what S3 and Google have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ResourceNotFound, TransientError

log = logging.getLogger(__name__)

ABORT_SECONDS = 3.0
TRIES = 3
"""How often a request that is stuck is given up for another within that time."""
AGAIN_AFTER = 0.5


class UnderWay:
    """The parts that may still come: they were sent, and no answer has told what became of them. False without any."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._numbers)

    @contextmanager
    def sent(self, number: int) -> Iterator[None]:
        """Send a part within a block: unless that is cancelled or ends without an answer, nothing comes any more."""
        self._numbers.add(number)
        try:
            yield
        except TransientError:
            raise
        except BucketsError:
            self._numbers.discard(number)
            raise
        self._numbers.discard(number)


async def abort(ask: Callable[[], Awaitable[object]], *, upload: str, what: str, under_way: UnderWay) -> None:
    """Abort an upload: within seconds, also while being cancelled; a failure is told, not raised.

    :param ask: sends the request; that the upload is gone is a success.
    :param upload: its id.
    :param what: the attempt and its address, for the log.
    :param under_way: parts that may still be on their way, or be taken in. They would remain, and with them the upload:
        so the abort is repeated after a moment, when their connections are gone at the other end too.
    """

    async def aborted() -> None:
        for _ in range(TRIES):
            with suppress(TimeoutError):
                async with asyncio.timeout(ABORT_SECONDS / TRIES):
                    with suppress(ResourceNotFound):
                        await ask()
                    return
        raise TimeoutError

    async def aborted_for_good() -> None:
        await aborted()
        if under_way:
            await asyncio.sleep(AGAIN_AFTER)
            await aborted()

    aborting = asyncio.ensure_future(aborted_for_good())
    try:
        await asyncio.wait_for(asyncio.shield(aborting), ABORT_SECONDS)
    except (BucketsError, TimeoutError) as error:
        aborting.cancel()
        log.warning(
            "The upload %s was not aborted (%s: %s); its parts remain until the bucket's rules remove them",
            upload,
            what,
            type(error).__name__,
        )
