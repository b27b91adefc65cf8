"""The triggers: of the deferrable sensors, and of asset watchers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger, class_path
from airflow_provider_neuro_buckets.triggers.conditions import Conditions
from airflow_provider_neuro_buckets.triggers.questions import find_blobs, find_matches, look_under
from airflow_provider_neuro_buckets.triggers.quiet import Calm, Look, unchanged
from airflow_provider_neuro_buckets.triggers.watching import Page, check_watcher, listed, listings, news

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets


class BlobTrigger(BucketsTrigger):
    """Waits until some blobs exist, and are as the conditions want.

    :param uris: their addresses.
    :param enough: how many of them suffice.
    :param min_size: bytes; with `newer_than` and `stable_for` one of the
        :class:`~airflow_provider_neuro_buckets.triggers.conditions.Conditions`.
    """

    def __init__(
        self,
        *,
        uris: Sequence[str],
        enough: int,
        min_size: int = 0,
        newer_than: str | None = None,
        stable_for: float = 0.0,
        **waiting: Any,
    ) -> None:
        super().__init__(**waiting)
        self.uris = list(uris)
        self.enough = enough
        self.conditions = Conditions.read(min_size=min_size, newer_than=newer_than, stable_for=stable_for)

    def question(self) -> dict[str, Any]:
        """Return the addresses, how many are enough, and the conditions."""
        return {"uris": self.uris, "enough": self.enough, **self.conditions.stored()}

    async def ask(self, buckets: Buckets) -> Any:
        """Return descriptions of the blobs."""
        return await find_blobs(buckets, self.uris, enough=self.enough, conditions=self.conditions)


class GlobTrigger(BucketsTrigger):
    """Waits until enough blobs match a pattern, and are as the conditions want.

    :param uri: the pattern.
    :param min_count: how many are enough.
    :param min_size: as :class:`BlobTrigger`, likewise `newer_than` and `stable_for`.
    """

    def __init__(
        self,
        *,
        uri: str,
        min_count: int,
        min_size: int = 0,
        newer_than: str | None = None,
        stable_for: float = 0.0,
        **waiting: Any,
    ) -> None:
        super().__init__(**waiting)
        self.uri = uri
        self.min_count = min_count
        self.conditions = Conditions.read(min_size=min_size, newer_than=newer_than, stable_for=stable_for)

    def question(self) -> dict[str, Any]:
        """Return the pattern, how many are enough, and the conditions."""
        return {"uri": self.uri, "min_count": self.min_count, **self.conditions.stored()}

    async def ask(self, buckets: Buckets) -> Any:
        """Return the matches."""
        return await find_matches(buckets, self.uri, self.min_count, conditions=self.conditions)


class PrefixUnchangedTrigger(BucketsTrigger):
    """Waits until nothing has changed under a prefix for a while.

    What it knew when it was stored stays with it: if nothing has changed since, a restart of the triggerer costs no
    time; if something has, the while begins anew.

    :param uri: address of the prefix.
    :param unchanged_for: seconds.
    :param min_count: so many blobs must be there.
    :param seen: what the sensor has seen before, as
        :class:`~airflow_provider_neuro_buckets.triggers.quiet.Calm` is stored.
    """

    def __init__(
        self, *, uri: str, unchanged_for: float, min_count: int, seen: Mapping[str, str] | None, **waiting: Any
    ) -> None:
        super().__init__(**waiting)
        self.uri = uri
        self.unchanged_for = unchanged_for
        self.min_count = min_count
        self.seen = seen
        self._calm = Calm.read(seen)

    def question(self) -> dict[str, Any]:
        """Return the prefix, what is waited for, and what was seen before."""
        return {
            "uri": self.uri,
            "unchanged_for": self.unchanged_for,
            "min_count": self.min_count,
            "seen": dict(self.seen) if self.seen else None,
        }

    def key(self) -> Hashable:
        """Return the prefix: whatever they wait for, all have to look at the same."""
        return ("look under", self.uri)

    async def ask(self, buckets: Buckets) -> Look:
        """Look at what is there."""
        return await look_under(buckets, self.uri)

    def judge(self, found: Look) -> dict[str, Any] | None:
        """Compare it with what was there before."""
        self._calm = Calm.after(self._calm, found)
        return unchanged(found, self._calm, seconds=self.unchanged_for, min_count=self.min_count)


class NewBlobsTrigger(BaseEventTrigger):
    """Emits one event for each blob that is new, or was written again, under a prefix or of a pattern.

    For an `AssetWatcher`. The payload is ``{"uri", "key", "size", "etag", "modified_at"}``. Faults of any kind are
    logged and waited out, for up to five minutes at a time; they never end the watcher.

    Every version of a blob is told at least once, and a second time only if the triggerer ends within seconds of it.
    Where it stopped is kept in Airflow's asset state store: of the last 4,000 blobs each one, so that after a restart
    only a blob is missed that turned up meanwhile with a time before all of these. At its very first start, and at
    every start on Airflow before 3.3, it begins with what is new from then on.

    Watchers of one prefix and interval share one listing (Airflow 3.3). While it runs, a watcher needs up to 150 bytes
    of memory for each blob that it watches.

    :param uri: the address of a prefix, such as ``blob:bucket/incoming/``; or, if it has an asterisk, a question mark,
        a bracket or a backslash, a pattern, which is taken raw.
    :param neuro_buckets_conn_id: a connection of type ``neuro_buckets``.
    :param poke_interval: seconds between two listings.
    :param max_events_per_poll: of more new blobs in one listing, the oldest come first, and the others with the next.
    :param min_size: only blobs of so many bytes.
    :param newer_than: only blobs written after this moment: a `datetime` or an ISO text.
    :param stable_for: only once a blob has not been written for so many seconds.
    """

    def __init__(
        self,
        *,
        uri: str,
        neuro_buckets_conn_id: str = "neuro_buckets_default",
        poke_interval: float = 60.0,
        max_events_per_poll: int = 100,
        min_size: int = 0,
        newer_than: datetime | str | None = None,
        stable_for: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's class is not typed
        check_watcher(uri=uri, poke_interval=poke_interval, max_events_per_poll=max_events_per_poll)
        self.uri = uri
        self.neuro_buckets_conn_id = neuro_buckets_conn_id
        self.poke_interval = float(poke_interval)
        self.max_events_per_poll = max_events_per_poll
        self.conditions = Conditions.read(min_size=min_size, newer_than=newer_than, stable_for=stable_for)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again. Airflow tells watchers apart by it: it stays as it is for ever."""
        return class_path(self), {
            "uri": self.uri,
            "neuro_buckets_conn_id": self.neuro_buckets_conn_id,
            "poke_interval": self.poke_interval,
            "max_events_per_poll": self.max_events_per_poll,
            **self.conditions.stored(),
        }

    def shared_stream_key(self) -> Hashable | None:
        """Return what watchers have in common that can share one listing."""
        return ("neuro_buckets", self.neuro_buckets_conn_id, self.poke_interval, *listed(self.uri))

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Page]:
        """List the prefix for ever, once an interval, and yield it page by page."""
        pages = listings(kwargs["neuro_buckets_conn_id"], kwargs["uri"], poke_interval=kwargs["poke_interval"])
        async with aclosing(pages):
            async for page in pages:
                yield page

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Page]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each blob that is new to this watcher."""
        told = news(
            shared_stream,
            uri=self.uri,
            conditions=self.conditions,
            most=self.max_events_per_poll,
            store=getattr(self, "asset_state_store", None),  # Airflow before 3.3 has none
        )
        async with aclosing(told):
            async for blob in told:
                yield TriggerEvent(blob)  # type: ignore[no-untyped-call]  # as above

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Do the same by itself, on Airflow before 3.3."""
        pages: Any = type(self).open_shared_stream(self.serialize()[1])
        events: Any = self.filter_shared_stream(pages)
        async with aclosing(pages), aclosing(events):
            async for event in events:
                yield event
