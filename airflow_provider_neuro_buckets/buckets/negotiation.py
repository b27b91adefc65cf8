"""Of which era a server is, found out as far as a question needs it, and with questions that change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from yarl import URL

from airflow_provider_neuro_buckets.buckets.answers import expect, read_bucket
from airflow_provider_neuro_buckets.buckets.eras import (
    ANY_ERA,
    NOBODYS_ID,
    Era,
    Place,
    eras_of_bucket,
    eras_of_probe,
)
from airflow_provider_neuro_buckets.buckets.errors import BadRequest, PermissionDenied, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.models import Bucket
from airflow_provider_neuro_buckets.buckets.wire import Wire

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Negotiation:
    """Remembers, for each buckets service, which eras are still possible.

    Nothing is asked in advance: the first question goes out as the newest servers want it, which today's answer at
    once. Only when it finds nothing and an older server might, two more questions tell.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._eras: dict[URL, frozenset[Era]] = {}

    def possible(self, place: Place) -> frozenset[Era]:
        """Return the eras that the server can be of, by all that it has answered."""
        return self._eras.get(place.buckets_url, ANY_ERA)

    def learn(self, place: Place, eras: frozenset[Era]) -> None:
        """Take note of an answer that only these eras give."""
        # Servers are replaced while clients live: an answer that contradicts the older ones counts instead of them.
        self._eras[place.buckets_url] = self.possible(place) & eras or eras

    def learn_from(self, place: Place, bucket: Bucket) -> None:
        """Take note of how the server describes a bucket."""
        self.learn(place, eras_of_bucket(bucket))

    async def is_strict(self, place: Place) -> bool:
        """Whether the server wants every path to be ``org/project/bucket``; asks it at most once."""
        eras = self.possible(place)
        if Era.STRICT in eras and len(eras) > 1:
            eras = await self._probe(place)
        return eras == {Era.STRICT}

    async def ask(
        self, place: Place, question: Callable[[Era], Question], ask: Callable[[Question], Awaitable[Answer]]
    ) -> Answer:
        """Ask as the newest possible era wants it; when that finds nothing, find out more and ask as an older one does.

        :param question: what to ask a server of an era.
        :raises ResourceNotFound: nothing is found in any era that the server can be of; likewise :class:`BadRequest`.
        """
        asked: list[Question] = []
        eras = self.possible(place)
        while True:
            now = question(max(eras))
            asked.append(now)
            try:
                return await ask(now)
            except (ResourceNotFound, BadRequest) as error:
                miss = error
            eras = self.possible(place) & eras or self.possible(place)
            while question(max(eras)) in asked:
                if all(question(era) in asked for era in eras):
                    raise miss
                fewer = await self._narrow(place, eras)
                if fewer == eras:
                    raise miss
                eras = fewer

    async def _narrow(self, place: Place, eras: frozenset[Era]) -> frozenset[Era]:
        """Return which of the eras are left after one more question."""
        if Era.STRICT in eras:
            return await self._probe(place) & eras or eras
        what = f"cannot list the buckets of {place.cluster} at {place.buckets_url}"
        everything = await self._wire.request("GET", place.buckets_url / "buckets", what=what)
        for item in expect(list, everything, "a list of buckets")[:1]:
            self.learn_from(place, read_bucket(item, place.cluster))
            return self.possible(place)
        # Whoever may read nothing cannot tell these eras apart: the older form does no harm, and is not remembered.
        return frozenset({Era.OWNER})

    async def _probe(self, place: Place) -> frozenset[Era]:
        url = place.buckets_url / "buckets" / NOBODYS_ID
        try:
            await self._wire.request("GET", url, what=f"cannot tell the version of the platform on {place.cluster}")
        except (BadRequest, ResourceNotFound, PermissionDenied) as refusal:
            self.learn(place, eras_of_probe(refusal))
        return self.possible(place)
