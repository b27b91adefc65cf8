"""Where keys go below a local folder: their names, and those that would meet in one path. Pure: no I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from airflow_provider_neuro_buckets.buckets.transfer.temporary import is_temporary

LONGEST_NAME = 255

T = TypeVar("T")


def local_names(relative_key: str) -> tuple[str, ...] | str:
    """Return the path components of a key below the destination, or why it cannot be a local name.

    A ``/`` at the end, which marks a folder, is not part of the components.
    """
    names = tuple(relative_key.removesuffix("/").split("/"))
    return next((problem for name in names if (problem := _problem(name))), None) or names


def _problem(name: str) -> str | None:
    if not name:
        return "it has an empty component"
    if name in {".", ".."}:
        return f"the component {name!r} would lead elsewhere"
    if "\0" in name:
        return "it has a NUL character"
    if is_temporary(name):
        return "it has the name of the temporary file of a download"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "it is no Unicode text"
    return f"a component is longer than {LONGEST_NAME} bytes" if len(encoded) > LONGEST_NAME else None


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
        path = tuple(map(_folded, names)) if self.folds_case else names
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


def _folded(name: str) -> str:
    """Return what names have in common that a file system without case may take for one; composed or not, too."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@dataclass(slots=True)
class Held(Generic[T]):
    """Files that wait until no later key can meet them, so that of two that meet neither is written.

    Providers list keys in order. Once a key comes that does not begin with ``a``, no later one is ``a/…``: few ever
    wait. Where case does not count, any later key may meet any earlier one, and all of them wait for the end.
    """

    folds_case: bool = False
    _waiting: dict[str, T] = field(default_factory=dict)

    def hold(self, key: str, item: T) -> None:
        """Let a file wait."""
        self._waiting[key] = item

    def drop(self, key: str) -> bool:
        """Forget a file; `False` if it does not wait any more."""
        return self._waiting.pop(key, None) is not None

    def released_by(self, key: str) -> Iterator[T]:
        """Let those go that neither `key` nor any later one can meet."""
        if self.folds_case:
            return
        for earlier in [waiting for waiting in self._waiting if not key.startswith(waiting)]:
            yield self._waiting.pop(earlier)

    def rest(self) -> Iterator[T]:
        """Let all go: there are no more keys."""
        yield from self._waiting.values()
        self._waiting.clear()
