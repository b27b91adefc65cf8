"""The triggers: of the deferrable sensors, and of asset watchers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger
from airflow_provider_neuro_buckets.triggers.conditions import Conditions
from airflow_provider_neuro_buckets.triggers.questions import find_blobs, find_matches, look_under
from airflow_provider_neuro_buckets.triggers.quiet import Calm, Look, unchanged
from airflow_provider_neuro_buckets.triggers.watching import NewBlobsTrigger

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

__all__ = ["BlobTrigger", "GlobTrigger", "NewBlobsTrigger", "PrefixUnchangedTrigger"]


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
