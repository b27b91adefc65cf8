"""The files that are moved: made once for a run, always the same bytes, and what a copy of them must look like."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 1024, 1024 * 1024
IN_A_FOLDER = 100
AGE_SECONDS = 3600
"""How old files are made: older than any blob made of them, also for a clock that is a little wrong."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and MD5 of one file or blob; the MD5 in hexadecimal, empty where a provider does not tell it."""

    size: int
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A local folder, or one file.

    :ivar files: its files by path relative to it; the one file by its name.
    """

    root: Path
    files: Mapping[str, Digest]

    @property
    def total_bytes(self) -> int:
        """Sum of all sizes."""
        return sum(file.size for file in self.files.values())


def digests_of(root: Path) -> dict[str, Digest]:
    """Return the digests of all files below a folder, or of one file under its name."""
    if root.is_file():
        return {root.name: _digest(root)}
    return {path.relative_to(root).as_posix(): _digest(path) for path in root.rglob("*") if not path.is_dir()}


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(path.stat().st_size, hashlib.file_digest(file, _md5).hexdigest())


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


class Shelf:
    """Makes datasets in a folder, each when it is first asked for.

    :param scale: part of the full number of files, or of the full size of the one file.
    :param source: the folder of Airflow's source.
    """

    def __init__(self, folder: Path, *, scale: float, source: Path) -> None:
        self._folder = folder
        self._scale = scale
        self._source = source
        self._made: dict[str, Dataset] = {}

    def get(self, name: str) -> Dataset:
        """Return a dataset: ``4KiB*2000`` (small files), ``512MiB`` (one file), ``airflow`` (its source)."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def drop(self, name: str) -> None:
        """Give back the room of a dataset."""
        made = self._made.pop(name, None)
        if made is not None:
            shutil.rmtree(self._folder / _folder_name(name))

    def _make(self, name: str) -> Dataset:
        root = self._folder / _folder_name(name)
        if name == "airflow":
            _copy_part(self._source, root, scale=self._scale)
        elif "*" in name:
            size, count = name.split("*")
            _many(root, size=_bytes(size), count=max(1, round(int(count) * self._scale)))
        else:
            root.mkdir()
            _one(root / "file.bin", size=max(1, round(_bytes(name) * self._scale)))
        _age(root)
        whole = root if "*" in name or name == "airflow" else root / "file.bin"
        return Dataset(root=whole, files=digests_of(whole))


def _folder_name(name: str) -> str:
    return name.replace("*", "-times-")


def _bytes(text: str) -> int:
    for unit, size in (("KiB", KIB), ("MiB", MIB), ("B", 1)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * size
    raise ValueError(f"{text!r} is no size")


def _many(root: Path, *, size: int, count: int) -> None:
    chance = random.Random(count)  # noqa: S311 - content that is the same in every run
    for number in range(count):
        path = root / f"{number // IN_A_FOLDER:04}" / f"{number:06}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))


def _one(path: Path, *, size: int) -> None:
    """Write one large file, no two of whose mebibytes are the same."""
    block = random.Random(size).randbytes(MIB)  # noqa: S311 - as above
    with path.open("wb") as file:
        for number in range(-(-size // MIB)):
            file.write((number.to_bytes(8, "big") + block[8:])[: size - number * MIB])


def _copy_part(source: Path, root: Path, *, scale: float) -> None:
    paths = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    for path in _first(paths, scale, size=lambda path: path.stat().st_size):
        target = root / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _first(paths: list[Path], scale: float, *, size: Callable[[Path], int]) -> Iterable[Path]:
    """Return every n-th file, so that a part has the same mixture."""
    by_size = sorted(paths, key=lambda path: (size(path), path))
    return by_size[:: max(1, round(1 / scale))]


def _age(root: Path) -> None:
    then = time.time() - AGE_SECONDS
    for path in root.rglob("*"):
        os.utime(path, (then, then))
