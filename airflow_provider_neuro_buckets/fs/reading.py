"""A blob that is open for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from airflow_provider_neuro_buckets.fs.listing import blob_info
from airflow_provider_neuro_buckets.fs.paths import Place
from airflow_provider_neuro_buckets.fs.running import run

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import BlobObject
    from airflow_provider_neuro_buckets.fs.listing import ListingBase

BLOCK = 8 * 1024 * 1024


class BlobReader(AbstractBufferedFile):
    """Reads one version of a blob: the one that was there when it was opened. Reads ahead as fsspec's caches do.

    :param block_size: bytes to read ahead.
    :raises Conflict: from each read, once the blob was replaced.
    """

    DEFAULT_BLOCK_SIZE = BLOCK

    def __init__(self, fs: ListingBase, place: Place, version: BlobObject, **options: Any) -> None:
        self._place = place
        self._version = version
        self.details = blob_info(place, version)
        options.pop("size", None)  # of another version, it may be
        super().__init__(fs, place.path, mode="rb", size=version.size, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        async def read() -> bytes:
            content: bytes = await self.fs.ask(
                lambda buckets: buckets.read_blob(self._place.uri, start=start, stop=end, version=self._version)
            )
            return content

        return run(self.fs.loop, read)
