"""What the triggers of deferrable sensors share: they wait in the triggerer, and ask what the sensors ask."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, BucketsError, TransientError
from airflow_provider_neuro_buckets.triggers.sharing import Answer, Lease, lease

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

MOST_FAULTS = 10
"""Transient faults in a row, each already tried several times, after which a wait ends in an error."""
LONGEST_PAUSE = 300.0
MOST_DOUBLINGS = 64


class BucketsTrigger(BaseTrigger):
    """Asks one question again and again until it has an answer.

    Stores the connection's id, addresses and numbers, never a secret. The first question comes a whole interval after
    the start: the sensor has asked just before. Its event is ``{"status": "success", "value": …}`` or
    ``{"status": "error", "kind": …, "message": …}``.

    Triggers of one connection in one process share one client, and those that ask the same share its answers: one that
    is younger than the interval is good for all.

    :param poke_interval: seconds between questions; after a fault it doubles, up to five minutes.
    :param exponential_backoff: let the interval double after every question, as sensors in other modes do.
    :param max_wait: seconds that it then does not exceed.
    """

    def __init__(
        self,
        *,
        neuro_buckets_conn_id: str,
        poke_interval: float,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's class is not typed
        self.neuro_buckets_conn_id = neuro_buckets_conn_id
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait

    @abstractmethod
    def question(self) -> dict[str, Any]:
        """Return the arguments that belong to the question."""

    @abstractmethod
    async def ask(self, buckets: Buckets) -> Any:
        """Find out what there is, the same for every trigger with the same :meth:`key`."""

    def key(self) -> Hashable:
        """Return what triggers that ask the same have in common."""
        return (type(self).__qualname__, *map(repr, self.question().items()))

    def judge(self, found: Any) -> Any:
        """Return the answer in what was found, or `None` for: not yet."""
        return found

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again."""
        arguments = {
            **self.question(),
            "neuro_buckets_conn_id": self.neuro_buckets_conn_id,
            "poke_interval": self.poke_interval,
            "exponential_backoff": self.exponential_backoff,
            "max_wait": self.max_wait,
        }
        return class_path(self), arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the answer; one event ends it."""
        await asyncio.sleep(self.poke_interval)
        try:
            async with lease(self.neuro_buckets_conn_id) as held:
                value = await self._wait(held)
        except BucketsError as error:
            event = {"status": "error", "kind": type(error).__name__, "message": str(error)}
        else:
            event = {"status": "success", "value": value}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # as above

    async def _wait(self, held: Lease) -> Any:
        asked = faults = 0
        while True:
            age = 0.0
            try:
                answer = await self._ask(held)
            except TransientError as error:
                faults += 1
                self.log.warning("Fault %d of at most %d in a row: %s", faults, MOST_FAULTS, error)
                if faults >= MOST_FAULTS:
                    raise
            else:
                faults, age = 0, answer.age
                value = self.judge(answer.value)
                if value is not None:
                    return value
            asked += 1
            # Whoever shares an answer asks again when the one who got it does.
            await asyncio.sleep(max(0.0, pause(self.interval(asked), faults) - age))

    async def _ask(self, held: Lease) -> Answer:
        """Ask; if the token is not accepted, once more with what the connection says by now.

        :raises AuthenticationError: that is not accepted either.
        """
        try:
            return await held.ask(self.key(), self.ask, within=self.poke_interval)
        except AuthenticationError as error:
            self.log.warning("%s Reading the connection again", error)
        await held.renew()
        return await held.ask(self.key(), self.ask, within=self.poke_interval)

    def interval(self, asked: int) -> float:
        """Return the seconds between question number `asked` of this trigger, counted from 1, and the next."""
        if not self.exponential_backoff:
            return self.poke_interval
        doubled: float = self.poke_interval * 2.0 ** min(asked, MOST_DOUBLINGS)
        return doubled if self.max_wait is None else min(doubled, self.max_wait)


def pause(interval: float, faults: int) -> float:
    """Return the seconds until the next question after `faults` faults in a row: the interval, doubled for each."""
    return max(interval, min(interval * 2.0 ** min(faults, MOST_DOUBLINGS), LONGEST_PAUSE))


def class_path(thing: object) -> str:
    """Return what Airflow imports the class of a trigger by."""
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"
