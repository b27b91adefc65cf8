"""What a transfer is going to do: in which parts, and what it may leave alone. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum, StrEnum

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, PartLimits

MIB = 1024 * 1024
PART = 8 * MIB
IN_MEMORY = MIB
"""A blob up to this size is held in memory until it is written; of larger ones a file is filled as they arrive."""
SINGLE_READ = 2 * PART
"""A blob up to this size is read in one request; larger ones in parallel ranges."""
STREAMS = 8
"""So many ranges side by side are enough; more of them cost the server and the client CPU time, and disks seeks."""
LONGEST_RANGE = 64 * MIB
IN_ORDER = 2 * PART
"""A range of a blob with one MD5 of the whole, which goes through it in order: what is far ahead of it has to wait."""

CLOCK_ERROR = 2.0
"""Seconds by which two times may be wrong: servers date answers and blobs in whole seconds."""
SAME_MOMENT = 0.001
"""Seconds within which a file system keeps the time that a file was given."""


class Existing(Enum):
    """What a transfer does where its destination exists already."""

    REPLACE = "replace"
    UPDATE = "update"
    CONTINUE = "continue"
    UPDATE_OR_CONTINUE = "update or continue"

    @classmethod
    def from_flags(cls, *, update: bool, continue_: bool) -> Existing:
        """Read the reference's flags."""
        return {
            (False, False): cls.REPLACE,
            (True, False): cls.UPDATE,
            (False, True): cls.CONTINUE,
            (True, True): cls.UPDATE_OR_CONTINUE,
        }[update, continue_]

    @property
    def skips_current(self) -> bool:
        """Whether a destination that is up to date is left alone."""
        return self in {Existing.UPDATE, Existing.UPDATE_OR_CONTINUE}

    @property
    def continues(self) -> bool:
        """Whether a destination that is the beginning of the source is gone on with."""
        return self in {Existing.CONTINUE, Existing.UPDATE_OR_CONTINUE}


class Freshness(Enum):
    """What size and time tell of a destination."""

    CURRENT = "current"
    STALE = "stale"
    UNKNOWN = "unknown"
    """The times are too close to tell; only the contents can."""


class Symlinks(StrEnum):
    """What an upload does with symbolic links."""

    INSIDE = "inside"
    FOLLOW = "follow"
    SKIP = "skip"

    @classmethod
    def named(cls, name: str) -> Symlinks:
        """Return the member of that name.

        :raises ConfigurationError: there is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise ConfigurationError(
                f"symlinks={name!r} is no choice", remedy="Pass 'inside', 'follow' or 'skip'"
            ) from None


def plan_parts(size: int, *, wanted: int = PART, limits: PartLimits) -> list[ByteRange]:
    """Cut `size` bytes into contiguous parts that the provider accepts; all but the last are equal.

    :param wanted: size of a part in bytes; it grows where the provider would not take so many parts.
    :raises ConfigurationError: not even the largest parts would hold so many bytes.
    """
    fewest = -(-size // limits.most)
    step = min(max(wanted, limits.smallest, _up_to_mib(fewest)), limits.largest)
    if step * limits.most < size:
        raise ConfigurationError(f"{size} bytes are more than the provider holds in one blob")
    return [ByteRange(at, min(at + step, size)) for at in range(0, size, step)]


def _up_to_mib(size: int) -> int:
    return -(-size // MIB) * MIB


def plan_ranges(start: int, stop: int, *, part: int | None = None, longest: int = LONGEST_RANGE) -> Iterator[ByteRange]:
    """Cut the bytes ``[start, stop)`` of a blob into ranges to read side by side.

    :param part: bytes of the parts that it was made of. A range is one or several whole parts, which are digested as
        they arrive, or a piece of a large one; where they are tiny, it is anything.
    :param longest: bytes of a range, give or take a half.
    """
    step = min(max(PART, _up_to_mib((stop - start) // STREAMS)), longest)
    if part is None or part < MIB:
        part = step
    elif part >= stop:
        step = min(step, IN_ORDER)
    count = round(part / step)
    while start < stop:
        begun = start // part * part
        if count > 1:
            piece = _up_to_mib(-(-part // count))
            upto = min(begun + ((start - begun) // piece + 1) * piece, begun + part)
        else:
            upto = begun + max(step // part, 1) * part
        yield ByteRange(start, min(upto, stop))
        start = upto


def plan_missing(size: int, written: Iterable[ByteRange], *, part: int | None = None) -> Iterator[ByteRange]:
    """Return the ranges to read of a blob of which some are there; `part` as in :func:`plan_ranges`."""
    for start, stop in gaps(written, size):
        if size <= SINGLE_READ:
            yield ByteRange(start, stop)
        else:
            yield from plan_ranges(start, stop, part=part)


def gaps(written: Iterable[ByteRange], size: int) -> Iterator[tuple[int, int]]:
    """Yield what lies between ranges in order, and behind the last."""
    at = 0
    for span in written:
        if at < span.start:
            yield at, span.start
        at = span.stop
    if at < size:
        yield at, size


def freshness_of_blob(
    *, file_size: int, file_mtime: float, blob_size: int, blob_modified: datetime | None, skew: float
) -> Freshness:
    """Tell whether an upload has nothing to do: same size, and the blob was written after the file.

    :param file_mtime: seconds of the local clock.
    :param skew: local clock minus the server's, in seconds.
    """
    if blob_modified is None or blob_size != file_size:
        return Freshness.STALE
    return by_lead(blob_modified.timestamp() + skew - file_mtime)


def freshness_of_file(
    *,
    file_size: int,
    file_mtime: float,
    file_changed: float,
    blob_size: int,
    blob_modified: datetime | None,
    skew: float,
) -> Freshness:
    """Tell whether a download has nothing to do: same size, and the file has the blob's time or is newer.

    :param file_mtime: seconds of the local clock; of the server's where a download gave the file its blob's time.
    :param file_changed: when the file system last touched the file: a file with the blob's time may hold what the blob
        was earlier in the same second, if it was downloaded then.
    :param skew: local clock minus the server's, in seconds.
    """
    if blob_modified is None or blob_size != file_size:
        return Freshness.STALE
    modified = blob_modified.timestamp()
    if abs(file_mtime - modified) < CLOCK_ERROR:
        is_same = abs(file_mtime - modified) < SAME_MOMENT and file_changed > modified + skew + CLOCK_ERROR
        return Freshness.CURRENT if is_same else Freshness.UNKNOWN
    return by_lead(file_mtime - modified - skew)


def freshness_of_copy(
    *, source_modified: datetime | None, copy_modified: datetime | None, source_skew: float, copy_skew: float
) -> Freshness:
    """Tell by the times whether a blob of the same size is a copy of another as it is now.

    :param source_skew: local clock minus that of the source's server, in seconds; likewise `copy_skew`.
    """
    if source_modified is None or copy_modified is None:
        return Freshness.STALE
    return by_lead(copy_modified.timestamp() + copy_skew - source_modified.timestamp() - source_skew)


def by_lead(seconds: float) -> Freshness:
    """Tell by how much later a destination was written than its source whether it is current."""
    if abs(seconds) < CLOCK_ERROR:
        return Freshness.UNKNOWN
    return Freshness.CURRENT if seconds > 0 else Freshness.STALE
