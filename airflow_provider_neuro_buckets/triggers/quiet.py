"""Since when nothing has changed under a prefix: pure, no I/O and no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a prefix held at one moment.

    :ivar count: of the blobs.
    :ivar digest: of their names, sizes, ETags and times.
    :ivar newest: when the last of them was written; `None` without any.
    :ivar at: the moment, by the storage's clock.
    """

    count: int
    size: int
    digest: str
    newest: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What was seen before: all that is kept between two looks.

    :ivar digest: of what was there.
    :ivar since: from when on it has been like that, by the storage's clock.
    """

    digest: str
    since: datetime

    @classmethod
    def after(cls, before: Calm | None, look: Look) -> Calm:
        """Return what is known after a look.

        At the first look the storage itself says when it was last written to. From then on every change that is seen
        counts from when it is seen, also one that leaves no time behind: a deletion, or a blob that is older than it
        looks, as one that Amazon has put together from parts.
        """
        if before is None:
            return cls(digest=look.digest, since=look.newest or look.at)
        return before if before.digest == look.digest else cls(digest=look.digest, since=look.at)

    def stored(self) -> dict[str, str]:
        """Return it in JSON."""
        return {"digest": self.digest, "since": self.since.isoformat()}

    @classmethod
    def read(cls, stored: Any) -> Calm | None:
        """Read what was stored; `None` if nothing was, or nothing that can be read."""
        try:
            return cls(digest=str(stored["digest"]), since=datetime.fromisoformat(stored["since"]))
        except (KeyError, TypeError, ValueError):
            return None


def unchanged(look: Look, calm: Calm, *, seconds: float, min_count: int) -> dict[str, Any] | None:
    """Return the answer once enough is there and nothing has changed for so long: ``{"count", "size", "modified_at"}``.

    `modified_at` is when the last of the blobs was written.
    """
    if look.count < min_count or (look.at - calm.since).total_seconds() < seconds:
        return None
    return {"count": look.count, "size": look.size, "modified_at": look.newest.isoformat() if look.newest else None}
