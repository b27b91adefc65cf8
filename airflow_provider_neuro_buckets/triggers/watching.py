"""The trigger of asset watchers: tells of every new blob under a prefix or of a pattern, once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, BucketsError, ConfigurationError
from airflow_provider_neuro_buckets.buckets.glob import Glob, match_components, parse_glob
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.triggers.base import pause
from airflow_provider_neuro_buckets.triggers.conditions import ANY, Conditions
from airflow_provider_neuro_buckets.triggers.cursor import FINGERPRINT_BYTES, Sighting, Watch
from airflow_provider_neuro_buckets.triggers.memory import Memory
from airflow_provider_neuro_buckets.triggers.questions import describe, identity
from airflow_provider_neuro_buckets.triggers.sharing import Lease, lease

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

log = logging.getLogger(__name__)

_MAGIC = re.compile(r"[*?\[\\]")
PAGE = 1000
SECONDS_UNTIL_SENT = 2.0
"""Within these the triggerer hands over an event. The cursor is saved after them: a crash repeats, and never loses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of one listing. Watchers of one prefix look at the same.

    :ivar prefix: the key that all of it begins with.
    :ivar at: when it was listed, by the storage's clock.
    """

    prefix: str
    sightings: Sequence[Sighting]
    at: datetime
    is_first: bool
    is_last: bool


class NewBlobsTrigger(BaseEventTrigger):
    """Emits one event for each blob that is new, or was written again, under a prefix or of a pattern.

    For an `AssetWatcher`. The payload is ``{"uri", "key", "size", "etag", "modified_at"}``. Faults of any kind are
    logged and waited out, for up to five minutes at a time; they never end the watcher.

    Every version of a blob is told at least once, and a second time only if the triggerer ends within seconds of it.
    Where it stopped is kept in Airflow's asset state store: of the last 4,000 blobs each one, so that after a restart
    only a blob is missed that turned up meanwhile with a time before all of these. At its very first start, and at
    every start on Airflow before 3.3, it begins with what is new from then on.

    Watchers of one prefix and interval share one listing (Airflow 3.3). While it runs, a watcher needs about 80 bytes
    of memory for each blob under the prefix.

    :param uri: the address of a prefix, such as ``blob:bucket/incoming/``; or, if it has one of the characters
        ``*?[``, a pattern, which is taken raw.
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
        _check(uri, poke_interval, max_events_per_poll)
        self.uri = uri
        self.neuro_buckets_conn_id = neuro_buckets_conn_id
        self.poke_interval = float(poke_interval)
        self.max_events_per_poll = max_events_per_poll
        self.conditions = Conditions.read(min_size=min_size, newer_than=newer_than, stable_for=stable_for)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the same trigger again. Airflow tells watchers apart by it: it stays as it is for ever."""
        # The door to it, not the module that it happens to be in.
        return "airflow_provider_neuro_buckets.triggers.blobs.NewBlobsTrigger", {
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
        faults = 0
        while True:
            try:
                async with lease(kwargs["neuro_buckets_conn_id"]) as held:
                    while True:
                        async with aclosing(_listing(held, kwargs["uri"])) as pages:
                            async for page in pages:
                                yield page
                        faults = 0
                        await asyncio.sleep(kwargs["poke_interval"])
            except BucketsError as error:
                log.warning("Cannot list %s: %s", kwargs["uri"], error)
            except Exception:
                # Airflow would start the watcher again at once, and again: it waits here instead.
                log.exception("Cannot list %s", kwargs["uri"])
            faults += 1
            await asyncio.sleep(pause(kwargs["poke_interval"], faults))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Page]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each blob that is new to this watcher."""
        memory = Memory(getattr(self, "asset_state_store", None), key=_memory_key(self.uri), watched=self.uri)
        watch = Watch(await memory.load(), most=self.max_events_per_poll)
        async for page in shared_stream:
            self._look(watch, page)
            if not page.is_last:
                continue
            is_told = False
            for sighting in watch.end():
                yield TriggerEvent(describe(sighting.entry))  # type: ignore[no-untyped-call]  # as above
                is_told = True
            if watch.waiting:
                log.info("%d new blobs of %s have to wait for the next listing", watch.waiting, self.uri)
            if is_told:
                await asyncio.sleep(SECONDS_UNTIL_SENT)
            await memory.save(watch.cursor())

    def _look(self, watch: Watch, page: Page) -> None:
        if page.is_first:
            watch.begin()
        glob = _glob(page.prefix, self.uri)
        for sighting in page.sightings:
            entry = sighting.entry
            if glob is None or match_components(glob.components, entry.key.split("/")):
                counts = self.conditions == ANY or self.conditions.accept(
                    size=entry.size, modified_at=entry.modified_at, now=page.at
                )
                watch.look(sighting, counts=counts)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Do the same by itself, on Airflow before 3.3."""
        async with aclosing(type(self).open_shared_stream(self.serialize()[1])) as stream:  # type: ignore[type-var]  # Airflow's signature says iterator; it is a generator
            async for event in self.filter_shared_stream(stream):
                yield event


def listed(uri: str) -> tuple[str, bool]:
    """Return the address of the prefix that has to be listed, and whether its folders have to, too.

    Of a pattern it is the text before the first operator, and one level where nothing else can match.
    """
    magic = _MAGIC.search(uri)
    if magic is None:
        return uri, True
    literal, rest = uri[: magic.start()], uri[magic.start() :]
    # A pattern is raw; an address is encoded.
    return literal.replace("%", "%25").replace("#", "%23"), "/" in rest or "**" in rest


@lru_cache(maxsize=64)
def _glob(prefix: str, uri: str) -> Glob | None:
    """Return the pattern over whole keys, of which `prefix` is how they begin; `None` for a plain address."""
    magic = _MAGIC.search(uri)
    return None if magic is None else parse_glob(prefix + uri[magic.start() :])


async def _listing(held: Lease, uri: str) -> AsyncGenerator[Page]:
    """Yield one listing; the last page may be empty."""
    address, is_recursive = listed(uri)
    try:
        buckets = await held.buckets()
        _, prefix = await buckets.locate(address)
        sightings: list[Sighting] = []
        is_first = True
        async with aclosing(buckets.list_blobs(address, recursive=is_recursive, limit=None)) as entries:
            async for entry in entries:
                if len(sightings) == PAGE:
                    yield await _page(buckets, address, prefix, sightings, is_first=is_first)
                    sightings, is_first = [], False
                if isinstance(entry, BlobObject):
                    sightings.append(sighted(entry))
        yield await _page(buckets, address, prefix, sightings, is_first=is_first, is_last=True)
    except AuthenticationError:
        held.retire()
        raise


async def _page(
    buckets: Buckets, address: str, prefix: str, sightings: list[Sighting], *, is_first: bool, is_last: bool = False
) -> Page:
    at = await buckets.storage_time(address)
    return Page(prefix=prefix, sightings=sightings, at=at, is_first=is_first, is_last=is_last)


def sighted(entry: BlobObject) -> Sighting:
    """Return a blob as a watcher compares it."""
    fingerprint = hashlib.blake2b(identity(entry), digest_size=FINGERPRINT_BYTES).digest()
    moment = round(entry.modified_at.timestamp() * 1e6) if entry.modified_at else 0
    return Sighting((moment, int.from_bytes(fingerprint)), entry)


def _memory_key(uri: str) -> str:
    return f"neuro_buckets_new_blobs_{hashlib.sha256(uri.encode()).hexdigest()[:32]}"


def _check(uri: str, poke_interval: float, max_events_per_poll: int) -> None:
    """Refuse what can never work when the DAG is parsed: a watcher has no task whose log could tell it later.

    :raises ConfigurationError: says what.
    """
    # Addresses load a library that no DAG without a watcher needs.
    from airflow_provider_neuro_buckets.buckets.uri import parse_blob_pattern, parse_blob_uri  # noqa: PLC0415 - as said

    if not _MAGIC.search(uri):
        parse_blob_uri(uri)
    elif uri.endswith("/"):
        raise ConfigurationError(f"the pattern {uri!r} ends with a slash: no blob matches it", remedy="Leave it out")
    else:
        for reading in parse_blob_pattern(uri):
            parse_glob(reading.key)
    if not poke_interval > 0 or max_events_per_poll < 1:
        raise ConfigurationError(
            f"a watcher cannot have poke_interval={poke_interval!r} and max_events_per_poll={max_events_per_poll!r}",
            remedy="Both must be positive",
        )
