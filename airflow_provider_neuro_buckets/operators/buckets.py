"""Operators on whole buckets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.buckets.errors import (
    AlreadyExists,
    BucketsError,
    ConfigurationError,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.operators.base import PlacedOperator, one_of, yes_or_no
from airflow_provider_neuro_buckets.operators.lineage import RemovingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.buckets.models import Bucket
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook


class BucketCreateOperator(PlacedOperator):
    """Create a bucket.

    XCom: ``{"id", "name", "uri", "provider"}`` of the bucket.

    :param name: unique in its project; `None` makes a bucket that has an id only.
    :param if_exists: ``use`` takes the bucket of this name that is there, so that a task can run again; ``fail`` fails.
    :raises AlreadyExists: the name is taken, and `if_exists` is ``fail``.
    """

    template_fields: Sequence[str] = (*PlacedOperator.template_fields, "name")
    link_field = "name"

    def __init__(
        self,
        *,
        name: str | None,
        if_exists: Literal["use", "fail"] = "use",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("use", "fail"), if_exists=if_exists)
        self.name = name
        self.if_exists = if_exists

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the bucket."""
        where = self.place()
        with self.buckets() as hook:
            try:
                bucket = hook.create(self.name, **where)
            except AlreadyExists:
                if self.if_exists == "fail":
                    raise
                bucket = hook.get(self.name, **where)
                self.log.info("Bucket %s exists", bucket.uri)
        return _shown(bucket)


class BucketImportOperator(PlacedOperator):
    """Make a bucket that exists at a provider known to the platform.

    The platform stores the provider's keys and hands them to everybody who may read the bucket. It does not try them,
    so this does: if they cannot list the bucket, the platform forgets it again and the task fails.

    XCom: ``{"id", "name", "uri", "provider"}`` of the bucket.

    :param provider: ``aws``, ``azure``, ``gcp``, ``minio``, ``seaweedfs`` or another that the platform knows.
    :param provider_bucket_name: the bucket's name at its provider.
    :param credentials: the provider's own keys. Templates in it are rendered when the task runs, and nothing of it is
        kept or shown, so let a connection hold them, such as ``{"access_key_id": "{{ conn.lake.login }}",
        "secret_access_key": "{{ conn.lake.password }}", "region_name": "eu-west-1"}``. S3 takes `endpoint_url` as
        well; Azure takes `storage_endpoint` with `credential`, the account's key, or `sas_token`; Google `key_data`.
    :param name: unique in its project; `None` makes a bucket that has an id only.
    :param if_exists: ``use`` takes an imported bucket of this name and provider that is there, so that a task can run
        again; another of this name fails it. ``fail`` always fails.
    :param check: whether to try the keys; switch it off where the worker cannot reach the provider.
    :raises AlreadyExists: the name is taken, by another bucket or with ``if_exists="fail"``.
    :raises ResourceNotFound: the provider has no such bucket.
    """

    template_fields: Sequence[str] = (*PlacedOperator.template_fields, "provider", "provider_bucket_name", "name")
    link_field = "name"

    def __init__(
        self,
        *,
        provider: str,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        name: str | None = None,
        if_exists: Literal["use", "fail"] = "use",
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("use", "fail"), if_exists=if_exists)
        self.provider = provider
        self.provider_bucket_name = provider_bucket_name
        self.credentials = credentials
        self.name = name
        self.if_exists = if_exists
        self.check = check

    def execute(self, context: Context) -> dict[str, Any]:
        """Import the bucket."""
        where = self.place()
        with self.buckets() as hook:
            keys = self._keys(context)
            try:
                bucket = hook.import_external(self.provider, self.provider_bucket_name, keys, name=self.name, **where)
            except AlreadyExists:
                if self.if_exists == "fail":
                    raise
                bucket = self._existing(hook.get(self.name, **where))
            else:
                if self.check:
                    self._try(hook, bucket)
        return _shown(bucket)

    def _keys(self, context: Context) -> dict[str, str]:
        """Render the credentials: not as a template field, which Airflow would keep and show."""
        keys = self.render_template(self.credentials, context)
        if not isinstance(keys, Mapping) or not all(isinstance(value, str) for value in keys.values()):
            raise ConfigurationError("credentials are not texts by name", remedy="Pass a dict of the provider's keys")
        return dict(keys)

    def _existing(self, bucket: Bucket) -> Bucket:
        if not bucket.imported or str(bucket.provider) != self.provider:
            raise AlreadyExists(
                f"{bucket.uri} exists, and is not a bucket imported from {self.provider}",
                remedy="Choose another name, or remove it first",
            )
        self.log.info("Bucket %s exists", bucket.uri)
        return bucket

    def _try(self, hook: NeuroBucketsHook, bucket: Bucket) -> None:
        try:
            hook.blob_is_dir(f"{bucket.uri}/neuro-buckets")
        except UnsupportedProvider as error:
            self.log.info("The keys were not tried: %s", error)
        except BaseException as error:  # also what ends a task from outside: a retry would find the name taken
            self._forget(bucket)
            if isinstance(error, BucketsError):
                what = f"{self.provider} bucket {self.provider_bucket_name!r}"
                error.problem = f"{what} was not imported: {error.problem}"
            raise

    def _forget(self, bucket: Bucket) -> None:
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as the hook

        try:
            # A hook of its own: that of a task that was killed does nothing more.
            NeuroBucketsHook(self.neuro_buckets_conn_id).rm(str(bucket.uri))
        except BucketsError:
            self.log.warning("Bucket %s cannot be read, and could not be removed again", bucket.uri)


