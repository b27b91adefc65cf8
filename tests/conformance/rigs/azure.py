"""Azure as Azurite speaks it, opened with a SAS as the platform makes it. Azurite enforces what a SAS allows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.storage.blob import generate_container_sas
from azure.storage.blob.aio import ContainerClient

from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from conformance.rigs.azurite import ACCOUNT, Azurite, running_azurite
from conformance.rigs.base import Rig, describe_bucket, describe_keys, opened

READ_WRITE = "rwdxtl"
"""What the platform grants: read, write, delete, delete a version, tag, list."""
READ_ONLY = "rl"


class AzureRig(Rig):
    """A container of Azurite."""

    def __init__(
        self, *, bucket: Bucket, keys: BucketCredentials, store: ClosableStore, client: ContainerClient
    ) -> None:
        super().__init__(bucket=bucket, keys=keys, store=store)
        self.client = client

    async def put(self, key: str, content: bytes) -> None:
        await self.client.upload_blob(key, content, overwrite=True)

    async def get(self, key: str) -> bytes:
        download = await self.client.download_blob(key)
        return await download.readall()

    async def names(self) -> list[str]:
        return [name async for name in self.client.list_blob_names()]

    def refuses(self, key: str) -> str | None:
        if "\\" in key:
            return "Azure takes a backslash for a slash"
        if any(segment.endswith(".") for segment in key.split("/")):
            return "Azure drops a dot at the end of a segment"
        if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", key):
            return "Azurite cannot list what XML cannot hold"
        return None


class AzureServer:
    """A running Azurite."""

    def __init__(self, azurite: Azurite) -> None:
        self.azurite = azurite

    @asynccontextmanager
    async def container(self) -> AsyncIterator[ContainerClient]:
        """Make a container, and open the SDK's client on it with all rights."""
        async with ContainerClient(
            self.azurite.endpoint, f"bucket-{uuid4().hex}", credential=self.azurite.account_key
        ) as client:
            await client.create_container()
            yield client

    def sas(self, container: str, *, permission: str = READ_WRITE, life: timedelta = timedelta(hours=1)) -> str:
        """Return a SAS for a container, without the ``?``."""
        return generate_container_sas(
            ACCOUNT,
            container,
            account_key=self.azurite.account_key,
            permission=permission,
            expiry=datetime.now(UTC) + life,
        )

    def keys(
        self, bucket: Bucket, container: str, *, permission: str = READ_WRITE, life: timedelta = timedelta(hours=1)
    ) -> BucketCredentials:
        """Return temporary credentials for a container, as the platform hands them out."""
        return describe_keys(
            bucket,
            bucket_name=container,
            storage_endpoint=self.azurite.endpoint,
            sas_token=self.sas(container, permission=permission, life=life),
            expiry=(datetime.now(UTC) + life).isoformat(),
        )

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        bucket = describe_bucket(id_=f"bucket-{uuid4()}", name="models", provider="azure")
        async with self.container() as client:
            keys = self.keys(bucket, client.container_name)
            async with opened(bucket, keys) as store:
                yield AzureRig(bucket=bucket, keys=keys, store=store, client=client)


@contextmanager
def serve() -> Iterator[AzureServer]:
    """Run Azurite in a process of its own."""
    with running_azurite() as azurite:
        yield AzureServer(azurite)
