"""A folder of blobs to a local folder: which of them, where they go, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.crew import KeyFolders, work_off
from airflow_provider_neuro_buckets.buckets.transfer.fetch import Fetcher, WantedBlob
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Outcome
from airflow_provider_neuro_buckets.buckets.transfer.placing import Held, LocalTree, local_names
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.walk import Keep


@dataclass(frozen=True, slots=True)
class WantedFolder:
    """A folder that has a marker, and is made even if nothing lies in it."""

    meta: BlobMeta
    names: tuple[str, ...]
    relative: str


Item = WantedBlob | WantedFolder


def item_of(meta: BlobMeta, relative: str) -> Item | str | None:
    """Return what a blob is below a local folder, or why it cannot be anything there.

    `None` for the marker of the folder itself, which is nothing more.
    """
    is_marker = relative.endswith("/") or not relative
    if not relative and not meta.size:
        return None
    if is_marker and meta.size:
        return "it has the name of a folder, and content"
    names = local_names(relative)
    if isinstance(names, str):
        return f"it cannot be a local file: {names}"
    return (WantedFolder if is_marker else WantedBlob)(meta, names, relative)


def refusal(address: str, reason: str) -> InvalidAddress:
    """Return the error for a blob that cannot be anything below a local folder."""
    return InvalidAddress(f"{address} was not downloaded: {reason}", remedy="Download it by itself to another name")


@dataclass(slots=True, kw_only=True)
class Download:
    """One download of a folder; used once.

    :ivar prefix: what the keys of the folder begin with.
    """

    prefix: str
    fetcher: Fetcher
    reporter: Reporter
    keep: Keep | None = None
    outcome: Outcome = field(default_factory=Outcome)
    _tree: LocalTree = field(default_factory=LocalTree)
    _held: Held[Item] = field(default_factory=Held)
    _asked: dict[str, bool] = field(default_factory=dict)
    _found: int = 0
    _found_bytes: int = 0

    async def run(self, listing: Listing) -> None:
        """Download what lies below the prefix; failures are in `outcome`."""
        folds_case = await in_thread(self.fetcher.destination.folds_case)
        self._tree.folds_case = self._held.folds_case = folds_case
        folders = KeyFolders(enter=self.reporter.enter, leave=self.reporter.leave)

        async def work(item: Item) -> None:
            await self._attempt(item)
            folders.done(_folder_of(item))

        await work_off(self._items(listing, folders), work, workers=self.fetcher.window.most_files)

    # What to fetch

    async def _items(self, listing: Listing, folders: KeyFolders) -> AsyncGenerator[Item, None]:
        folders.reach("")
        async with aclosing(listing.metas(self.prefix)) as metas:
            async for meta in metas:
                if self.outcome.hopeless is not None:
                    break
                for item in self._found_now(self._held.released_by(meta.key), folders):
                    yield item
                await self._place(meta)
        for item in self._found_now(self._held.rest(), folders):
            yield item
        folders.end()
        self.reporter.found(self._found, self._found_bytes, complete=True)

    def _found_now(self, items: Iterable[Item], folders: KeyFolders) -> Iterable[Item]:
        for item in items:
            folders.reach(_folder_of(item))
            folders.add(_folder_of(item))
            self._found += isinstance(item, WantedBlob)
            self._found_bytes += item.meta.size
            self.reporter.found(self._found, self._found_bytes, complete=False)
            yield item

    async def _place(self, meta: BlobMeta) -> None:
        """Hold a blob until it is sure to have its path for itself; refuse what cannot have one."""
        relative = meta.key[len(self.prefix) :]
        item = item_of(meta, relative)
        if item is None:
            return
        if isinstance(item, str):
            self._refuse(meta.key, relative, item)
            return
        is_folder = isinstance(item, WantedFolder)
        if not await self._is_wanted(item.names, is_folder=is_folder):
            return
        rival = self._tree.add(item.names, meta.key, is_folder=is_folder)
        if rival is None:
            self._held.hold(meta.key, item)
            return
        self._refuse(meta.key, relative, f"it meets {self._address(rival)} in one local path")
        if self._address(rival) not in self.outcome.failures:
            self._held.drop(rival)
            self._refuse(rival, rival[len(self.prefix) :], f"it meets {self._address(meta.key)} in one local path")

    def _refuse(self, key: str, relative: str, reason: str) -> None:
        address = self._address(key)
        error = refusal(address, reason)
        self.outcome.failed(address, error)
        self.reporter.fail(relative, str(error))

    async def _is_wanted(self, names: tuple[str, ...], *, is_folder: bool) -> bool:
        """Ask the filter: once for each folder on the way, then for the file itself."""
        if self.keep is None:
            return True
        for depth in range(1, len(names) + (1 if is_folder else 0)):
            folder = "/".join(names[:depth]) + "/"
            if folder not in self._asked:
                self._asked[folder] = await self.keep(folder)
            if not self._asked[folder]:
                return False
        return is_folder or await self.keep("/".join(names))

    def _address(self, key: str) -> str:
        return self.fetcher.store.address(key)

    # Fetching

    async def _attempt(self, item: Item) -> None:
        if self.outcome.hopeless is not None:
            return
        try:
            if isinstance(item, WantedFolder):
                await in_thread(lambda: self.fetcher.destination.make_folder(item.names))
            else:
                self.outcome.done(await self.fetcher.fetch(item))
        except (BucketsError, OSError) as error:
            self.outcome.failed(self._address(item.meta.key), error)
            self.reporter.fail(item.relative, str(error))


def _folder_of(item: Item) -> str:
    """Return the folder that an item is in; a folder is its own."""
    names = item.names if isinstance(item, WantedFolder) else item.names[:-1]
    return "".join(name + "/" for name in names)
