"""Two listings side by side: sorted, and then joined by key. In bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool, lines_of

Pages = AsyncGenerator[list[Entry], None]
Entries = AsyncGenerator[Entry, None]
Pair = tuple[Entry | None, Entry | None]

SORTED_AT_ONCE = 20_000
"""Entries in memory while a listing is sorted."""
_PAGE = 1000


class OutOfOrder(InvalidAnswer):
    """A listing is not in the order of its keys: nothing can be concluded from what it seems to lack."""


async def in_order(pages: Pages, *, of: str) -> Entries:
    """Yield the entries of pages, which must come in the order of their keys.

    That is the order of their code points, which is the one of their UTF-8 bytes.

    :param of: what is listed, for the error.
    :raises OutOfOrder: a key is not behind the one before it.
    """
    last: str | None = None
    async with aclosing(pages):
        async for page in pages:
            for entry in page:
                if last is not None and entry.key <= last:
                    raise OutOfOrder(
                        f"the listing of {of} has {entry.key!r} behind {last!r}", remedy="Nothing was concluded from it"
                    )
                last = entry.key
                yield entry


async def sorted_pages(pages: Pages, folder: Path, *, at_once: int = SORTED_AT_ONCE) -> Pages:
    """Yield the entries of pages in the order of their keys, of equal keys the last; most of them wait on the disk.

    :param folder: a local folder of this call alone.
    :param at_once: entries in memory.
    """
    runs: list[Spool] = []
    lasts: list[str] = []
    waiting: list[Entry] = []

    def spill() -> None:
        waiting.sort(key=_key)
        if not lasts or waiting[0].key < lasts[-1]:
            runs.append(Spool(folder / str(len(runs))))
            lasts.append("")
        for entry in waiting:
            runs[-1].add(entry.line())
        lasts[-1] = waiting[-1].key
        waiting.clear()

    async with aclosing(pages):
        async for page in pages:
            waiting += page
            if len(waiting) >= at_once:
                spill()
    if waiting:
        spill()
    for run in runs:
        run.flush()
    merged = _last_of_equals(heapq.merge(*(map(Entry.of, lines_of(run.path)) for run in runs), key=_key))
    while page := list(islice(merged, _PAGE)):
        yield page


def _key(entry: Entry) -> str:
    return entry.key


def _last_of_equals(entries: Iterator[Entry]) -> Iterator[Entry]:
    waiting: Entry | None = None
    for entry in entries:
        if waiting is not None and waiting.key != entry.key:
            yield waiting
        waiting = entry
    if waiting is not None:
        yield waiting


async def join(left: Entries, right: Entries) -> AsyncGenerator[Pair, None]:
    """Yield each key of two streams once, with what each has of it: a merge join.

    :param left: in the order of its keys, none twice; likewise `right`.
    """
    async with aclosing(left), aclosing(right):
        one, other = await anext(left, None), await anext(right, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.key < other.key):
                yield one, None
                one = await anext(left, None)
            elif one is None or other.key < one.key:
                yield None, other
                other = await anext(right, None)
            else:
                yield one, other
                one, other = await anext(left, None), await anext(right, None)
