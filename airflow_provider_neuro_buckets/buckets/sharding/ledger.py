"""The books of a shard: which of its items are done, in all tries, and which have failed in this one."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, PermissionDenied
from airflow_provider_neuro_buckets.buckets.sharding.bitmap import Bitmap
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.manifests import entries_of
from airflow_provider_neuro_buckets.buckets.sharding.spool import Spool
from airflow_provider_neuro_buckets.buckets.sharding.values import Shard, ShardReport
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved
from airflow_provider_neuro_buckets.buckets.transfer.prospects import Prospects
from airflow_provider_neuro_buckets.buckets.transfer.tries import Tries

SHOWN = 10
"""Failures in memory, and in the message of the error; all of them are in the result."""

Item = tuple[int, Entry]
"""A line of a manifest with its number, from 0."""


class Ledger:
    """What has come of each item. Lives as long as a try.

    :param failures: takes those of this try.
    :param kept: what :meth:`content` returned in the try before; `None` in the first.
    :raises InvalidAnswer: that is not what it was.
    :ivar tries: this try, for whoever goes on with single large files.
    :ivar failed: how many have failed in this try, and `first` the first of them by their keys.
    :ivar changes: grows with each item that is done.
    """

    def __init__(self, shard: Shard, *, failures: Spool, kept: bytes | None = None) -> None:
        self._shard = shard
        self._failures = failures
        state = _state(kept) if kept is not None else {}
        self._done = _bitmap(shard, state.get("done"))
        self._bytes, self._moved, self._verified = (int(state.get(name, 0)) for name in ("bytes", "moved", "verified"))
        self._refusal: PermissionDenied | None = None
        self.tries = Tries(has_earlier=kept is not None, has_later=True, notes=dict(state.get("notes", {})))
        self.prospects = Prospects()
        self.failed = 0
        self.first: dict[str, Exception] = {}
        self.changes = 0

    async def unfinished(self, manifest: Path) -> AsyncGenerator[Item, None]:
        """Yield what is not done yet; nothing more once there is no point in going on.

        :raises InvalidAnswer: the manifest has not the items of its shard.
        """
        number = -1
        for number, entry in enumerate(entries_of(manifest)):
            if self.prospects.hopeless is not None:
                return
            if number < self._shard.items and number not in self._done:
                yield number, entry
        if number + 1 != self._shard.items:
            raise InvalidAnswer(
                f"{self._shard.uri} has {number + 1} items instead of {self._shard.items}", remedy="Plan again"
            )

    def done(self, item: Item, one: Moved | Left) -> None:
        """Take note of an item that is done."""
        number, entry = item
        self._done.add(number)
        self._bytes += entry.size
        if isinstance(one, Moved):
            self._moved += one.bytes
            self._verified += one.proof is Proof.CHECKSUM
        else:
            self._verified += 1  # nobody knows when the first try began, on which host: so the contents were compared
        self.prospects.succeeded()
        self.changes += 1

    def fail(self, item: Item, error: Exception) -> None:
        """Take note of an item that is not."""
        _, entry = item
        self.failed += 1
        self._failures.add(json.dumps({"key": entry.key, "error": str(error)}).encode())
        if len(self.first) < SHOWN:
            self.first[entry.key] = error
        if self.failed == 1 and isinstance(error, PermissionDenied):
            self._refusal = error
        elif not isinstance(error, PermissionDenied):
            self._refusal = None
        self.prospects.failed(error)

    def stopped(self) -> Exception | None:
        """Return what stopped the whole shard: the service, the token, or rights that are missing for all of it."""
        return self.prospects.hopeless or (self._refusal if not self._done.count else None)

    def report(self) -> ShardReport:
        """Return what all tries so far have done."""
        return ShardReport(
            number=self._shard.number,
            action=self._shard.action,
            items=self._done.count,
            bytes=self._bytes,
            moved=self._moved,
            verified=self._verified,
            failed=self.failed,
        )

    def content(self) -> bytes:
        """Return what the next try has to know."""
        state = {
            "bytes": self._bytes,
            "moved": self._moved,
            "verified": self._verified,
            "notes": self.tries.notes_so_far(),
            "done": base64.b85encode(self._done.content()).decode(),
        }
        return gzip.compress(json.dumps(state).encode(), 1, mtime=0)


_KEPT = {"bytes": int, "moved": int, "verified": int, "notes": dict, "done": str}


def _state(kept: bytes) -> dict[str, Any]:
    try:
        state = json.loads(gzip.decompress(kept))
    except (EOFError, OSError, ValueError, zlib.error):
        state = None
    if not isinstance(state, dict) or any(not isinstance(state.get(name), kind) for name, kind in _KEPT.items()):
        raise InvalidAnswer("what an earlier try has noted cannot be read", remedy="Plan again")
    return state


def _bitmap(shard: Shard, encoded: str | None) -> Bitmap:
    if encoded is None:
        return Bitmap(shard.items)
    try:
        return Bitmap(shard.items, base64.b85decode(encoded))
    except ValueError:
        raise InvalidAnswer(
            f"what an earlier try has noted of {shard.uri} is of another shard", remedy="Plan again"
        ) from None
