"""What a transfer is going to do: parts, what is up to date, local names of keys. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.buckets.stores.base import ByteRange, PartLimits

MIB = 1024 * 1024
PART = 8 * MIB
SINGLE_READ = 2 * PART
"""A blob up to this size is read in one request; larger ones in parallel ranges."""

LONGEST_NAME = 255
EQUAL_CLOCKS = 2.0
"""A difference of clocks that cannot be told from the whole seconds in which servers date their answers."""


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


def blob_is_current(
    *, file_size: int, file_mtime: float, blob_size: int, blob_modified: datetime | None, skew: float
) -> bool:
    """Whether an upload has nothing to do: same size, and the blob was written after the file.

    :param file_mtime: seconds of the local clock.
    :param skew: local clock minus the server's, in seconds.
    """
    if blob_modified is None or blob_size != file_size:
        return False
    return blob_modified.timestamp() + _real(skew) >= file_mtime


def file_is_current(
    *, file_size: int, file_mtime: float, blob_size: int, blob_modified: datetime | None, skew: float
) -> bool:
    """Whether a download has nothing to do: same size, and the file has the blob's time or is newer."""
    if blob_modified is None or blob_size != file_size:
        return False
    modified = blob_modified.timestamp()
    return abs(file_mtime - modified) < 0.001 or file_mtime >= modified + _real(skew)  # noqa: PLR2004 - a file system's precision


def _real(skew: float) -> float:
    return skew if abs(skew) >= EQUAL_CLOCKS else 0.0


def local_names(relative_key: str) -> tuple[str, ...] | str:
    """Return the path components of a key below the destination, or why it cannot be a local name.

    A ``/`` at the end, which marks a folder, is not part of the components.
    """
    names = tuple(relative_key.removesuffix("/").split("/"))
    for name in names:
        if name in {".", ".."}:
            return f"the component {name!r} would lead elsewhere"
        if not name:
            return "it has an empty component"
        if "\0" in name:
            return "it has a NUL character"
        if len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
            return f"a component is longer than {LONGEST_NAME} bytes"
    return names


@dataclass(slots=True)
class LocalTree:
    """The local paths of a download so far, to find keys that would meet in one of them.

    :ivar folds_case: whether the destination takes ``a`` and ``A`` for one name.
    """

    folds_case: bool = False
    _files: dict[tuple[str, ...], str] = field(default_factory=dict)
    _folders: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, names: tuple[str, ...], key: str, *, is_folder: bool) -> str | None:
        """Add the path of a key; return the key that it collides with, if any."""
        path = tuple(name.casefold() for name in names) if self.folds_case else names
        above = [path[:depth] for depth in range(1, len(path))]
        if is_folder:
            above.append(path)
        rival = next((self._files[folder] for folder in above if folder in self._files), None)
        if rival is None and not is_folder:
            rival = self._files.get(path) or self._folders.get(path)
        if rival is not None:
            return rival
        for folder in reversed(above):
            if self._folders.setdefault(folder, key) is not key:
                break
        if not is_folder:
            self._files[path] = key
        return None
