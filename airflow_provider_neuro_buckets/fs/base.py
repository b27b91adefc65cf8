"""What all of the filesystem stands on: its connection, its clients, its event loop."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fsspec.asyn import AsyncFileSystem

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.fs.clients import Clients
from airflow_provider_neuro_buckets.fs.paths import SCHEME, Place, parse_blob, parse_path, split_url, stripped
from airflow_provider_neuro_buckets.fs.running import run, shared_loop

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

T = TypeVar("T")
Info = dict[str, Any]

_NOT_YET = cast("AbstractEventLoop", object())
_FSSPEC_OPTIONS = {"use_listings_cache", "listings_expiry_time", "max_paths"}


class BlobBase(AsyncFileSystem):
    """Knows its connection, and opens clients on it when they are needed."""

    protocol = SCHEME
    root_marker = ""

    _loop: AbstractEventLoop | None
    _pid: int

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        asynchronous: bool = False,
        loop: AbstractEventLoop | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        if unknown := sorted(set(options) - _FSSPEC_OPTIONS):
            raise ConfigurationError(
                f"the blob filesystem has no option {unknown[0]!r}",
                remedy="Pass conn_id, and put all else into that connection",
            )
        # fsspec would start its thread here; an object that is only made while a DAG is parsed needs none.
        super().__init__(asynchronous=asynchronous, loop=loop or _NOT_YET, batch_size=batch_size)
        self.conn_id = conn_id
        self._clients = Clients(conn_id)

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The loop of fsspec's thread, or the one given; `None` if the filesystem was made for coroutines."""
        if self._loop is _NOT_YET or (self._loop is not None and self._pid != os.getpid()):
            self._loop = shared_loop()
        self._pid = os.getpid()
        return self._loop

    @property
    def fsid(self) -> str:
        """The same for filesystems on the same connection."""
        return f"{SCHEME}-{self.conn_id or 'default'}"

    async def ask(self, question: Callable[[Buckets], Awaitable[T]]) -> T:
        """Await `question(client)`, with a client that is open on the running event loop."""
        return await self._clients.ask(question)

    async def client(self) -> Buckets:
        """Return the client itself, for what cannot be asked twice."""
        return await self._clients.get()

    async def aclose(self) -> None:
        """Close the client of the running event loop. Whoever uses the filesystem in coroutines should."""
        await self._clients.aclose()

    def close(self) -> None:
        """Close the client; the next call opens another. By itself that happens when the process ends."""
        run(self.loop, self.aclose)

    def place(self, path: object) -> Place:
        """Read the path of a blob or a folder."""
        return parse_path(path, conn_id=self.conn_id)

    def blob(self, path: object) -> Place:
        """Read the path of a blob."""
        return parse_blob(path, conn_id=self.conn_id)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return [stripped(one) for one in path] if isinstance(path, list) else stripped(path)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        conn_id, _ = split_url(path)
        return {} if conn_id is None else {"conn_id": conn_id}

    def invalidate_cache(self, path: str | None = None) -> None:
        """Do nothing: what a listing says is never kept."""
