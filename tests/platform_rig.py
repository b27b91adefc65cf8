"""A running platform as a test of the Airflow rooms sees it from outside."""

from __future__ import annotations

import asyncio
import functools
import random
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

T = TypeVar("T")


class Platform:
    """A running platform as a test sees it from outside: a client of its own, apart from what is tested."""

    def __init__(self, running: RunningPlatform) -> None:
        self.running = running

    def ask(self, question: Callable[[Buckets], Awaitable[T]]) -> T:
        """Await `question(client)` with a client that is open for as long."""
        from airflow_provider_neuro_buckets.buckets import Buckets  # noqa: PLC0415 - not for tests of other rooms

        async def ask() -> T:
            async with Buckets.open(self.running.config) as buckets:
                return await question(buckets)

        return asyncio.run(ask())

    def put(self, bucket: str, **blobs: bytes) -> None:
        """Put some blobs."""

        async def put(buckets: Buckets) -> None:
            for key, content in blobs.items():
                await buckets.put_blob(bucket, key, content)

        self.ask(put)

    def keys(self, bucket: str) -> list[str]:
        """Return all keys of a bucket."""

        async def keys(buckets: Buckets) -> list[str]:
            return [entry.key async for entry in buckets.list_blobs(f"blob:{bucket}", recursive=True, limit=None)]

        return self.ask(keys)

    def buckets(self) -> list[str | None]:
        """Return the names of all buckets."""

        async def names(buckets: Buckets) -> list[str | None]:
            return [bucket.name async for bucket in buckets.list()]

        return self.ask(names)

    @contextmanager
    def fresh_bucket(self) -> Iterator[str]:
        """Make a bucket; give its name; remove it if it is still there."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.ask(lambda buckets: buckets.create(name))
        try:
            yield name
        finally:
            if name in self.buckets():
                self.ask(lambda buckets: buckets.rm(name, force=True))

    @contextmanager
    def foreign_bucket(self) -> Iterator[Mapping[str, str]]:
        """Make what a provider has before the platform hears of it: a bucket's real name and lasting keys.

        It lies in the platform's own storage, where another bucket stands for it.
        """

        async def make(buckets: Buckets) -> tuple[str, str, Mapping[str, str]]:
            bucket = await buckets.create()
            made = await buckets.persistent_credentials_create([bucket.id])
            return bucket.id, made.id, made.credentials[0].credentials

        async def remove(buckets: Buckets) -> None:
            await buckets.persistent_credentials_rm(credentials)
            await buckets.rm(bucket, force=True)

        bucket, credentials, keys = self.ask(make)
        try:
            yield keys
        finally:
            self.ask(remove)


class WatchedPlatform(Platform):
    """A platform of whose storage the keys of its administrator are known: `owner` holds them."""

    def __init__(self, running: RunningPlatform, owner: Mapping[str, str]) -> None:
        super().__init__(running)
        self._owner = owner

    def unfinished(self, bucket: str) -> list[str]:
        """Ask the storage for uploads in parts that nobody has ended."""
        import boto3  # noqa: PLC0415 - takes long to load

        given = self.ask(lambda buckets: buckets.request_tmp_credentials(bucket)).credentials
        client = boto3.client(
            "s3",
            endpoint_url=given["endpoint_url"],
            region_name=given["region_name"],
            aws_access_key_id=self._owner["admin_access_key"],
            aws_secret_access_key=self._owner["admin_secret_key"],
        )
        with closing(client):
            uploads = client.list_multipart_uploads(Bucket=given["bucket_name"]).get("Uploads", [])
        return [upload["Key"] for upload in uploads]


@functools.cache
def closed_port() -> int:
    """Return a port of this machine on which nobody listens, nor will as long as this process runs."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))  # the kernel gives it to nobody else; whoever connects is refused
    port: int = holder.getsockname()[1]
    holder.detach()  # the end of the process closes it
    return port


def free_port() -> int:
    """Return a port on which nobody listens: above those of local platforms, below those that the kernel gives away."""
    for port in random.sample(range(31_000, 32_768), 1_768):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all ports are in use")
