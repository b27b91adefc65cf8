"""`NeuroBucketsHook`: from an Airflow connection to the Buckets client; the one blocking door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ConfigurationError
from airflow_provider_neuro_buckets.hooks.blocking import BlockingFace, blocking_face
from airflow_provider_neuro_buckets.hooks.connection import read_config
from airflow_provider_neuro_buckets.hooks.lineage import reporting_lineage

TEST_SECONDS = 9.0


@reporting_lineage
@blocking_face(Buckets)
class NeuroBucketsHook(BlockingFace, BaseHook):
    """Every method of :class:`~airflow_provider_neuro_buckets.buckets.client.Buckets`, blocking, on a connection.

    Methods that yield return lazy plain iterators. ``with hook:`` keeps one client open for several calls; without it
    each call opens its own and closes it. In coroutines use :meth:`connect`, which gives the client itself.

    :param neuro_buckets_conn_id: a connection of type ``neuro_buckets``.
    :param cluster_name: what relative addresses mean, instead of the connection's; likewise `org_name` and
        `project_name`.
    """

    conn_name_attr = "neuro_buckets_conn_id"
    default_conn_name = "neuro_buckets_default"
    conn_type = "neuro_buckets"
    hook_name = "Neuro Buckets"

    def __init__(
        self,
        neuro_buckets_conn_id: str = default_conn_name,
        *,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        super().__init__()
        self.neuro_buckets_conn_id = neuro_buckets_conn_id
        self._config: BucketsConfig | None = None
        self._overrides = {"cluster_name": cluster_name, "org_name": org_name, "project_name": project_name}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: nothing of the connection, which is read anew."""
        return {**vars(self), "_config": None}

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Stand for the methods that `blocking_face` adds."""

    def open_client(self) -> AbstractAsyncContextManager[Buckets]:
        """Return what opens a client in the hook's own thread; the connection is read here, in the caller's."""
        self._config = self.get_config()
        return Buckets.open(replace(self._config, on_secret=_mask_from_thread))

    def config_in_use(self) -> BucketsConfig:
        """Return the configuration of the client that was opened last; read now if none was.

        :raises ConfigurationError: as :meth:`get_config`.
        """
        return self._config or self.get_config()

    def get_config(self) -> BucketsConfig:
        """Return the configuration that the connection describes.

        :raises ConfigurationError: there is no such connection, or a field of it cannot be used.
        """
        try:
            connection = self.get_connection(self.neuro_buckets_conn_id)
            extra = connection.extra_dejson
        except AirflowNotFoundException:
            raise self._no_connection() from None
        return read_config(connection, extra, overrides=self._overrides)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Buckets]:
        """Open the client for use in coroutines: triggers and asynchronous tasks. Leaving the block closes it.

        :raises ConfigurationError: as :meth:`get_config`.
        """
        # Loaded here: only coroutines need it.
        from airflow.providers.common.compat.connection import (  # noqa: PLC0415 - as said
            get_async_connection,
            get_async_extra_dejson,
        )

        try:
            connection = await get_async_connection(self.neuro_buckets_conn_id, hook=self)
            extra = await get_async_extra_dejson(connection)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        config = read_config(connection, extra, overrides=self._overrides)
        async with Buckets.open(replace(config, on_secret=_mask_from_loop)) as buckets:
            yield buckets

    def test_connection(self) -> tuple[bool, str]:
        """Prove the token and the right to list; says for which cluster, org and project. Takes at most 10 s."""
        try:
            return True, self.call(lambda buckets: asyncio.wait_for(buckets.check(), TEST_SECONDS))
        except BucketsError as error:
            return False, str(error)
        except TimeoutError:
            return False, f"connection {self.neuro_buckets_conn_id!r}: no answer within {TEST_SECONDS:.0f} s"

    def _no_connection(self) -> ConfigurationError:
        return ConfigurationError(
            f"there is no Airflow connection {self.neuro_buckets_conn_id!r}",
            remedy="Add one of type 'neuro_buckets', or name another as neuro_buckets_conn_id",
        )


async def _mask_from_thread(secret: str) -> None:
    """Register a secret with Airflow's masker; in a thread, since telling the supervisor blocks."""
    from airflow.providers.common.compat.sdk import mask_secret  # noqa: PLC0415 - Airflow 3.0 has it elsewhere

    await asyncio.to_thread(mask_secret, secret)


async def _mask_from_loop(secret: str) -> None:
    """Register a secret with Airflow's masker from Airflow's own event loop, where a blocking call may deadlock."""
    from airflow.sdk import log  # noqa: PLC0415 - the triggerer has it loaded

    if hasattr(log, "amask_secret"):
        await log.amask_secret(secret)
    else:
        await _mask_from_thread(secret)
