"""Listings that go on side by side: a place is divided where its folders allow it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.joining import Pages
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, Place

WANTED = 32
"""So many ranges are enough to keep those busy that are listed at once, although some are small."""
AT_ONCE = 8
MOST_ENTRIES = 20_000
"""So many entries of single levels are in memory at most, and a page or two."""


@dataclass(frozen=True, slots=True)
class Range:
    """A part of some places, the same of each.

    :ivar folder: what lies below it is in the range, but where the range is a single level.
    :ivar level: what lies directly in the folder, of each of the places; all of the range, if it is known.
    """

    folder: str
    level: Sequence[list[Entry]] | None = None

    def pages(self, places: Sequence[Place]) -> list[Pages]:
        """Return the pages of this range, of each place."""
        if self.level is not None:
            return [_once(entries) for entries in self.level]
        return [place.pages(self.folder) for place in places]


async def _once(entries: list[Entry]) -> Pages:
    yield entries


async def divide(leading: Sequence[Place], following: Sequence[Place] = (), *, wanted: int = WANTED) -> list[Range]:
    """Divide places into ranges that together are all of the leading ones.

    A folder is divided into those in it and what lies beside them, if a single page of a listing tells all of that, of
    each of the places. So a flat bucket is one range, and whatever is no bucket is one.

    :param following: places of which only those folders matter that the leading ones have.
    :param wanted: ranges after which no more are made.
    """
    places = [*leading, *following]
    buckets = [place for place in places if isinstance(place, BucketPlace)]
    waiting, whole, levels = deque([""]), list[Range](), list[Range]()
    if len(buckets) < len(places):
        return [Range("")]
    entries = 0
    while waiting and len(waiting) + len(whole) < wanted and entries < MOST_ENTRIES:
        folder = waiting.popleft()
        found = await asyncio.gather(*(place.level(folder) for place in buckets))
        known = [level for level in found if level is not None]
        if len(known) < len(found):
            whole.append(Range(folder))
            continue
        levels.append(Range(folder, [level.entries for level in known]))
        entries += sum(len(level.entries) for level in known)
        waiting += sorted({inner for level in known[: len(leading)] for inner in level.folders})
    return [*levels, *whole, *map(Range, waiting)]
