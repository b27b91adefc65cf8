"""A transfer in several tries: what an earlier one has moved is left alone. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_neuro_buckets.buckets.transfer.plan import (
    CLOCK_ERROR,
    SAME_MOMENT,
    Freshness,
    by_lead,
    freshness_of_copy,
)

_WORST_FIRST = (Freshness.STALE, Freshness.UNKNOWN, Freshness.CURRENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Which try of one transfer this is, of a transfer that replaces everything.

    A try after the first leaves alone what one before it has moved, unless the source has changed since: what the times
    show to be so, and in doubt the contents, as far as the provider has a checksum to compare. All else it moves again.
    With `update` or `continue_` these decide instead.

    :param has_earlier: whether there was one before.
    :param began: when the first began, by the clock of this host; `None` if that was another host or nobody knows: then
        times tell nothing, and the contents decide alone.
    :param has_later: whether another may come: a large file that is cut off is left for it as far as it came.
    :param notes: of each large upload that was cut off, by its key, the file as it was and what finds its parts: the
        try reads those of the one before and leaves its own. Without them, a provider has to tell of the parts.
        While the try runs, `notes_so_far` has those that a try after it would need if it ended now.
    """

    has_earlier: bool = False
    began: datetime | None = None
    has_later: bool = False
    notes: dict[str, list[str]] = field(default_factory=dict, compare=False)
    _under_way: dict[str, tuple[str, Callable[[], str]]] = field(default_factory=dict, compare=False, repr=False)

    def resumes(self, *, continues: bool) -> bool:
        """Whether large files are gone on with where they were cut off."""
        return continues or self.has_earlier or self.has_later

    def note_of(self, key: str, version: str) -> str:
        """Return what finds the parts of a large upload, of one version of its file; empty if nothing does."""
        noted, note = self.notes.get(key, ("", ""))
        return note if noted == version else ""

    def begins(self, key: str, version: str, note: Callable[[], str]) -> None:
        """Take note that a large upload goes on, and of what tells how to find its parts at any time."""
        self._under_way[key] = version, note

    def ends(self, key: str, *, is_left: bool) -> None:
        """Forget a large upload, unless its parts are left for the next try."""
        version, note = self._under_way.pop(key, ("", str))
        self.notes.pop(key, None)
        if is_left and self.has_later and (left := note()):
            self.notes[key] = [version, left]

    def notes_so_far(self) -> dict[str, list[str]]:
        """Return the notes as they would be if this try were killed now. Callable from any thread."""
        now = {key: [version, note()] for key, (version, note) in tuple(self._under_way.items())}
        return {**self.notes, **{key: note for key, note in now.items() if note[1]}}

    def of_blob(self, *, file_changed: float, blob_modified: datetime | None, skew: float) -> Freshness:
        """Tell by the times whether an earlier try has written a blob, of a file that has not changed since.

        :param file_changed: when the file system last touched the file or its rights: what has come to its name since
            was touched, whatever mtime it came with.
        :param skew: local clock minus the server's, in seconds.
        """
        if self.began is None or blob_modified is None:
            return Freshness.UNKNOWN
        written = blob_modified.timestamp() + skew
        return _worst(by_lead(written - self.began.timestamp()), by_lead(written - file_changed))

    def of_file(
        self, *, file_mtime: float, file_changed: float, blob_modified: datetime | None, skew: float
    ) -> Freshness:
        """Tell by the times whether an earlier try has written a file, of the version that the blob still is.

        :param file_mtime: the blob's own time, if a download gave it to the file.
        """
        if self.began is None or blob_modified is None:
            return Freshness.UNKNOWN
        if file_changed < self.began.timestamp():
            return Freshness.STALE
        modified = blob_modified.timestamp()
        is_same = abs(file_mtime - modified) < SAME_MOMENT and file_changed > modified + skew + CLOCK_ERROR
        return Freshness.CURRENT if is_same else Freshness.UNKNOWN

    def of_copy(
        self,
        *,
        source_modified: datetime | None,
        copy_modified: datetime | None,
        source_skew: float,
        copy_skew: float,
    ) -> Freshness:
        """Tell by the times whether an earlier try has made a copy, of the version that the source still is."""
        if self.began is None or copy_modified is None:
            return Freshness.UNKNOWN
        made = copy_modified.timestamp() + copy_skew
        of_source = freshness_of_copy(
            source_modified=source_modified,
            copy_modified=copy_modified,
            source_skew=source_skew,
            copy_skew=copy_skew,
        )
        return _worst(by_lead(made - self.began.timestamp()), of_source)


ONLY_TRY = Tries()


def _worst(*of: Freshness) -> Freshness:
    return min(of, key=_WORST_FIRST.index)
