"""A transfer that moves nothing: all that a real one looks at, decides and reports, but for the moving itself.

The real classes do the work; what is here stands where they would write. A file that would be moved counts with its
whole size, also where a real download would go on with the beginning of one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.stores.base import Proof, Stored
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.copying import Copier, WantedCopy
from airflow_provider_neuro_buckets.buckets.transfer.fetch import Fetcher, WantedBlob
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination, Source
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Moved
from airflow_provider_neuro_buckets.buckets.transfer.upload import Upload
from airflow_provider_neuro_buckets.buckets.transfer.walk import EmptyFolder, LocalFile


class _Upload(Upload):
    """Opens each file, as an upload would, and closes it."""

    async def _send(self, path: Path, key: str, file: LocalFile) -> Stored:
        await in_thread(lambda: Source.open(path).close())
        return Stored(key=key, size=file.size, proof=Proof.SIZE)

    async def mark(self, folder: EmptyFolder) -> None:
        """Make no marker."""


class _Fetcher(Fetcher):
    async def _once(self, wanted: WantedBlob, present: int) -> Moved:  # noqa: ARG002 - that of a download
        return Moved(wanted.meta.size, Proof.SIZE)


class _Copier(Copier):
    async def _once(self, wanted: WantedCopy) -> Proof:  # noqa: ARG002 - that of a copy
        return Proof.SIZE


class _Destination(Destination):
    """A folder that is looked at; it need not exist, and is not made."""

    def __init__(self, root: Path, *, resumes: bool = False) -> None:
        self.root = root
        self._is_there = root.is_dir()
        if self._is_there:
            super().__init__(root, resumes=resumes)

    def close(self) -> None:
        """Close the folder, if there is one."""
        if self._is_there:
            super().close()

    def status(self, names: tuple[str, ...]) -> os.stat_result | None:
        """Return what is at a path; `None` if nothing is."""
        return super().status(names) if self._is_there else None

    def make_folder(self, names: tuple[str, ...]) -> None:
        """Make none."""

    def folds_case(self) -> bool:
        """Whether the file system takes ``a`` and ``A`` for one name, as far as the name of the folder itself tells."""
        name = self.root.name
        try:
            return name != name.swapcase() and self.root.samefile(self.root.with_name(name.swapcase()))
        except OSError:  # there is no such folder
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Movers:
    """Who does a transfer."""

    upload: type[Upload]
    fetcher: type[Fetcher]
    copier: type[Copier]
    destination: type[Destination]


REAL = Movers(upload=Upload, fetcher=Fetcher, copier=Copier, destination=Destination)
DRY = Movers(upload=_Upload, fetcher=_Fetcher, copier=_Copier, destination=_Destination)
