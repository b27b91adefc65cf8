"""What a watcher has told of, so that it tells of every version of every blob once: pure, no I/O and no clock.

While it runs, a watcher remembers a fingerprint of each blob that it knows, so that nothing escapes it: no blob that
replaces another, and none that turns up with an old time. What survives a restart is a `Cursor` of bounded size.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import BlobObject

FINGERPRINT_BYTES = 6
MOST_REMEMBERED = 4000
"""Fingerprints in a cursor: 32 KB of text. Airflow's limit for a value is 64 KB."""
VERSION = 1

Place = tuple[int, int]
"""When a blob was written, in microseconds, and its fingerprint: an order of all blobs, also within one second."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One version of one blob in a listing.

    :ivar place: of the blob in the order of time.
    """

    place: Place
    entry: BlobObject

    @property
    def fingerprint(self) -> int:
        """Tells this version of this blob from all others."""
        return self.place[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Which blobs are known: of the last ones each, and all before them.

    :ivar floor: everything before it in the order of time counts as known; `None`: nothing is forgotten.
    :ivar fingerprints: of what is known from there on.
    """

    floor: Place | None
    fingerprints: frozenset[int]

    def knows(self, sighting: Sighting) -> bool:
        """Whether it is known."""
        return (self.floor is not None and sighting.place < self.floor) or sighting.fingerprint in self.fingerprints

    def stored(self) -> dict[str, Any]:
        """Return it in JSON."""
        packed = b"".join(one.to_bytes(FINGERPRINT_BYTES) for one in sorted(self.fingerprints))
        floor = list(self.floor) if self.floor else None
        return {"version": VERSION, "floor": floor, "fingerprints": b64encode(packed).decode("ascii")}

    @classmethod
    def read(cls, stored: Any) -> Cursor:
        """Read a cursor that was stored.

        :raises ValueError: it is none.
        """
        try:
            version = stored["version"]
            floor = stored["floor"] and (int(stored["floor"][0]), int(stored["floor"][1]))
            packed = b64decode(stored["fingerprints"], validate=True)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"it is no cursor ({type(error).__name__})") from error
        if version != VERSION or len(packed) % FINGERPRINT_BYTES:
            raise ValueError(f"it is of version {version!r}")
        starts = range(0, len(packed), FINGERPRINT_BYTES)
        return cls(
            floor=floor,
            fingerprints=frozenset(int.from_bytes(packed[at : at + FINGERPRINT_BYTES]) for at in starts),
        )


class Watch:
    """Compares one listing after the other with what is known.

    :param cursor: what was known before; `None`: all that the first listing shows is taken as known.
    :param most: at most so many blobs are new in one listing, the oldest; the next listing has the others.
    """

    def __init__(self, cursor: Cursor | None, *, most: int) -> None:
        self._cursor = cursor
        self._most = most
        self._known: set[int] | None = None  # only after a listing that was looked at to its end
        self._is_open = False
        self.waiting = 0

    def begin(self) -> None:
        """Begin with a listing, also when the last one broke off."""
        self._is_open = True
        self._seen: set[int] = set()
        self._last: list[Place] = []
        self._is_cut = False
        self._new: list[tuple[int, int, str, Sighting]] = []
        self.waiting = 0

    def look(self, sighting: Sighting, *, counts: bool) -> None:
        """Look at a blob of the listing.

        :param counts: it is as the conditions want; if not, it stays unknown, and may count later.
        """
        if not self._is_open:  # the listing began before this watcher did
            return
        if self._knows(sighting):
            self._remember(sighting)
        elif counts:
            self._put_in_order(sighting)

    def _knows(self, sighting: Sighting) -> bool:
        if self._known is not None:
            return sighting.fingerprint in self._known
        return self._cursor is None or self._cursor.knows(sighting)

    def _remember(self, sighting: Sighting) -> None:
        self._seen.add(sighting.fingerprint)
        if len(self._last) < MOST_REMEMBERED:
            heappush(self._last, sighting.place)
        else:
            heappushpop(self._last, sighting.place)
            self._is_cut = True

    def _put_in_order(self, sighting: Sighting) -> None:
        """Keep it if it is among the oldest that are new."""
        moment, fingerprint = sighting.place
        self.waiting += 1
        item = (-moment, -fingerprint, sighting.entry.key, sighting)
        if len(self._new) < self._most:
            heappush(self._new, item)
        else:
            heappushpop(self._new, item)

    def end(self) -> Iterator[Sighting]:
        """End the listing: yield what is new, the oldest first; each is known once the next is asked for."""
        if not self._is_open:
            return
        self._is_open = False
        for *_, sighting in sorted(self._new, key=lambda item: item[-1].place):
            yield sighting
            self._remember(sighting)
            self.waiting -= 1
        self._known = self._seen

    def cursor(self) -> Cursor | None:
        """Return what is known after the last listing that came to its end; `None` before the first."""
        if self._known is None or self._is_open:
            return None
        return Cursor(
            floor=self._last[0] if self._is_cut else None,
            fingerprints=frozenset(fingerprint for _, fingerprint in self._last),
        )
