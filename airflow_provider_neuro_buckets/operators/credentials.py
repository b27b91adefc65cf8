"""Operators on persistent credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, BucketsError, ResourceNotFound
from airflow_provider_neuro_buckets.operators.base import BucketsOperator, ChangingOperator, one_of, some_texts

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.buckets.models import Bucket, PersistentBucketCredentials
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook


class PersistentCredentialsCreateOperator(BucketsOperator):
    """Create credentials for some buckets that live until they are deleted, and hand over a connection that uses them.

    With that connection, blobs of these buckets need no token and no platform. It is a secret as a whole, so it never
    is an XCom or a log line. Airflow lets no task write a connection, and where yours are kept only you know; so the
    operator gives the connection to a function of yours, in the same process, and keeps nothing::

        def into_secrets_manager(connection: str) -> None:
            SecretsManagerHook().conn.put_secret_value(SecretId="airflow/connections/lake", SecretString=connection)

        PersistentCredentialsCreateOperator(
            task_id="mint", bucket_ids=["lake"], name="reader", read_only=True, save_connection=into_secrets_manager
        )

    The function may as well POST it to Airflow's REST API, or write a file. If it fails, so does the task, and
    credentials that this try has created are deleted again.

    XCom: ``{"id", "name", "read_only", "buckets"}``, `buckets` being addresses.

    :param bucket_ids: id, name or ``blob:`` URI of the bucket, or of several.
    :param name: unique among the credentials of the connection's user; `None` makes credentials that have an id only.
    :param read_only: they may read and list, and nothing else.
    :param save_connection: called with the connection as JSON, as ``AIRFLOW_CONN_…`` and secrets backends take it.
        Without it, whoever may use the operator's connection can still build one: see
        :func:`~airflow_provider_neuro_buckets.hooks.persistent.persistent_connection`.
    :param if_exists: ``use`` takes credentials of this name that are for the same buckets with the same rights, so that
        a task can run again; others of this name fail it. ``fail`` always fails.
    :param cluster_name: instead of the connection's.
    :raises AlreadyExists: the name is taken, by credentials with other rights or with ``if_exists="fail"``.
    :raises ResourceNotFound: there is no such bucket.
    :raises AirflowFailException: several buckets, and one of them on Azure or on another cluster.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "bucket_ids", "name", "cluster_name")
    link_field = "bucket_ids"

    def __init__(
        self,
        *,
        bucket_ids: str | Sequence[str],
        name: str | None = None,
        read_only: bool = False,
        save_connection: Callable[[str], object] | None = None,
        if_exists: Literal["use", "fail"] = "use",
        cluster_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("use", "fail"), if_exists=if_exists)
        self.bucket_ids = bucket_ids
        self.name = name
        self.read_only = read_only
        self.save_connection = save_connection
        self.if_exists = if_exists
        self.cluster_name = cluster_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the credentials, and hand the connection over."""
        from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection  # noqa: PLC0415 - as the hook

        with self.buckets() as hook:
            buckets = [hook.get(bucket, cluster_name=self.cluster_name) for bucket in self._bucket_ids()]
            with self._credentials(hook, buckets) as credentials:
                if self.save_connection is not None:
                    self.save_connection(persistent_connection(credentials, buckets))
        return {
            "id": credentials.id,
            "name": credentials.name,
            "read_only": bool(credentials.read_only),
            "buckets": [str(bucket.uri) for bucket in buckets],
        }

    def _bucket_ids(self) -> list[str]:
        return some_texts(self.bucket_ids, "bucket_ids")

    @contextmanager
    def _credentials(self, hook: NeuroBucketsHook, buckets: Sequence[Bucket]) -> Iterator[PersistentBucketCredentials]:
        """Give the credentials; if the block fails, delete them, unless they were there before."""
        try:
            credentials = hook.persistent_credentials_create(
                self._bucket_ids(),
                name=self.name,
                read_only=self.read_only,
                cluster_name=self.cluster_name,
            )
        except AlreadyExists:
            if self.if_exists == "fail":
                raise
            yield self._existing(hook, buckets)
            return
        try:
            yield credentials
        except BaseException:  # also what ends a task from outside: nobody would ever delete them
            self._discard(credentials.id)
            raise

    def _existing(self, hook: NeuroBucketsHook, buckets: Sequence[Bucket]) -> PersistentBucketCredentials:
        credentials: PersistentBucketCredentials = hook.persistent_credentials_get(
            self.name, cluster_name=self.cluster_name
        )
        same_buckets = {item.bucket_id for item in credentials.credentials} == {bucket.id for bucket in buckets}
        if not same_buckets or bool(credentials.read_only) != self.read_only:
            raise AlreadyExists(
                f"persistent credentials {self.name!r} exist, for other buckets or with other rights",
                remedy="Choose another name, or delete them first",
            )
        self.log.info("Persistent credentials %s exist", credentials.name)
        return credentials

    def _discard(self, credentials_id: str) -> None:
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as the hook

        try:
            # A hook of its own: that of a task that was killed does nothing more.
            NeuroBucketsHook(self.neuro_buckets_conn_id).persistent_credentials_rm(
                credentials_id, cluster_name=self.cluster_name
            )
        except BucketsError:
            self.log.warning("Persistent credentials %s are of no use, and could not be deleted", credentials_id)


class PersistentCredentialsRmOperator(ChangingOperator):
    """Delete persistent credentials; whoever uses them is locked out.

    XCom: ``{"deleted"}``, whether there were such credentials.

    :param credential_id_or_name: their id or name.
    :param if_missing: ``ignore`` lets a task run again; ``fail`` fails when there are none.
    :param cluster_name: instead of the connection's.
    :raises ResourceNotFound: there are none, and `if_missing` is ``fail``.
    """

    template_fields: Sequence[str] = (*ChangingOperator.template_fields, "credential_id_or_name", "cluster_name")

    def __init__(
        self,
        *,
        credential_id_or_name: str,
        if_missing: Literal["ignore", "fail"] = "ignore",
        cluster_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of(("ignore", "fail"), if_missing=if_missing)
        self.credential_id_or_name = credential_id_or_name
        self.if_missing = if_missing
        self.cluster_name = cluster_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the credentials."""
        deleted = True
        with self.buckets() as hook:
            # The platform answers both by the same rules, so a dry run fails where the real one would.
            act = hook.persistent_credentials_get if self.rehearses() else hook.persistent_credentials_rm
            try:
                act(self.credential_id_or_name, cluster_name=self.cluster_name)
            except ResourceNotFound:
                if self.if_missing == "fail":
                    raise
                deleted = False
                self.log.info("There are no persistent credentials %s", self.credential_id_or_name)
        return self.result(deleted=deleted)
