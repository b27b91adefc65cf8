"""Operators on blobs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    InvalidAddress,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.operators.base import (
    BucketsOperator,
    PlacedOperator,
    one_of,
    whole_number,
    yes_or_no,
)
from airflow_provider_neuro_buckets.operators.lineage import LineageOperator, RemovingOperator, is_known

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.buckets.models import BucketEntry
    from airflow_provider_neuro_buckets.buckets.stream import Stream
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

MAX_KEYS = 1000
"""As many as Airflow maps a task over, and then some to spare."""


class BucketPutBlobOperator(PlacedOperator, LineageOperator):
    """Create or replace a blob with a content that the DAG itself has: a marker, a manifest, a small result.

    Atomic: nobody sees part of it, and a task that fails leaves what was there. Larger things are files: upload them.

    XCom: ``{"uri", "files", "bytes"}``: the address of the blob, 1, and its size.

    :param bucket_id_or_name: name, id or ``blob:`` URI of the bucket.
    :param key: the blob's key in it, as it is: not percent-encoded.
    :param body: bytes, or a text, which is stored as UTF-8.
    :raises AirflowFailException: a template made something else of `body`.
    :raises ResourceNotFound: there is no such bucket.
    """

    template_fields: Sequence[str] = (
        *PlacedOperator.template_fields,
        "is_dry_run",
        "bucket_id_or_name",
        "key",
        "body",
    )
    link_field = "bucket_id_or_name"
    writes = "key"

    def __init__(self, *, bucket_id_or_name: str, key: str, body: str | bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket_id_or_name = bucket_id_or_name
        self.key = key
        self.body = body
        self.name_assets()

    def execute(self, context: Context) -> dict[str, Any]:
        """Put the blob."""
        from airflow_provider_neuro_buckets.buckets.uri import blob_uri  # noqa: PLC0415 - loads yarl: as the hook

        with self.buckets() as hook:
            body = self._body()
            bucket = hook.get(self.bucket_id_or_name, **self.place())
            if self.rehearses():
                self._tell(hook, str(bucket.uri))
            else:
                hook.put_blob(self.bucket_id_or_name, self.key, body, **self.place())
        return self.result(uri=str(blob_uri(bucket.uri, self.key)), files=1, bytes=len(body))

    def address_of(self, argument: str) -> Any:
        """Return the address of the blob, as short as its bucket is given: other DAGs write the same."""
        from airflow_provider_neuro_buckets.buckets.uri import blob_address, is_blob_uri  # noqa: PLC0415 - as above

        if not is_known(self.bucket_id_or_name) or not is_known(self.key):
            return f"{self.bucket_id_or_name}/{self.key}"
        place = {name: value for name, value in self.place().items() if value}
        if place and not is_blob_uri(self.bucket_id_or_name):  # then only the platform knows the rest of the address
            return self._done.get("uri", {"bucket_id_or_name": self.bucket_id_or_name, "key": self.key, **place})
        return blob_address(self.bucket_id_or_name, self.key)

    def _body(self) -> bytes:
        if isinstance(self.body, str):
            return self.body.encode()
        if isinstance(self.body, bytes | bytearray):
            return bytes(self.body)
        raise ConfigurationError(
            f"body is a {type(self.body).__name__}, neither text nor bytes", remedy="Make a text of it, such as JSON"
        )

    def _tell(self, hook: NeuroBucketsHook, bucket: str) -> None:
        try:
            there = hook.head_blob(self.bucket_id_or_name, self.key, **self.place())
        except ResourceNotFound:
            self.log.info("Dry run: %r would be created in %s", self.key, bucket)
        else:
            self.log.info("Dry run: %s would be replaced (%d bytes)", there.uri, there.size)


class _KeysOperator(BucketsOperator):
    """Base of the operators that return keys.

    XCom: a list of texts; what it holds, `returns` says. A task can be mapped over it.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "max_keys")

    def __init__(
        self, *, uri: str, max_keys: int = MAX_KEYS, returns: Literal["keys", "uris"] = "keys", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        one_of(("keys", "uris"), returns=returns)
        self.uri = uri
        self.max_keys = max_keys
        self.returns = returns

    def _collect(self, found_by: Callable[[Buckets], Stream[BucketEntry]], remedy: str) -> list[str]:
        """Return what is found, up to `max_keys`.

        :param remedy: what else to do about too much, besides raising `max_keys`.
        :raises ConfigurationError: there is more.
        """
        found: list[str] = []

        async def collect(buckets: Buckets) -> None:
            async with aclosing(found_by(buckets)) as entries:
                async for entry in entries:
                    found.append(str(entry.uri) if self.returns == "uris" else entry.key)
                    if len(found) > most:
                        return

        with self.buckets() as hook:
            most = whole_number(self.max_keys, "max_keys")
            if most < 1:
                raise ConfigurationError(f"max_keys={most} returns nothing", remedy="Set it to 1 or more")
            hook.call(collect)
            if len(found) > most:
                raise ConfigurationError(
                    f"there are at least {len(found):,} keys at {self.uri}, more than max_keys={most}",
                    remedy=f"{remedy}, or raise max_keys; whole folders are better moved by one task of their own",
                )
        self.log.info("%d found at %s", len(found), self.uri)
        return found


class BucketListBlobsOperator(_KeysOperator):
    """List what starts with an address.

    XCom: a list of texts, in the order of the storage; what they are, `returns` says. A task can be mapped over it.

    :param uri: its key part is a prefix, not a folder: end it with a ``/`` for what is in a folder.
    :param recursive: every key; otherwise keys are folded at the next ``/``, into folders that end with it.
    :param max_keys: as of :class:`BucketGlobBlobsOperator`, likewise `returns`.
    :raises AirflowFailException: there are more than `max_keys`.
    :raises ResourceNotFound: there is no such bucket; a prefix of nothing is an empty list.
    """

    def __init__(self, *, recursive: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recursive = recursive

    def execute(self, context: Context) -> list[str]:
        """List the keys."""
        return self._collect(
            lambda buckets: buckets.list_blobs(self.uri, recursive=self.recursive, limit=None), "Name a longer prefix"
        )


class BucketGlobBlobsOperator(_KeysOperator):
    """Find blobs and folders by a pattern.

    XCom: a list of texts, in the order of the walk; what they are, `returns` says. A task can be mapped over it.

    :param uri: an address taken as it stands: ``*`` and ``?`` within a folder, ``[a-z]``, ``[!a]``, ``**`` across
        folders; a ``/`` at the end finds folders only.
    :param max_keys: if there are more, the task fails rather than fill Airflow's database; a mapped task takes up to
        ``[core] max_map_length`` of them, 1,024 unless Airflow is told otherwise.
    :param returns: ``keys``: what stands behind the bucket, as it is; ``uris``: addresses, as all other operators take
        them.
    :raises AirflowFailException: there are more than `max_keys`.
    :raises ResourceNotFound: there is no such bucket; a pattern that finds nothing is an empty list.
    """

    def execute(self, context: Context) -> list[str]:
        """Find the keys."""
        return self._collect(lambda buckets: buckets.glob_blobs(self.uri), "Write a narrower pattern")


class BucketBlobRmOperator(RemovingOperator):
    """Remove a blob, or with `recursive` a folder.

    XCom: ``{"files"}``, how many blobs went.

    :param uri: address of the blob or folder.
    :param recursive: remove the blob of exactly this key and all that lies below it.
    :param allow_whole_bucket: confirms that `uri` may be a bucket, which then is emptied; without it, an address whose
        key happens to be empty fails the task, and nothing is removed.
    :param if_missing: ``ignore`` lets a task run again; ``fail`` fails when there is nothing at the address.
    :raises AirflowFailException: `uri` is a whole bucket, and nobody confirmed that.
    :raises IsADirectory: it is a folder, and not `recursive`; nothing was removed.
    :raises ResourceNotFound: there is no such bucket; or nothing at the address, and `if_missing` is ``fail``.
    :raises TransferError: some blobs could not be removed; the others are gone.
    """

    template_fields: Sequence[str] = (*RemovingOperator.template_fields, "uri")

    def __init__(
        self,
        *,
        uri: str,
        recursive: bool = False,
        allow_whole_bucket: bool = False,
        if_missing: Literal["ignore", "fail"] = "ignore",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("ignore", "fail"), if_missing=if_missing)
        self.uri = uri
        self.recursive = recursive
        self.allow_whole_bucket = allow_whole_bucket
        self.if_missing = if_missing

    def execute(self, context: Context) -> dict[str, Any]:
        """Remove what is at the address."""
        with self.buckets() as hook:
            gone = self.deleting()
            recursive = yes_or_no(self.recursive, "recursive")
            try:
                if recursive and not yes_or_no(self.allow_whole_bucket, "allow_whole_bucket"):
                    self._check_no_bucket(hook)
                hook.blob_rm(self.uri, recursive=recursive, progress=gone, dry_run=self.rehearses())
            except ResourceNotFound:
                if self.if_missing == "fail":
                    raise
                self.log.info("There is nothing at %s", self.uri)
        return self.result(files=gone.blobs)

    def address_removed(self) -> str:
        """Return the address, for OpenLineage."""
        return self.uri

    def _check_no_bucket(self, hook: NeuroBucketsHook) -> None:
        """Ask the platform what the address is: only it knows, since the name of a project may have slashes."""
        try:
            bucket = hook.get(self.uri)
        except InvalidAddress:
            return  # a blob or a folder, or nothing that can be removed either
        raise ConfigurationError(
            f"{self.uri} is the whole bucket {bucket.uri}, of which every blob would be deleted",
            remedy="Confirm it with allow_whole_bucket=True, or name a folder",
        )


class BucketMakeSignedUrlOperator(BucketsOperator):
    """Make a URL with which anybody can GET a blob for a while.

    XCom: the URL, as a text. It is a secret for as long as it is valid, and XComs are readable for whoever may read the
    DAG: choose a short life. It is not written to the log.

    :param uri: address of the blob; whether it exists is not checked.
    :param expires_in_seconds: 1 to 604,800.
    :raises AirflowFailException: the life is another, or nobody can sign for the bucket's provider.
    :raises ResourceNotFound: there is no such bucket.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "expires_in_seconds")

    def __init__(self, *, uri: str, expires_in_seconds: int = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.expires_in_seconds = expires_in_seconds

    def execute(self, context: Context) -> str:
        """Sign a URL."""
        with self.buckets() as hook:
            seconds = whole_number(self.expires_in_seconds, "expires_in_seconds")
            url = hook.make_signed_url(self.uri, expires_in_seconds=seconds)
        return str(url)
