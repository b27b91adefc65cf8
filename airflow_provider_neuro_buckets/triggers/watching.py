"""How a watcher sees what is new: listings without end, and what in them it has not told of."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    ConfigurationError,
    ResourceNotFound,
)
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


async def listings(neuro_buckets_conn_id: str, uri: str, *, poke_interval: float) -> AsyncGenerator[Page]:
    """List for ever, once an interval, page by page. Whatever fails is logged and waited out."""
    faults = 0
    while True:
        try:
            async with lease(neuro_buckets_conn_id) as held:
                while True:
                    async with aclosing(_listing(held, uri)) as pages:
                        async for page in pages:
                            yield page
                    faults = 0
                    await asyncio.sleep(poke_interval)
        except BucketsError as error:
            log.warning("Cannot list %s: %s", uri, error)
        except Exception:
            # Airflow would start the watcher again at once, and again: it waits here instead.
            log.exception("Cannot list %s", uri)
        faults += 1
        await asyncio.sleep(pause(poke_interval, faults))


async def news(
    pages: AsyncIterator[Page], *, uri: str, conditions: Conditions, most: int, store: Any
) -> AsyncGenerator[dict[str, Any]]:
    """Yield a description of each blob that is new to this watcher, the oldest of a listing first.

    :param most: of one listing.
    :param store: Airflow's asset state store, or `None`.
    """
    memory = Memory(store, key=memory_key(uri), watched=uri)
    watch = Watch(await memory.load(), most=most)
    async for page in pages:
        _look(watch, page, uri=uri, conditions=conditions)
        if not page.is_last:
            continue
        is_told = False
        for sighting in watch.end():
            yield describe(sighting.entry)
            is_told = True
        if watch.waiting:
            log.info("%d new blobs of %s have to wait for the next listing", watch.waiting, uri)
        if is_told:
            await asyncio.sleep(SECONDS_UNTIL_SENT)
        await memory.save(watch.cursor())


def _look(watch: Watch, page: Page, *, uri: str, conditions: Conditions) -> None:
    if page.is_first:
        watch.begin()
    glob = _glob(page.prefix, uri)
    for sighting in page.sightings:
        entry = sighting.entry
        if glob is None or match_components(glob.components, entry.key.split("/")):
            counts = conditions == ANY or conditions.accept(size=entry.size, modified_at=entry.modified_at, now=page.at)
            watch.look(sighting, counts=counts)


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
    except (AuthenticationError, ResourceNotFound):
        held.retire()  # another token may be in the connection by now, or another bucket have the name
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


def memory_key(uri: str) -> str:
    """Return the name of the cursor in Airflow's store. It stays as it is for ever."""
    return f"neuro_buckets_new_blobs_{hashlib.sha256(uri.encode()).hexdigest()[:32]}"


def check_watcher(*, uri: str, poke_interval: float, max_events_per_poll: int) -> None:
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
