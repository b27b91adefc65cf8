"""Credentials of one bucket: fetched when first needed, renewed in time, once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, TransientError
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials

EARLIEST_RENEWAL = timedelta(minutes=5)
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


class CredentialSource:
    """Hands out credentials that are good now, and renews them before they end or when a store rejects them.

    :param fetch: gets fresh credentials.
    """

    def __init__(self, fetch: Callable[[], Awaitable[BucketCredentials]]) -> None:
        self._fetch = fetch
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
            if self._ends is not None and datetime.now(UTC) < self._ends:
                return old  # still good: the platform has until then to come back
            raise

    async def _replace(self) -> BucketCredentials:
        fresh = await self._fetch()
        self._ends = expires_at(fresh)
        self._renew_from = None
        if self._ends is not None:
            left = self._ends - datetime.now(UTC)
            self._renew_from = self._ends - min(EARLIEST_RENEWAL, left / 4)
        self._current = fresh
        return fresh

    def _is_due(self) -> bool:
        return self._renew_from is not None and datetime.now(UTC) >= self._renew_from
