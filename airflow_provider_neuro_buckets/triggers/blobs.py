"""Triggers of the deferrable sensors: they wait in the triggerer, and ask what the sensors ask."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, TransientError
from airflow_provider_neuro_buckets.triggers.questions import find_blobs, find_matches

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

MOST_FAULTS = 10
"""Transient faults in a row, each already tried several times, after which a wait ends in an error."""
LONGEST_PAUSE = 300.0


class BucketsTrigger(BaseTrigger):
    """Asks one question again and again until it has an answer.

    Stores the connection's id, addresses and the interval, never a secret. The first question comes a whole interval
    after the start: the sensor has asked just before. Its event is ``{"status": "success", "value": …}`` or
    ``{"status": "error", "kind": …, "message": …}``.

    :param poke_interval: seconds between questions; after a fault it doubles, up to five minutes.
    """

    def __init__(self, *, neuro_buckets_conn_id: str, poke_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's class is not typed
        self.neuro_buckets_conn_id = neuro_buckets_conn_id
        self.poke_interval = poke_interval

    @abstractmethod
    async def ask(self, buckets: Buckets) -> Any:
        """Return the answer, or `None` for: not yet."""

    @abstractmethod
    def question(self) -> dict[str, Any]:
        """Return the arguments that belong to the question."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        kind = type(self)
        arguments = {
            **self.question(),
            "neuro_buckets_conn_id": self.neuro_buckets_conn_id,
            "poke_interval": self.poke_interval,
        }
        return f"{kind.__module__}.{kind.__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the answer; one event ends it."""
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - loads in the triggerer only

        await asyncio.sleep(self.poke_interval)
        try:
            async with NeuroBucketsHook(self.neuro_buckets_conn_id).connect() as buckets:
                value = await self._wait(buckets)
        except BucketsError as error:
            event = {"status": "error", "kind": type(error).__name__, "message": str(error)}
        else:
            event = {"status": "success", "value": value}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # as above

    async def _wait(self, buckets: Buckets) -> Any:
        faults = 0
        while True:
            try:
                answer = await self.ask(buckets)
            except TransientError as error:
                faults += 1
                self.log.warning("Fault %d of at most %d in a row: %s", faults, MOST_FAULTS, error)
                if faults >= MOST_FAULTS:
                    raise
            else:
                faults = 0
                if answer is not None:
                    return answer
            await asyncio.sleep(pause(self.poke_interval, faults))


def pause(poke_interval: float, faults: int) -> float:
    """Return the seconds until the next question after `faults` faults in a row: the interval, doubled for each."""
    return max(poke_interval, min(poke_interval * 2.0**faults, LONGEST_PAUSE))


class BlobTrigger(BucketsTrigger):
    """Waits until all of some blobs exist.

    :param uris: their addresses.
    """

    def __init__(self, *, uris: Sequence[str], neuro_buckets_conn_id: str, poke_interval: float) -> None:
        super().__init__(neuro_buckets_conn_id=neuro_buckets_conn_id, poke_interval=poke_interval)
        self.uris = list(uris)

    def question(self) -> dict[str, Any]:
        """Return the addresses."""
        return {"uris": self.uris}

    async def ask(self, buckets: Buckets) -> Any:
        """Return descriptions of the blobs."""
        return await find_blobs(buckets, self.uris)


class GlobTrigger(BucketsTrigger):
    """Waits until enough blobs match a pattern.

    :param uri: the pattern.
    """

    def __init__(self, *, uri: str, min_count: int, neuro_buckets_conn_id: str, poke_interval: float) -> None:
        super().__init__(neuro_buckets_conn_id=neuro_buckets_conn_id, poke_interval=poke_interval)
        self.uri = uri
        self.min_count = min_count

    def question(self) -> dict[str, Any]:
        """Return the pattern and how many are enough."""
        return {"uri": self.uri, "min_count": self.min_count}

    async def ask(self, buckets: Buckets) -> Any:
        """Return the matches."""
        return await find_matches(buckets, self.uri, self.min_count)
