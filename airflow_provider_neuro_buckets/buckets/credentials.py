"""Credentials of one bucket: fetched when first needed, renewed in time, once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, TransientError
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials

EARLIEST_RENEWAL = timedelta(minutes=5)
PAUSE_BETWEEN_RENEWALS = timedelta(seconds=30)
SHORTEST_LIFE = timedelta(seconds=0.5)
_EXPIRY_KEYS = ("expiration", "expiry", "expire_time")


def expires_at(credentials: BucketCredentials) -> datetime | None:
    """Return when credentials end; `None` for those that do not say, which are taken as lasting.

    :raises InvalidAnswer: the time cannot be read.
    """
    for key in _EXPIRY_KEYS:
        if text := credentials.credentials.get(key):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise InvalidAnswer(
                    f"the credentials of bucket {credentials.bucket_id} end at {text!r}, which is no time"
                ) from None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def needed(keys: Mapping[str, str], name: str) -> str:
    """Return one of the provider's keys.

    :raises InvalidAnswer: the platform did not send it.
    """
    if not keys.get(name):
        raise InvalidAnswer(f"the credentials of the bucket have no {name}", remedy="Check how the bucket was imported")
    return keys[name]


def _now() -> datetime:
    return datetime.now(UTC)


class CredentialSource:
    """Hands out credentials that are good now, and renews them before they end or when a store rejects them.

    :param fetch: gets fresh credentials.
    :param now: tells the time, with a time zone.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[BucketCredentials]], *, now: Callable[[], datetime] = _now
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._current: BucketCredentials | None = None
        self._ends: datetime | None = None
        self._renew_from: datetime | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> BucketCredentials:
        """Return credentials that do not end soon; fetches at most once however many ask."""
        if self._current is not None and not self._is_due():
            return self._current
        async with self._lock:
            if self._current is None:
                return await self._replace()
            if self._is_due():
                return await self._renew_early(self._current)
            return self._current

    async def renew(self, rejected: BucketCredentials) -> BucketCredentials:
        """Return other credentials than those a store has rejected; fetches at most once however many ask."""
        async with self._lock:
            if self._current is not None and self._current is not rejected:
                return self._current
            return await self._replace()

    async def _renew_early(self, old: BucketCredentials) -> BucketCredentials:
        try:
            return await self._replace()
        except TransientError:
            now = self._now()
            if self._ends is None or now >= self._ends:
                raise
            # Still good: the platform has until then to come back, and is not asked by every request.
            self._renew_from = min(now + PAUSE_BETWEEN_RENEWALS, self._ends)
            return old

    async def _replace(self) -> BucketCredentials:
        fresh = await self._fetch()
        ends, now = expires_at(fresh), self._now()
        # Credentials that end as they arrive tell of two clocks: then only a rejection counts.
        self._ends = None if ends is None or ends - now < SHORTEST_LIFE else ends
        self._renew_from = self._ends and self._ends - min(EARLIEST_RENEWAL, (self._ends - now) / 4)
        self._current = fresh
        return fresh

    def _is_due(self) -> bool:
        return self._renew_from is not None and self._now() >= self._renew_from
