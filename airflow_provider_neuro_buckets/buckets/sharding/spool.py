"""Lines in a local file, compressed, with next to nothing in memory. Blocking."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError

AT_ONCE = 32 * 1024
"""Bytes of lines that wait in memory: a thousand spools take no more than 32 MiB."""


class Spool:
    """A file of lines that grows at its end: gzip, of one member after another. No file is open between two calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """Add a line, given without its end."""
        self._waiting.append(line)
        self._size += len(line) + 1
        if self._size > AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what waits; afterwards the file has every line."""
        self._waiting.append(b"")
        content = b"\n".join(self._waiting)
        with self.path.open("ab") as file:
            file.write(member(content))
        self._waiting.clear()
        self._size = 0


def member(content: bytes) -> bytes:
    """Return a piece of a gzip file, which may be put before or behind others."""
    return gzip.compress(content, 3, mtime=0)


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without their ends.

    :raises IntegrityError: it is no whole gzip file.
    """
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IntegrityError(f"a list of items is damaged ({error})", remedy="Plan again") from None
