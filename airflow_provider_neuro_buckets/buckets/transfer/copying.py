"""Blobs from bucket to bucket: inside their service where it can, else through this process."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    BucketsError,
    Conflict,
    IntegrityError,
    InvalidAddress,
    InvalidAnswer,
    PermissionDenied,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    Capability,
    CopySource,
    Proof,
    may_copy_inside,
)
from airflow_provider_neuro_buckets.buckets.transfer.checksum import have_same_content
from airflow_provider_neuro_buckets.buckets.transfer.content import vouches_for_md5
from airflow_provider_neuro_buckets.buckets.transfer.crew import KeyFolders, work_off
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved, Outcome
from airflow_provider_neuro_buckets.buckets.transfer.plan import Existing, Freshness, freshness_of_copy
from airflow_provider_neuro_buckets.buckets.transfer.relay import Relay
from airflow_provider_neuro_buckets.buckets.transfer.reporting import Reporter
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.transfer.walk import Keep
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

log = logging.getLogger(__name__)

NAMELESS = "the name of its folder is all the name it has"


async def are_one_bucket(src: Listing, dst: Listing) -> bool:
    """Whether two buckets of the platform are one bucket of a service: it may be imported twice."""
    return src.bucket.id == dst.bucket.id or (await src.store.site()).is_bucket_of(await dst.store.site())


class Refusals:
    """Remembers between which buckets a service has refused to copy: there it is not asked again."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, str]] = set()

    def has(self, src: Listing, dst: Listing) -> bool:
        """Whether the service has refused."""
        return (src.bucket.id, dst.bucket.id) in self._pairs

    def add(self, src: Listing, dst: Listing, reason: BucketsError) -> None:
        """Take note that it refuses now; it is logged once."""
        if not self.has(src, dst):
            self._pairs.add((src.bucket.id, dst.bucket.id))
            log.info("From %s to %s, blobs pass through this process: %s", src.bucket.uri, dst.bucket.uri, reason)


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """A blob to copy, and the key that its copy gets. `relative` is its path for reports."""

    meta: BlobMeta
    key: str
    relative: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies blobs of one bucket to another, or within it."""

    src: Listing
    dst: Listing
    existing: Existing
    window: Window
    reporter: Reporter
    refusals: Refusals
    tries: Tries = ONLY_TRY

    @property
    def looks(self) -> bool:
        """Whether it matters what the destination holds."""
        return self.existing.skips_current or self.tries.has_earlier

    async def copy(self, wanted: WantedCopy, there: BlobMeta | None) -> Moved | Left:
        """Copy one blob; once more if it is replaced meanwhile, arrives broken, or is not what was asked for.

        :param there: what the destination holds, as far as that matters.
        """
        if there is not None and self.looks and await self.is_current(wanted.meta, there):
            return Left.UNCHANGED if self.existing.skips_current else Left.KEPT
        self.reporter.start(wanted.relative, wanted.meta.size)
        try:
            proof = await self._once(wanted)
        except (Conflict, IntegrityError, InvalidAnswer) as error:
            log.warning("%s; copied once more", error)
            wanted = WantedCopy(await self.src.store.head(wanted.meta.key), wanted.key, wanted.relative)
            proof = await self._once(wanted)
        self.reporter.complete(wanted.relative, wanted.meta.size)
        return Moved(wanted.meta.size, proof)

    async def is_current(self, meta: BlobMeta, there: BlobMeta) -> bool:
        """Whether the destination is what a copy would make it."""
        freshness = self._freshness(meta, there)
        is_of_earlier_try = freshness is not Freshness.STALE
        if meta.size != there.size or not (self.existing.skips_current or is_of_earlier_try):
            return False
        is_same = have_same_content(meta, there)
        if is_same is True:
            return True
        if is_same is False and await self._vouch(meta, there):
            return False
        return freshness is Freshness.CURRENT

    def _freshness(self, meta: BlobMeta, there: BlobMeta) -> Freshness:
        freshness = freshness_of_copy if self.existing.skips_current else self.tries.of_copy
        return freshness(
            source_modified=meta.modified_at,
            copy_modified=there.modified_at,
            source_skew=self.src.store.skew,
            copy_skew=self.dst.store.skew,
        )

    async def _vouch(self, meta: BlobMeta, there: BlobMeta) -> bool:
        return await vouches_for_md5(self.src.store, meta) and await vouches_for_md5(self.dst.store, there)

    async def _once(self, wanted: WantedCopy) -> Proof:
        if not wanted.meta.size:
            # Also the markers of folders, which not every service copies.
            async with self.window.slot(0):
                return (await self.dst.store.write(wanted.key, b"")).proof
        proof = await self._inside(wanted)
        if proof is not None:
            return proof
        relay = Relay(src=self.src.store, dst=self.dst.store, window=self.window)
        return await relay.carry(wanted.meta, wanted.key, step=lambda sent: self._step(wanted, sent))

    async def _inside(self, wanted: WantedCopy) -> Proof | None:
        """Let the service copy the blob; `None` if it cannot, or refuses to: then streaming it finds out why."""
        if Capability.COPY not in self.dst.store.capabilities or self.refusals.has(self.src, self.dst):
            return None
        site = await self.src.store.site()
        if not may_copy_inside(site, await self.dst.store.site()):
            return None
        source = CopySource(site=site, meta=wanted.meta, address=self.src.store.address(wanted.meta.key))
        try:
            made = await self.dst.store.copy_from(
                wanted.key,
                source,
                slot=lambda: self.window.slot(0),
                copied=lambda copied: self._step(wanted, copied),
            )
        except (PermissionDenied, UnsupportedProvider) as error:
            self.refusals.add(self.src, self.dst, error)
            return None
        except BadRequest as error:
            log.info("This blob passes through this process: %s", error)
            return None
        return await self._check(wanted, made)

    async def _check(self, wanted: WantedCopy, made: BlobMeta) -> Proof:
        meta = wanted.meta
        is_same = have_same_content(meta, made)
        if made.size != meta.size or (is_same is False and await self._vouch(meta, made)):
            raise IntegrityError(
                f"{self.dst.store.address(wanted.key)} does not have the content of "
                f"{self.src.store.address(meta.key)}, of which the storage says to have made it",
                remedy="Copy it again",
            )
        return Proof.CHECKSUM if is_same else Proof.SIZE

    def _step(self, wanted: WantedCopy, current: int) -> None:
        self.reporter.step(wanted.relative, current, wanted.meta.size)


@dataclass(slots=True, kw_only=True)
class Copy:
    """One copy of a folder; used once.

    :ivar src_prefix: what the keys of the folder begin with.
    :ivar dst_prefix: what those of the copies begin with.
    :ivar is_inner: whether both are in one bucket.
    """

    src_prefix: str
    dst_prefix: str
    copier: Copier
    is_inner: bool
    keep: Keep | None = None
    outcome: Outcome = field(default_factory=Outcome)
    _there: dict[str, BlobMeta] = field(default_factory=dict)
    _asked: dict[str, bool] = field(default_factory=dict)
    _found: int = 0
    _found_bytes: int = 0

    async def run(self) -> None:
        """Copy what lies below the prefix; failures are in `outcome`."""
        if self.copier.looks:
            await self._list_destination()
        folders = KeyFolders(enter=self.copier.reporter.enter, leave=self.copier.reporter.leave)

        async def work(wanted: WantedCopy) -> None:
            await self._attempt(wanted)
            folders.done(_folder_of(wanted.relative))

        await work_off(self._items(folders), work, workers=self.copier.window.max_concurrency)

    async def _list_destination(self) -> None:
        """One listing instead of a look-up for each blob."""
        async with aclosing(self.copier.dst.metas(self.dst_prefix)) as metas:
            async for meta in metas:
                self._there[meta.key] = meta

    async def _items(self, folders: KeyFolders) -> AsyncGenerator[WantedCopy, None]:
        folders.reach("")
        async with aclosing(self.copier.src.metas(self.src_prefix)) as metas:
            async for meta in metas:
                if self.outcome.hopeless is not None:
                    break
                relative = meta.key[len(self.src_prefix) :]
                wanted = WantedCopy(meta, self.dst_prefix + relative, relative)
                if not await self._is_wanted(relative) or self._is_refused(wanted):
                    continue
                folders.reach(_folder_of(relative))
                folders.add(_folder_of(relative))
                self._found += 1
                self._found_bytes += meta.size
                self.copier.reporter.found(self._found, self._found_bytes, complete=False)
                yield wanted
        folders.end()
        self.copier.reporter.found(self._found, self._found_bytes, complete=True)

    def _is_refused(self, wanted: WantedCopy) -> bool:
        """Refuse what would have no name, or would replace what is being copied; the first without a word if empty."""
        reason = ""
        if not wanted.key:
            if not wanted.meta.size:
                return True  # the marker of the folder itself: a bucket needs none
            reason = NAMELESS
        elif self.is_inner and wanted.key.startswith(self.src_prefix):
            reason = "its copy would lie in the folder that is copied"
        if reason:
            self._fail(wanted, refusal(self.copier.src.store.address(wanted.meta.key), reason))
        return bool(reason)

    async def _is_wanted(self, relative: str) -> bool:
        """Ask the filter: once for each folder on the way, then for the blob itself."""
        if self.keep is None:
            return True
        names = relative.split("/")
        for depth in range(1, len(names)):
            folder = "/".join(names[:depth]) + "/"
            if folder not in self._asked:
                self._asked[folder] = await self.keep(folder)
            if not self._asked[folder]:
                return False
        return not names[-1] or await self.keep(relative)

    async def _attempt(self, wanted: WantedCopy) -> None:
        if self.outcome.hopeless is not None:
            return
        try:
            self.outcome.done(await self.copier.copy(wanted, self._there.pop(wanted.key, None)))
        except BucketsError as error:
            self._fail(wanted, error)

    def _fail(self, wanted: WantedCopy, error: BucketsError) -> None:
        self.outcome.failed(self.copier.src.store.address(wanted.meta.key), error)
        self.copier.reporter.fail(wanted.relative, str(error))


def refusal(address: str, reason: str) -> InvalidAddress:
    """Return the error for a blob that can have no copy of its name."""
    return InvalidAddress(f"{address} was not copied: {reason}", remedy="Copy it by itself to another name")


def _folder_of(relative: str) -> str:
    return relative[: relative.rfind("/") + 1]
