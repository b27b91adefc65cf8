"""What a large body is poured into, by a thread."""

from __future__ import annotations

from typing import Protocol


class Basin(Protocol):
    """What a body is poured into. Used by one thread at a time."""

    def room(self) -> memoryview:
        """Return where the next bytes go; it is not empty."""
        ...

    def add(self, size: int) -> None:
        """Take note that so many bytes have come into the room. May block."""
        ...


def fill(basin: Basin, *content: bytes | bytearray | memoryview) -> None:
    """Put bytes that are in memory into a basin. Blocking: run in a thread."""
    for one in content:
        rest = memoryview(one)
        while rest:
            room = basin.room()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            basin.add(size)
            rest = rest[size:]
