"""Uploads in parts to Azure that go on with one that was cut off.

Blocks that nobody committed lie beside the key for a week. Here their names are made of their numbers and MD5s, so that
a block of that name and size is the part; Azure has compared the MD5 with what it received.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from airflow_provider_neuro_buckets.buckets.errors import PermissionDenied, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.azure_upload import AzureUpload
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import block_id
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Bytes, Proof
from airflow_provider_neuro_buckets.buckets.stores.digest import md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_xml

_LARGEST_ANSWER = 32 * 1024 * 1024  # 100,000 blocks


class ResumedAzureUpload(AzureUpload):
    """An upload in parts that sends only those which are not there already.

    :ivar spared: bytes of parts that were there already, and need not be sent.
    """

    spared = 0

    def __init__(
        self, lane: DirectLane, key: str, path: str, what: str, *, head: Callable[[], Awaitable[BlobMeta]]
    ) -> None:
        super().__init__(lane, key, path, what, head=head)
        self._names: dict[int, str] = {}
        self._left: dict[str, int] = {}

    async def look(self) -> None:
        """Find out which blocks are there; where that is not told, none are."""
        request = Request(
            what=self._what, method="GET", path=self._path, query="comp=blocklist&blocklisttype=uncommitted"
        )
        try:
            _, answer = await self._lane.fetch(request, largest=_LARGEST_ANSWER)
        except (ResourceNotFound, PermissionDenied):
            return
        block: dict[str, str] = {}

        def on_text(path: Sequence[str], text: str) -> None:
            match path:
                case ["BlockList", "UncommittedBlocks", "Block", field]:
                    block[field] = text
                case ["BlockList", "UncommittedBlocks", "Block"]:
                    self._left[block.get("Name", "")] = int(block.get("Size", "-1"))
                    block.clear()

        parse_xml(answer, on_text)

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1, unless it is there."""
        digest: bytes = await in_thread_if_large(md5, body)
        self._names[number] = digest.hex()[:16]
        if self._left.get(self._id_of(number)) != size_of(body):
            await super().put_part(number, body)
            return
        self._proofs[number] = Proof.SIZE  # that Azure has compared it, it has told somebody else
        self._sizes[number] = size_of(body)
        self.spared += size_of(body)

    def note(self) -> str:
        """Return nothing: Azure tells of them."""
        return ""

    def keep(self) -> None:
        """Do nothing: Azure keeps them."""

    def _id_of(self, number: int) -> str:
        return block_id(self._names[number], number) if number in self._names else super()._id_of(number)
