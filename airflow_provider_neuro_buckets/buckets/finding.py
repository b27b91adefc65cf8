"""From a name, an id or an address to a bucket: resolved once for each client, then addressed by id."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator

from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.eras import Place, path_nouns
from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.models import Bucket
from airflow_provider_neuro_buckets.buckets.persistent import PersistentBuckets, Scope
from airflow_provider_neuro_buckets.buckets.platform import Platform
from airflow_provider_neuro_buckets.buckets.target import Target
from airflow_provider_neuro_buckets.buckets.uri import (
    BlobAddress,
    BlobPath,
    is_blob_uri,
    parse_blob_pattern,
    parse_blob_uri,
)


class Finder:
    """Finds buckets: those that the configuration has credentials for by itself, all others through the platform."""

    def __init__(self, platform: Platform, persistent: PersistentBuckets, config: BucketsConfig) -> None:
        self._platform = platform
        self._persistent = persistent
        self._config = config
        self._found: dict[Target, Bucket] = {}
        self._turns: defaultdict[Target, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def named(self, bucket_id_or_name: str | URL, home: Target, *, is_fresh: bool = False) -> Bucket:
        """Return the bucket of a name, an id or a ``blob:`` URI.

        :param home: where the bucket is, as far as that is said beside it.
        :param is_fresh: ask the platform, if there is one, even when the answer is known.
        :raises InvalidAddress: not a bucket, but a blob in one.
        """
        if not is_blob_uri(bucket_id_or_name):
            name = str(bucket_id_or_name) if isinstance(bucket_id_or_name, URL) else bucket_id_or_name
            return await self._find(home.named(name), is_fresh=is_fresh)
        readings = parse_blob_uri(bucket_id_or_name)
        path = BlobPath.of(bucket_id_or_name)
        if path is None:
            _no_key(readings[0].key, bucket_id_or_name)
        bucket, key = await self._resolve(readings, path, home, is_fresh=is_fresh)
        _no_key(key, bucket_id_or_name)
        return bucket

    async def address(self, uri: URL | str, *, is_pattern: bool = False) -> tuple[Bucket, str]:
        """Return the bucket of an address, and the key in it.

        :param is_pattern: the key is a glob pattern.
        """
        readings = parse_blob_pattern(uri) if is_pattern else parse_blob_uri(uri)
        return await self._resolve(readings, BlobPath.of(uri, is_pattern=is_pattern), Target(), is_fresh=False)

    def remember(self, bucket: Bucket) -> None:
        """Take note of what a bucket is now."""
        self._found = {target: bucket if found.id == bucket.id else found for target, found in self._found.items()}

    def forget(self, bucket: Bucket) -> None:
        """Stop taking for granted that a bucket exists."""
        self._found = {target: found for target, found in self._found.items() if found.id != bucket.id}

    async def _find(self, target: Target, *, is_fresh: bool) -> Bucket:
        if self._looks_here(is_fresh=is_fresh) and self._persistent.may_mean(target):
            bucket = self._persistent.named(target, await self._scope(target.cluster))
            if bucket is not None:
                return bucket
        # However many ask for a bucket at once, the platform is asked once.
        async with self._turns[target]:
            if is_fresh or target not in self._found:
                self._found[target] = await self._platform.bucket(target)
            return self._found[target]

    def _looks_here(self, *, is_fresh: bool) -> bool:
        return bool(self._persistent) and not (is_fresh and self._config.has_platform)

    async def _resolve(
        self, readings: list[BlobAddress], path: BlobPath | None, beside: Target, *, is_fresh: bool
    ) -> tuple[Bucket, str]:
        """Return bucket and key of an address.

        :param path: the address as a whole, unless it is relative to the current project.
        """
        meant = list(_targets(readings, beside))
        if path is None:
            target, key = meant[0]
            return await self._find(target, is_fresh=is_fresh), key
        if self._looks_here(is_fresh=is_fresh):
            found = self._persistent.at(path, Scope() if path.cluster else await self._scope(None))
            if found is not None:
                return found
        async with self._turns[meant[-1][0]]:
            return await self._ask(path, meant, is_fresh=is_fresh)

    async def _ask(self, path: BlobPath, meant: list[tuple[Target, str]], *, is_fresh: bool) -> tuple[Bucket, str]:
        """Ask the platform for the bucket of an absolute address: reading by reading, then by the path as a whole.

        Always in this order, so that what an address means never depends on what was asked before.
        """
        place = await self._platform.place(path.cluster)
        misses: list[ResourceNotFound] = []
        for target, key in meant:
            if misses and await self._platform.is_strict(place):
                break
            try:
                if is_fresh or target not in self._found:
                    self._found[target] = await self._platform.bucket(target)
            except ResourceNotFound as miss:
                misses.append(miss)
            else:
                return self._found[target], key
        found = None if await self._platform.is_strict(place) else await self._by_path(place, path)
        if found is None:
            raise misses[0]
        return found

    async def _by_path(self, place: Place, path: BlobPath) -> tuple[Bucket, str] | None:
        """Let an older server find where owner and bucket end: the name of an owner may have slashes."""
        org = place.org if path.cluster is None else None

        def key_in(bucket: Bucket) -> str | None:
            if org not in {None, bucket.org_name}:
                return None
            return path.key_in(path_nouns(bucket), has_org=bucket.org_name is not None)

        whole = "/".join(filter(None, [org, path.plain]))
        try:
            bucket = await self._platform.bucket_by_path(place, whole, accepts=lambda it: key_in(it) is not None)
        except ResourceNotFound:
            return None
        return bucket, key_in(bucket) or ""

    async def _scope(self, cluster: str | None) -> Scope:
        """Return what an address means that says nothing else: with a platform, what it means there."""
        scope = Scope.of(self._config)
        if not self._config.has_platform or None not in {scope.cluster, scope.org, scope.project}:
            return scope
        place = await self._platform.place(cluster)
        return Scope(cluster=place.cluster, org=place.org, project=place.project)


def _targets(readings: list[BlobAddress], beside: Target) -> Iterator[tuple[Target, str]]:
    """Yield bucket and key of each reading that can mean one.

    :raises InvalidAddress: none can.
    """
    refusals = []
    for reading in readings:
        try:
            yield Target.at(reading).filled(beside), reading.key
        except InvalidAddress as refusal:
            refusals.append(refusal)
    if len(refusals) == len(readings):
        raise refusals[0]


def _no_key(key: str, given: URL | str) -> None:
    if key:
        raise InvalidAddress(f"{str(given)!r} is a blob, not a bucket", remedy="Leave the key out")