class BucketRmOperator(PlacedOperator, RemovingOperator):
    """Delete a bucket, and with it everybody's persistent credentials for it.

    XCom: ``{"deleted", "files"}``: whether there was such a bucket, and how many blobs went with it.

    :param bucket_id_or_name: its name, its id or its ``blob:`` URI.
    :param force: delete its blobs as well, which `allow_whole_bucket` must confirm; otherwise a bucket that holds blobs
        fails the task and stays as it is.
    :param allow_whole_bucket: confirms that all blobs may go.
    :param if_missing: ``ignore`` lets a task run again; ``fail`` fails when there is no such bucket.
    :raises BucketNotEmpty: it holds blobs, and not `force`; nothing was changed.
    :raises AirflowFailException: `force` was not confirmed.
    :raises ResourceNotFound: there is no such bucket, and `if_missing` is ``fail``.
    :raises TransferError: some blobs could not be deleted; the others are gone, the bucket is there.
    """

    template_fields: Sequence[str] = (*PlacedOperator.template_fields, "is_dry_run", "bucket_id_or_name")
    link_field = "bucket_id_or_name"

    def __init__(
        self,
        *,
        bucket_id_or_name: str,
        force: bool = False,
        allow_whole_bucket: bool = False,
        if_missing: Literal["ignore", "fail"] = "ignore",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("ignore", "fail"), if_missing=if_missing)
        self.bucket_id_or_name = bucket_id_or_name
        self.force = force
        self.allow_whole_bucket = allow_whole_bucket
        self.if_missing = if_missing

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the bucket."""
        with self.buckets() as hook:
            gone = self.deleting()
            force = yes_or_no(self.force, "force")
            if force and not yes_or_no(self.allow_whole_bucket, "allow_whole_bucket"):
                raise ConfigurationError(
                    f"force=True would delete every blob of the bucket {self.bucket_id_or_name}",
                    remedy="Confirm it with allow_whole_bucket=True, or leave force out",
                )
            deleted = True
            try:
                hook.rm(
                    self.bucket_id_or_name,
                    force=force,
                    progress=gone,
                    dry_run=self.rehearses(),
                    **self.place(),
                )
            except ResourceNotFound:
                if self.if_missing == "fail":
                    raise
                deleted = False
                self.log.info("There is no bucket %s", self.bucket_id_or_name)
        return self.result(deleted=deleted, files=gone.blobs)

    def address_removed(self) -> str:
        """Return the address, for OpenLineage."""
        from airflow_provider_neuro_buckets.buckets.uri import blob_address  # noqa: PLC0415 - loads yarl: as the hook

        return blob_address(self.bucket_id_or_name, "")


class BucketSetPublicAccessOperator(PlacedOperator):
    """Let anybody in the world list and read a bucket, or stop that.

    XCom: ``{"id", "name", "uri", "provider", "public"}`` of the bucket.

    :param bucket_id_or_name: its name, its id or its ``blob:`` URI.
    :param public_access: whether anybody may; a template may say ``true`` or ``false``. The platform cannot close a
        bucket on Azure again.
    :raises ResourceNotFound: there is no such bucket.
    :raises AirflowFailException: a bucket on Azure should be closed, or the platform cannot do it for this provider.
    """

    template_fields: Sequence[str] = (*PlacedOperator.template_fields, "bucket_id_or_name", "public_access")
    link_field = "bucket_id_or_name"

    def __init__(
        self,
        *,
        bucket_id_or_name: str,
        public_access: bool | str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_id_or_name = bucket_id_or_name
        self.public_access = public_access

    def execute(self, context: Context) -> dict[str, Any]:
        """Open or close the bucket."""
        with self.buckets() as hook:
            public = yes_or_no(self.public_access, "public_access")
            bucket = hook.set_public_access(self.bucket_id_or_name, public, **self.place())
        self.log.info("Bucket %s is %s", bucket.uri, "public" if bucket.public else "not public")
        return {**_shown(bucket), "public": bucket.public}


class BucketDiskUsageOperator(PlacedOperator):
    """Count the blobs of a bucket, and their bytes, by listing it; the sum so far goes to the log every few seconds.

    XCom: ``{"files", "bytes", "seconds"}``.

    :param bucket_id_or_name: its name, its id or its ``blob:`` URI.
    :raises ResourceNotFound: there is no such bucket.
    """

    template_fields: Sequence[str] = (*PlacedOperator.template_fields, "bucket_id_or_name")
    link_field = "bucket_id_or_name"

    def __init__(
        self,
        *,
        bucket_id_or_name: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_id_or_name = bucket_id_or_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Count."""
        from airflow_provider_neuro_buckets.hooks.progress import EVERY_SECONDS, megabytes  # noqa: PLC0415 - as the hook

        begun = told = time.monotonic()
        files = size = 0
        with self.buckets() as hook:
            for usage in hook.get_disk_usage(self.bucket_id_or_name, **self.place()):
                files, size = usage.object_count, usage.total_bytes
                if time.monotonic() - told >= EVERY_SECONDS:
                    told = time.monotonic()
                    self.log.info("Counting: %d files, %s so far", files, megabytes(size))
        self.log.info("Bucket %s: %d files, %s", self.bucket_id_or_name, files, megabytes(size))
        return {"files": files, "bytes": size, "seconds": round(time.monotonic() - begun, 3)}


def _shown(bucket: Bucket) -> dict[str, Any]:
    return {"id": bucket.id, "name": bucket.name, "uri": str(bucket.uri), "provider": str(bucket.provider)}
