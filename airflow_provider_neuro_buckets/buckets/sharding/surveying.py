"""What a job comes to: its ends are listed, and what is to be done with each file is decided."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.sharding.dealing import Dealer
from airflow_provider_neuro_buckets.buckets.sharding.deciding import Decider, decider
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.filesystems import FilesystemPlace
from airflow_provider_neuro_buckets.buckets.sharding.joining import Entries, Pages, in_order, join, sorted_pages
from airflow_provider_neuro_buckets.buckets.sharding.places import BucketPlace, FolderPlace, Place
from airflow_provider_neuro_buckets.buckets.sharding.ranges import AT_ONCE, Range, divide
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter

SORTED_AT_ONCE = 2
"""Ranges at once whose listings are sorted: each of them has some thousand entries in memory."""
_TOLD_EVERY = 1000


@dataclass(slots=True, kw_only=True)
class Survey:
    """What is to be done, as far as it has been found. Used once.

    :ivar folder: a local folder for its files alone.
    :ivar seen: files of the source.
    """

    folder: Path
    shards: int
    reporter: Reporter
    seen: int = 0
    unchanged: int = 0
    transfers: Dealer = field(init=False)
    removals: Dealer = field(init=False)

    def __post_init__(self) -> None:
        for name in ("transfers", "removals"):
            (self.folder / name).mkdir()
        self.transfers = Dealer(self.folder / "transfers", self.shards)
        self.removals = Dealer(self.folder / "removals", self.shards)

    async def everything(self, src: Place) -> None:
        """Find all files of a source."""

        async def look(one: Range) -> None:
            async with aclosing(one.pages([src])[0]) as pages:
                async for page in pages:
                    for entry in page:
                        self._transfer(entry)

        await share(await divide([src]), look, workers=AT_ONCE)
        self.reporter.found(self.transfers.items, self.transfers.bytes, complete=True)

    async def removal(self, place: Place) -> None:
        """Find what is to be deleted: all of a place."""

        async def look(one: Range) -> None:
            async with aclosing(one.pages([place])[0]) as pages:
                async for page in pages:
                    for entry in page:
                        self.removals.add(entry)

        await share(await divide([place]), look, workers=AT_ONCE)

    async def difference(self, src: Place, dst: Place, *, with_extra: bool, sorts: bool) -> None:
        """Find what a destination lacks of a source.

        :param with_extra: find also what only the destination has.
        :param sorts: sort what the buckets list; else it must come in order.
        :raises OutOfOrder: it does not.
        :raises ConfigurationError: of the source something cannot be read, so nobody knows what is extra.
        """
        async with decider(src, dst) as decides:

            async def look(one: Range) -> None:
                places = zip((src, dst), one.pages([src, dst]), strict=True)
                left, right = [self._ordered(place, pages, sorts=sorts) for place, pages in places]
                async with aclosing(join(left, right)) as pairs:
                    async for pair in pairs:
                        await self._decide(decides, pair, dst=dst, with_extra=with_extra)

            leading: Sequence[Place] = [src, dst] if with_extra else [src]
            ranges = await divide(leading, [] if with_extra else [dst])
            await share(ranges, look, workers=SORTED_AT_ONCE if sorts else AT_ONCE)
        self.reporter.found(self.transfers.items, self.transfers.bytes, complete=True)

    def _ordered(self, place: Place, pages: Pages, *, sorts: bool) -> Entries:
        if sorts or not isinstance(place, BucketPlace):
            pages = sorted_pages(pages, Path(tempfile.mkdtemp(dir=self.folder)))
        return in_order(pages, of=place.address())

    async def _decide(
        self, decides: Decider, pair: tuple[Entry | None, Entry | None], *, dst: Place, with_extra: bool
    ) -> None:
        src, there = pair
        if src is None:
            if with_extra and there is not None and _may_go(there, dst):
                self.removals.add(there)
            return
        if src.problem and with_extra:
            raise ConfigurationError(
                f"{src.problem}: so nobody can tell what only the destination has", remedy="Leave delete_extra out"
            )
        if not src.problem and await self._is_current(decides, src, there, dst):
            self.seen += 1
            self.unchanged += 1
        else:
            self._transfer(src)

    async def _is_current(self, decides: Decider, src: Entry, there: Entry | None, dst: Place) -> bool:
        if there is not None and not there.problem:
            return await decides.is_current(src, there)
        return src.is_folder and await _has_folder(dst, src.key)

    def _transfer(self, entry: Entry) -> None:
        self.seen += 1
        self.transfers.add(entry)
        if self.seen % _TOLD_EVERY == 0:
            self.reporter.found(self.transfers.items, self.transfers.bytes, complete=False)


def _may_go(there: Entry, dst: Place) -> bool:
    """Whether what only the destination has is extra: not its own marker, no local folder, nothing unreadable."""
    is_local_folder = there.is_folder and isinstance(dst, FolderPlace)
    return bool(there.key) and not is_local_folder and there.problem is None


async def _has_folder(place: Place, key: str) -> bool:
    """Whether a folder is there that no listing shows by itself: one that is not empty, or has no marker.

    :param key: of the folder; empty for the place itself.
    """
    match place:
        case BucketPlace(prefix=""):
            return not key
        case FolderPlace(path=path) if not key or not isinstance(local_names(key), str):
            return await in_thread((path / key).is_dir)
        case FilesystemPlace():
            return True  # not every one of them has folders by themselves
    return False
