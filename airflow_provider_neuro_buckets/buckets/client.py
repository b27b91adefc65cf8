"""`Buckets`: the methods of the API reference, each a few lines that delegate.

Longer than our modules are: it is one class with the reference's signatures and their promises, in the reference's
order, and hardly any code. Divided into mixins it would have to be read in four places, and the blocking face is made
from what this class itself defines.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING

from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import (
    BucketNotEmpty,
    ConfigurationError,
    InvalidAddress,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.glob import parse_glob
from airflow_provider_neuro_buckets.buckets.listing import Listing, blob_entry
from airflow_provider_neuro_buckets.buckets.models import (
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketProvider,
    BucketUsage,
    PersistentBucketCredentials,
    TransferReport,
)
from airflow_provider_neuro_buckets.buckets.pace import requests_at_once
from airflow_provider_neuro_buckets.buckets.persistent import PersistentBuckets, Scope
from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
)
from airflow_provider_neuro_buckets.buckets.reading import read_bytes
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.stores.base import check_signed_life
from airflow_provider_neuro_buckets.buckets.stream import streaming
from airflow_provider_neuro_buckets.buckets.target import Target
from airflow_provider_neuro_buckets.buckets.transfer import engine
from airflow_provider_neuro_buckets.buckets.transfer.content import Content, put_content, read_content
from airflow_provider_neuro_buckets.buckets.transfer.tries import ONLY_TRY, Tries
from airflow_provider_neuro_buckets.buckets.uri import check_name, local_path

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.finding import Finder
    from airflow_provider_neuro_buckets.buckets.opening import Opener
    from airflow_provider_neuro_buckets.buckets.platform import Platform

log = logging.getLogger(__name__)

BlobURI = URL | str
LocalPath = URL | str | PathLike[str]

LIST_LIMIT = 10000


class Buckets:
    """The buckets of the platform, their blobs, and the credentials to them.

    Made by :meth:`open`, which also closes it. Methods may run side by side; they share one window of requests and
    bytes in flight, and the credentials of each bucket.

    Parameters named `bucket_id_or_name` take a bucket's name, its id or its ``blob:`` URI. `cluster_name`, `org_name`
    and `project_name` default to those of the configuration; `bucket_owner` is for servers that have no projects.
    Addresses are `yarl.URL` or `str`: ``blob:bucket/key``, ``blob:/project/bucket/key`` or
    ``blob://cluster/org/project/bucket/key``.

    Every method raises :class:`AuthenticationError`, :class:`PermissionDenied`, :class:`ResourceNotFound` and
    :class:`TransientError` (after its retries) where they apply; docstrings name what else.

    :ivar opener: opens buckets, for a transfer that needs more than the methods: one in shards. Likewise the other two.
    :ivar window: what all transfers of the client have in flight together.
    :ivar refusals: between which buckets services have refused to copy.
    """

    def __init__(
        self,
        *,
        config: BucketsConfig,
        platform: Platform,
        persistent: PersistentBuckets,
        finder: Finder,
        opener: Opener,
    ) -> None:
        self.config = config
        self._platform = platform
        self._persistent = persistent
        self._finder = finder
        self.opener = opener
        self.refusals = engine.Refusals()
        self.window = engine.Window(max_concurrency=requests_at_once(config), max_buffer_bytes=config.max_buffer_bytes)

    @classmethod
    @asynccontextmanager
    async def open(cls, config: BucketsConfig) -> AsyncIterator[Buckets]:
        """Open a client; leaving the block closes its connections. Nothing is requested yet.

        :raises ConfigurationError: the persistent credentials of the configuration cannot be read.
        """
        # The HTTP stack loads here: whoever only imports the class, such as Airflow parsing DAGs, does not pay for it.
        from airflow_provider_neuro_buckets.buckets.finding import Finder  # noqa: PLC0415 - as said
        from airflow_provider_neuro_buckets.buckets.http.pool import open_connections  # noqa: PLC0415 - as said
        from airflow_provider_neuro_buckets.buckets.opening import Opener  # noqa: PLC0415 - as said
        from airflow_provider_neuro_buckets.buckets.platform import Platform  # noqa: PLC0415 - as said
        from airflow_provider_neuro_buckets.buckets.session import open_session  # noqa: PLC0415 - as said

        if config.token and config.on_secret:
            await config.on_secret(config.token)
        persistent = PersistentBuckets.read(config.persistent_credentials, name=config.name)
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(open_session(config))
            platform = Platform(http, config)
            finder = Finder(platform, persistent, config)
            connections = await stack.enter_async_context(open_connections(config))
            opener = Opener(platform, persistent, connections, config, stack)
            for credentials in persistent.all_credentials():
                await opener.announce(credentials.credentials)
            yield cls(config=config, platform=platform, persistent=persistent, finder=finder, opener=opener)

    # Buckets

    @streaming
    async def list(
        self, cluster_name: str | None = None, *, org_name: str | None = None, project_name: str | None = None
    ) -> AsyncGenerator[Bucket]:
        """List the buckets that the caller may read, in no particular order.

        Without a platform: those of the persistent credentials.
        """
        if not self.config.has_platform:
            scope = Scope.of(self.config, cluster_name=cluster_name, org_name=org_name, project_name=project_name)
            for bucket in self._persistent.within(scope):
                yield bucket
            return
        target = Target.home(cluster_name=cluster_name, org_name=org_name, project_name=project_name)
        for bucket in await self._platform.buckets(target):
            yield bucket

    async def create(
        self,
        name: str | None = None,
        *,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Create a bucket.

        :param name: unique in its project; `None` makes a bucket that has an id only.
        :raises InvalidAddress: not a name that the platform accepts; nothing was sent.
        :raises AlreadyExists: the name is taken.
        :raises Unavailable: the answer was lost; with a name, it is looked up first, so it was not made.
        """
        if name is not None:
            check_name(name)
        target = Target.home(cluster_name=cluster_name, org_name=org_name, project_name=project_name)
        return await self._platform.create_bucket(target, name)

    async def import_external(
        self,
        provider: BucketProvider | str,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        *,
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Make a bucket that exists at a provider known to the platform.

        The platform stores the credentials as they are and does not try them; everybody who may read the bucket gets
        them.

        :param credentials: the provider's own keys, such as ``access_key_id`` and ``secret_access_key``.
        :raises AlreadyExists: the name is taken.
        """
        if name is not None:
            check_name(name)
        await self.opener.announce(credentials)
        return await self._platform.import_bucket(
            Target.home(cluster_name=cluster_name, org_name=org_name, project_name=project_name),
            name,
            provider=str(provider),
            provider_bucket_name=provider_bucket_name,
            credentials=credentials,
        )

    async def get(
        self,
        bucket_id_or_name: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Return a bucket, as the platform knows it now.

        :raises ResourceNotFound: no such bucket; likewise from every method that takes one.
        """
        home = Target.home(
            cluster_name=cluster_name, bucket_owner=bucket_owner, org_name=org_name, project_name=project_name
        )
        return await self._finder.named(bucket_id_or_name, home, is_fresh=True)

    async def rm(
        self,
        bucket_id_or_name: str,
        *,
        force: bool = False,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
        progress: AbstractDeleteProgress | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete a bucket, and with it everybody's persistent credentials for it.

        The platform drops those credentials before it notices that a bucket is not empty, so emptiness is checked
        first. Of an imported bucket only the platform's record goes; its blobs are never touched.

        :param force: delete the blobs as well. A bucket that cannot be opened here is left to the platform to judge.
        :param progress: told of each blob that goes with it.
        :param dry_run: check all of that, and delete nothing; `progress` hears of the blobs as if they had gone.
        :raises BucketNotEmpty: it holds blobs, and not `force`; nothing was changed.
        """
        await self._platform.place(cluster_name)
        bucket = await self.get(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        if not bucket.imported:
            await self._empty(bucket, force=force, progress=progress, dry_run=dry_run)
        if not dry_run:
            await self._platform.delete_bucket(bucket)
            self._finder.forget(bucket)

    async def _empty(
        self, bucket: Bucket, *, force: bool, progress: AbstractDeleteProgress | None, dry_run: bool
    ) -> None:
        try:
            listing = await self.opener.open(bucket)
        except UnsupportedProvider as error:
            if force:
                return
            raise UnsupportedProvider(
                f"{error.problem}, so nobody can tell whether it is empty", remedy="Delete it with force=True"
            ) from None
        holds_blobs = await _holds_blobs(listing)
        if holds_blobs and not force:
            raise BucketNotEmpty(f"{bucket.uri} holds blobs", remedy="Remove them first, or delete with force=True")
        if holds_blobs:
            await remove_path(listing, "", recursive=True, progress=progress, dry_run=dry_run)

    async def request_tmp_credentials(
        self,
        bucket_id_or_name: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketCredentials:
        """Return fresh temporary credentials of the provider; read-only when the caller may only read."""
        bucket = await self._bucket(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        return await self.opener.tmp_credentials(bucket)

    async def set_public_access(
        self,
        bucket_id_or_name: str,
        public_access: bool,  # noqa: FBT001 - the reference's own signature
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Let anybody list and read the bucket, or stop that.

        :raises UnsupportedProvider: an Azure bucket that is public cannot be closed again: the platform's own limit.
        """
        await self._platform.place(cluster_name)
        bucket = await self.get(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        if bucket.public and not public_access and bucket.provider == BucketProvider.AZURE:
            # The platform would open it once more and record that it is closed.
            raise UnsupportedProvider(
                f"{bucket.uri} is public, and the platform cannot close a bucket on Azure",
                remedy="Move its blobs to a new bucket",
            )
        changed = await self._platform.set_public(bucket, public=public_access)
        self._finder.remember(changed)
        return changed

    @streaming
    async def get_disk_usage(
        self,
        bucket_id_or_name: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> AsyncGenerator[BucketUsage]:
        """Count blobs and bytes; yields the sum so far after each page of the listing, and the whole at the end.

        An empty bucket yields one ``BucketUsage(total_bytes=0, object_count=0)``.
        """
        listing = await self._listing(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        async with aclosing(listing.usage()) as usage:
            async for sum_so_far in usage:
                yield sum_so_far

    # Blobs by bucket and key

    async def head_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BlobObject:
        """Return what the provider says of a blob.

        :raises ResourceNotFound: no such key.
        """
        listing = await self._listing(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        return blob_entry(listing.bucket, await listing.store.head(_key(key)))

    async def put_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        body: Content,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Create or replace a blob; atomic: nobody sees part of it, and a failure leaves what was there.

        :param body: the bytes, or an async iterator of them, which is read in bounded memory.
        """
        listing = await self._listing(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        await put_content(listing.store, _key(key), body)

    @streaming
    async def fetch_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        *,
        offset: int = 0,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> AsyncGenerator[bytes]:
        """Yield the content of a blob from `offset` on, all of one version, going on where a connection broke.

        :param offset: in bytes; the size itself yields nothing.
        :raises ConfigurationError: a `ValueError`: `offset` is negative or beyond the size.
        :raises IntegrityError: the bytes are not those the provider's MD5 promises; raised after the last one.
        """
        listing = await self._listing(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        async with aclosing(read_content(listing.store, _key(key), offset=offset)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def delete_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Delete a blob; a key that does not exist counts as deleted."""
        listing = await self._listing(
            bucket_id_or_name,
            cluster_name=cluster_name,
            bucket_owner=bucket_owner,
            org_name=org_name,
            project_name=project_name,
        )
        failed = await listing.store.delete([_key(key)])
        if failed:
            raise failed[key]

    # Blobs by address

    @streaming
    async def list_blobs(
        self, uri: BlobURI, *, recursive: bool = False, limit: int | None = LIST_LIMIT
    ) -> AsyncGenerator[BucketEntry]:
        """List what starts with the address: its key part is a prefix, not a folder.

        :param recursive: every key; otherwise keys are folded at the next ``/`` into :class:`BlobCommonPrefix`.
        :param limit: most entries of both kinds; `None` for all. A warning is logged when the default cuts a listing.
        """
        if limit is not None and limit <= 0:
            raise ConfigurationError(f"limit={limit} lists nothing", remedy="Pass None to list all")
        listing, prefix = await self._located(uri)
        beyond = None if limit is None else limit + 1
        count = 0
        async with aclosing(listing.pages(prefix, delimiter="" if recursive else "/", limit=beyond)) as pages:
            async for page in pages:
                for count, entry in enumerate(page, count + 1):  # noqa: B020 - it goes on counting
                    if count == beyond:
                        if limit == LIST_LIMIT:
                            log.warning("The listing of %s ends at the default limit of %d; pass limit=", uri, limit)
                        return
                    yield entry

    @streaming
    async def glob_blobs(self, uri: BlobURI) -> AsyncGenerator[BucketEntry]:
        """Find blobs and folders by a pattern: ``*``, ``?``, ``[a-z]``, ``[!a]`` within a component, ``**`` across.

        The text before the first operator narrows the listing at every level; results stream in the order of the walk.

        :param uri: a `str` is taken raw, so that ``?`` and ``[`` are operators; of a `URL`, ``%3F`` and ``%5B`` are.
            A backslash takes the next character literally; a ``/`` at the end finds folders only.
        """
        bucket, pattern = await self._finder.address(uri, is_pattern=True)
        parsed = parse_glob(pattern)
        listing = await self.opener.open(bucket)
        async with aclosing(listing.matches(parsed)) as pages:
            async for page in pages:
                for entry in page:
                    yield entry

    async def stat_blob(self, uri: BlobURI) -> BlobObject:
        """Return what the provider says of the blob at an address: :meth:`head_blob` by URI.

        :raises ResourceNotFound: no such blob.
        """
        listing, key = await self._located(uri)
        return blob_entry(listing.bucket, await listing.store.head(_key(key)))

    async def read_blob(
        self, uri: BlobURI, *, start: int | None = None, stop: int | None = None, version: BlobObject | None = None
    ) -> bytes:
        """Return the bytes ``[start, stop)`` of a blob, all of one version; bounds mean what they mean in a slice.

        All of it is in memory: :meth:`fetch_blob` streams.

        :param version: the blob as :meth:`stat_blob` returned it: it must still be that, and need not be asked again.
        :raises ResourceNotFound: no such blob.
        :raises Conflict: it is not that version any more.
        :raises IntegrityError: the whole blob was read, and does not have the MD5 that the provider promises.
        """
        listing, key = await self._located(uri)
        return await read_bytes(listing.store, _key(key), start=start, stop=stop, version=version, window=self.window)

    async def blob_is_dir(self, uri: BlobURI) -> bool:
        """Whether anything lies below the address. One request; the bucket itself is a folder."""
        listing, key = await self._located(uri)
        return await listing.is_dir(key)

    async def blob_rm(
        self,
        uri: BlobURI,
        *,
        recursive: bool = False,
        progress: AbstractDeleteProgress | None = None,
        dry_run: bool = False,
    ) -> None:
        """Remove a blob; with `recursive` the blob of exactly this key and all that lies below it, in batches.

        :param dry_run: remove nothing; tell `progress` what would be removed, as if it had been.
        :raises ResourceNotFound: there is neither a blob nor a folder.
        :raises IsADirectory: an `IsADirectoryError`: a folder, and not `recursive`; nothing was removed.
        :raises TransferError: some blobs could not be deleted; the others are gone.
        """
        listing, key = await self._located(uri)
        await remove_path(listing, key, recursive=recursive, progress=progress, dry_run=dry_run)

    async def make_signed_url(self, uri: BlobURI, *, expires_in_seconds: int = 3600) -> URL:
        """Return a URL with which anybody can GET the blob for a while. Whether the blob exists is not checked.

        The platform signs it; without a platform the bucket's persistent credentials do, and for an imported bucket
        of a provider for which the platform cannot sign, the bucket's own.

        :param expires_in_seconds: 1 to 604,800 (seven days).
        """
        check_signed_life(expires_in_seconds)
        bucket, key = await self._finder.address(uri)
        if self.config.has_platform:
            try:
                return await self._platform.sign(bucket, _key(key), expires_in_seconds)
            except UnsupportedProvider:
                if not bucket.imported:
                    raise
        listing = await self.opener.open(bucket)
        signed = await listing.store.sign(_key(key), expires_in_seconds=expires_in_seconds)
        return URL(signed, encoded=True)

    # Transfers

    async def upload_file(
        self,
        src: LocalPath,
        dst: BlobURI,
        *,
        update: bool = False,
        continue_: bool = False,
        progress: AbstractFileProgress | None = None,
        tries: Tries | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Upload a local file to an address. Atomic: until the end, the address holds what it held.

        :param update: only if the blob is missing, has another size, or is older than the file.
        :param continue_: go on with a large upload of the same content that was cut off, where the provider tells of
            its parts: Azure does, S3 to credentials that may list uploads. One that is cut off then leaves its parts.
        :param dry_run: move nothing; report and tell `progress` what would be moved, as if it had been. Likewise in the
            other transfers.
        :param tries: which of several tries this is; the next goes on with what one before it has moved.
        :raises SourceChanged: the file changed meanwhile; nothing of it was kept.
        """
        return await engine.upload_file(
            local_path(src),
            await self._remote(dst),
            existing=engine.Existing.from_flags(update=update, continue_=continue_),
            window=self.window,
            progress=progress,
            tries=tries or ONLY_TRY,
            movers=_movers(dry_run=dry_run),
        )

    async def download_file(
        self,
        src: BlobURI,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        progress: AbstractFileProgress | None = None,
        tries: Tries | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Download a blob to a local file. Atomic: it is verified beside its target, then renamed; mtime is the blob's.

        :param update: only if the file is missing, has another size, or is older than the blob.
        :param continue_: go on with a file that is the beginning of this blob, or with what a try that was cut off has
            left beside it; anything else is fetched anew. Of a large blob, a try that is cut off then leaves a hidden
            temporary file, for a day at most.
        :param tries: which of several tries this is; the next goes on with what one before it has moved.
        :raises IntegrityError: the bytes are not those that were promised; the old file stays.
        """
        return await engine.download_file(
            await self._remote(src),
            local_path(dst),
            existing=engine.Existing.from_flags(update=update, continue_=continue_),
            window=self.window,
            progress=progress,
            tries=tries or ONLY_TRY,
            movers=_movers(dry_run=dry_run),
        )

    async def upload_dir(
        self,
        src: LocalPath,
        dst: BlobURI,
        *,
        update: bool = False,
        continue_: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,  # noqa: A002 - the reference's name
        ignore_file_names: AbstractSet[str] = frozenset(),
        symlinks: str = "inside",
        progress: AbstractRecursiveFileProgress | None = None,
        tries: Tries | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Upload what is inside a local folder to below an address. Each file is atomic, the folder is not.

        :param update: only files whose blob is missing, has another size, or is older.
        :param continue_: go on with large uploads that were cut off: as in `upload_file`.
        :param filter: asked for each path relative to `src`, folders with a ``/`` at their end; `False` skips it.
        :param ignore_file_names: names of files with ``.gitignore`` rules, valid from their folder downwards.
        :param symlinks: ``inside`` follows links whose target lies in `src` and fails others, ``follow`` follows all,
            ``skip`` leaves them out.
        :param tries: which of several tries this is; the next goes on with what one before it has moved.
        :raises TransferError: some files failed; the others are uploaded, and `update=True` finishes the rest.
        """
        return await engine.upload_dir(
            local_path(src),
            await self._remote(dst),
            existing=engine.Existing.from_flags(update=update, continue_=continue_),
            symlinks=engine.Symlinks.named(symlinks),
            filter=filter,
            ignore_file_names=ignore_file_names,
            window=self.window,
            progress=progress,
            tries=tries or ONLY_TRY,
            movers=_movers(dry_run=dry_run),
        )

    async def download_dir(
        self,
        src: BlobURI,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,  # noqa: A002 - the reference's name
        progress: AbstractRecursiveFileProgress | None = None,
        tries: Tries | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Download what lies below an address into a local folder, which is made if missing.

        Each file is atomic and verified; nothing is ever written outside `dst`.

        :param update: only blobs whose file is missing, has another size, or is older.
        :param continue_: go on with files that are the beginning of their blob, and with large ones that an earlier
            try was fetching when it was cut off: as in `download_file`.
        :param filter: asked for each path relative to `src`, folders with a ``/`` at their end; `False` skips it.
        :param tries: which of several tries this is; the next goes on with what one before it has moved.
        :raises TransferError: some blobs failed or cannot be local files; the others are there.
        """
        return await engine.download_dir(
            await self._remote(src),
            local_path(dst),
            existing=engine.Existing.from_flags(update=update, continue_=continue_),
            filter=filter,
            window=self.window,
            progress=progress,
            tries=tries or ONLY_TRY,
            movers=_movers(dry_run=dry_run),
        )

    async def copy_blob(
        self,
        src: BlobURI,
        dst: BlobURI,
        *,
        update: bool = False,
        progress: AbstractFileProgress | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Copy a blob to another address, in any bucket of any provider. Atomic, and of one version of the source.

        The storage copies it by itself where both buckets are of one service and the credentials allow it; else the
        blob passes through this process, in bounded memory. Either way its content is verified as far as both sides
        can tell, and nothing else comes along for sure: no metadata, no tags.

        :param update: only if the copy is missing, has another size or content, or is older than the source.
        :raises InvalidAddress: both are the same blob.
        """
        return await engine.copy_blob(
            await self._remote(src),
            await self._remote(dst),
            existing=engine.Existing.from_flags(update=update, continue_=False),
            window=self.window,
            refusals=self.refusals,
            progress=progress,
            movers=_movers(dry_run=dry_run),
        )

    async def copy_dir(
        self,
        src: BlobURI,
        dst: BlobURI,
        *,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,  # noqa: A002 - as download_dir
        progress: AbstractRecursiveFileProgress | None = None,
        tries: Tries | None = None,
        dry_run: bool = False,
    ) -> TransferReport:
        """Copy what lies below an address to below another, in any bucket of any provider, as :meth:`copy_blob` does.

        Keys stay exactly what they are behind the two addresses. Each blob is atomic, the folder is not.

        :param update: only blobs whose copy is missing, has another size or content, or is older.
        :param filter: asked for each path relative to `src`, folders with a ``/`` at their end; `False` skips it.
        :param tries: which of several tries this is; the next goes on with what one before it has moved.
        :raises InvalidAddress: `dst` lies in `src`.
        :raises TransferError: some blobs failed, or have keys that the destination cannot hold; the others are there.
        """
        return await engine.copy_dir(
            await self._remote(src),
            await self._remote(dst),
            existing=engine.Existing.from_flags(update=update, continue_=False),
            filter=filter,
            window=self.window,
            refusals=self.refusals,
            progress=progress,
            tries=tries or ONLY_TRY,
            movers=_movers(dry_run=dry_run),
        )

    # Persistent credentials

    @streaming
    async def persistent_credentials_list(
        self, cluster_name: str | None = None
    ) -> AsyncGenerator[PersistentBucketCredentials]:
        """List the caller's persistent credentials, secrets included."""
        for credentials in await self._platform.persistent_list(await self._platform.place(cluster_name)):
            yield await self._announced(credentials)

    async def persistent_credentials_create(
        self,
        bucket_ids: Iterable[str],
        *,
        name: str | None = None,
        read_only: bool | None = False,
        cluster_name: str | None = None,
    ) -> PersistentBucketCredentials:
        """Create credentials for some buckets that live until they are deleted.

        :param bucket_ids: ids; names and ``blob:`` URIs are looked up.
        :raises AlreadyExists: the name is taken.
        :raises UnsupportedProvider: several buckets, and one is on Azure: the platform's own limit.
        """
        if name is not None:
            check_name(name, what="credentials")
        place = await self._platform.place(cluster_name)
        buckets = [await self._bucket(bucket, cluster_name=cluster_name) for bucket in bucket_ids]
        elsewhere = [bucket for bucket in buckets if bucket.cluster_name != place.cluster]
        if elsewhere or not buckets:
            raise ConfigurationError(
                f"persistent credentials on {place.cluster} cannot be for "
                + (f"{elsewhere[0].uri}, which is on another cluster" if elsewhere else "no bucket at all"),
                remedy="Name buckets of this cluster",
            )
        if len(buckets) > 1 and any(bucket.provider == BucketProvider.AZURE for bucket in buckets):
            # The platform would fail without a reason, like a server that is broken for the moment.
            raise UnsupportedProvider(
                "persistent credentials on Azure can be for one bucket only", remedy="Create some for each bucket"
            )
        return await self._announced(
            await self._platform.persistent_create(
                place, [bucket.id for bucket in buckets], name=name, read_only=bool(read_only)
            )
        )

    async def persistent_credentials_get(
        self, credential_id_or_name: str, *, cluster_name: str | None = None
    ) -> PersistentBucketCredentials:
        """Return persistent credentials, secrets included."""
        place = await self._platform.place(cluster_name)
        return await self._announced(await self._platform.persistent_get(place, credential_id_or_name))

    async def persistent_credentials_rm(self, credential_id_or_name: str, *, cluster_name: str | None = None) -> None:
        """Delete persistent credentials; whoever uses them is locked out."""
        await self._platform.persistent_delete(await self._platform.place(cluster_name), credential_id_or_name)

    # Ours

    async def check(self) -> str:
        """Prove that the token is accepted and may list; return a sentence that says for which place.

        Without a platform: that each bucket of the persistent credentials lets itself be listed.
        """
        if not self.config.has_platform:
            for bucket in self._persistent:
                await _holds_blobs(await self.opener.open(bucket))
            return "persistent credentials for " + ", ".join(str(bucket.uri) for bucket in self._persistent)
        place = await self._platform.place()
        buckets = await self._platform.buckets(Target())
        return (
            f"cluster {place.cluster}, org {place.org or '-'}, project {place.project or '-'}: "
            f"{len(buckets)} bucket{'' if len(buckets) == 1 else 's'} to read"
        )

    async def locate(self, uri: BlobURI) -> tuple[Bucket, str]:
        """Return the bucket of an address, and the key or prefix in it; whether a blob is there is not asked."""
        return await self._finder.address(uri)

    async def storage_time(self, uri: BlobURI) -> datetime:
        """Return what time it is for the storage of a bucket, so that ages of blobs can be told: its last answer says.

        Before its first answer to this client: what time it is here.
        """
        listing, _ = await self._located(uri)
        return datetime.now(UTC) - timedelta(seconds=listing.store.skew)

    async def _announced(self, credentials: PersistentBucketCredentials) -> PersistentBucketCredentials:
        for item in credentials.credentials:
            await self.opener.announce(item.credentials)
        return credentials

    async def _bucket(self, bucket_id_or_name: str, **selector: str | None) -> Bucket:
        return await self._finder.named(bucket_id_or_name, Target.home(**selector))

    async def _listing(self, bucket_id_or_name: str, **selector: str | None) -> Listing:
        return await self.opener.open(await self._bucket(bucket_id_or_name, **selector))

    async def _located(self, uri: BlobURI) -> tuple[Listing, str]:
        bucket, key = await self._finder.address(uri)
        return await self.opener.open(bucket), key

    async def _remote(self, uri: BlobURI) -> engine.Remote:
        return engine.Remote(*await self._located(uri))


def _movers(*, dry_run: bool) -> engine.Movers:
    return engine.DRY if dry_run else engine.REAL


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidAddress(
            f"the key {key!r} is not a text", remedy="Pass a text; a template may have made another of it"
        )
    if not key:
        raise InvalidAddress("the key of the blob is empty", remedy="Name the blob behind the bucket")
    return key


async def _holds_blobs(listing: Listing) -> bool:
    async with aclosing(listing.entries("", limit=1)) as entries:
        return await anext(entries, None) is not None
