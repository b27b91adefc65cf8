"""Manifests while they are made: entries are dealt out to them, and wait in local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.sharding.balance import Balancer
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool


class Dealer:
    """Deals entries out to the shards of one action. Blocking, for as long as it takes to write a few kilobytes.

    :param folder: a local folder for its files alone, which is there.
    :param shards: most of them.
    """

    def __init__(self, folder: Path, shards: int) -> None:
        self._balancer = Balancer(shards)
        self._spools = [Spool(folder / str(number)) for number in range(shards)]

    def add(self, entry: Entry) -> None:
        """Give an entry to the shard that has the least."""
        self._spools[self._balancer.place(entry.size)].add(entry.line())

    @property
    def items(self) -> int:
        """How many entries there are in all shards."""
        return sum(self._balancer.items)

    @property
    def bytes(self) -> int:
        """The size of all of them."""
        return sum(self._balancer.bytes)

    def shards(self) -> Iterator[tuple[Path, int, int]]:
        """Finish all files; yield that of each shard that is not empty, its items and their size."""
        for spool, items, size in zip(self._spools, self._balancer.items, self._balancer.bytes, strict=True):
            if items:
                spool.flush()
                yield spool.path, items, size
