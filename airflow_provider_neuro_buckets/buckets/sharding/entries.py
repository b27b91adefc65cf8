"""The lines of manifests: what is known of a file or a blob, so that nobody needs to be asked again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta


class Entry(NamedTuple):
    """A file or a blob of one end.

    :ivar key: its path below the end, with ``/``; a folder that is to be there ends with one.
    :ivar modified: seconds since the epoch, by the clock of its storage.
    :ivar changed: when a local file system last touched it, likewise.
    :ivar problem: why it cannot be read, if so.
    """

    key: str
    size: int
    etag: str | None = None
    md5: str | None = None
    modified: float | None = None
    changed: float | None = None
    problem: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it only marks a folder."""
        return not self.size and (not self.key or self.key.endswith("/"))

    def meta(self, prefix: str = "") -> BlobMeta:
        """Return it as what a provider says of a blob."""
        modified = None if self.modified is None else datetime.fromtimestamp(self.modified, UTC)
        return BlobMeta(key=prefix + self.key, size=self.size, etag=self.etag, md5=self.md5, modified_at=modified)

    def line(self) -> bytes:
        """Return it as a line of JSON: ASCII, without its end."""
        known = {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}
        return _dump(known).encode()

    @classmethod
    def of(cls, line: bytes) -> Entry:
        """Read what :meth:`line` has made.

        :raises InvalidAnswer: it has not.
        """
        try:
            entry = cls(**json.loads(line))
        except (TypeError, ValueError):
            raise _damaged(line) from None
        if not all(isinstance(value, kinds) for value, kinds in zip(entry, _KINDS, strict=True)) or entry.size < 0:
            raise _damaged(line)
        return entry


_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_TEXT, _NUMBER = (str, type(None)), (int, float, type(None))
_KINDS: tuple[Any, ...] = (str, int, _TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT)


def _damaged(line: bytes) -> InvalidAnswer:
    return InvalidAnswer(f"a manifest has the line {line[:200]!r}, which is no item", remedy="Plan again")
