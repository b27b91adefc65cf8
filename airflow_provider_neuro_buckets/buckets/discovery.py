"""Where the buckets service of a cluster is, and which org and project an address means there (wire protocol 2)."""

from __future__ import annotations

import asyncio
from typing import Any

from yarl import URL

from airflow_provider_neuro_buckets.buckets.answers import choose_place
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.eras import Place
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BadRequest,
    BucketsError,
    ConfigurationError,
    TransientError,
)
from airflow_provider_neuro_buckets.buckets.wire import Wire


class Discovery:
    """Finds the place of each cluster once; the platform is asked at most once in all."""

    def __init__(self, wire: Wire, config: BucketsConfig) -> None:
        self._wire = wire
        self._config = config
        self._places: dict[str | None, Place] = {}
        self._configuration: Any = None
        self._lock = asyncio.Lock()

    async def place(self, cluster_name: str | None = None) -> Place:
        """Return the place of a cluster, the current one by default.

        :raises ConfigurationError: there is no platform, no such cluster, or nothing to choose from.
        :raises AuthenticationError: the platform does not accept the token.
        """
        async with self._lock:
            if cluster_name not in self._places:
                self._places[cluster_name] = await self._find(cluster_name)
            return self._places[cluster_name]

    async def _find(self, cluster_name: str | None) -> Place:
        config = self._config
        if not config.has_platform:
            raise ConfigurationError(
                f"{config.name} has persistent credentials only, and this needs the platform",
                remedy="Set a host and a token, or name a bucket that the credentials are for",
            )
        if config.buckets_url is not None:
            if config.cluster_name is None:
                raise ConfigurationError(
                    f"{config.name} does not say of which cluster its buckets_url is",
                    remedy="Set cluster_name beside it",
                )
            if cluster_name in {None, config.cluster_name}:
                return Place(
                    cluster=config.cluster_name,
                    buckets_url=URL(config.buckets_url),
                    org=config.org_name,
                    project=config.project_name,
                )
        if config.api_url is None:
            raise ConfigurationError(
                f"{config.name} knows the cluster {config.cluster_name!r} only, not {cluster_name!r}",
                remedy="Set the host to the platform's API, which knows the others",
            )
        if self._configuration is None:
            self._configuration = await self._read_configuration(URL(config.api_url) / "config")
        return choose_place(self._configuration, config, cluster_name)

    async def _read_configuration(self, url: URL) -> Any:
        what = f"cannot read the platform's configuration at {url}"
        try:
            return await self._wire.request("GET", url, what=what)
        except (TransientError, AuthenticationError):
            raise
        except BadRequest as refusal:
            raise ConfigurationError(
                refusal.problem, remedy="If this user has access to no cluster, ask the platform's operators for it"
            ) from None
        except BucketsError as refusal:
            raise ConfigurationError(
                refusal.problem, remedy="Set the host to the platform's API, such as https://api.example.org/api/v1"
            ) from None
