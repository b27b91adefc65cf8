"""`LocalPlatform`: the REST service and its storage as one thing that starts and stops."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from airflow_provider_neuro_buckets.local.answers import Refusal, unexpected
from airflow_provider_neuro_buckets.local.records import Records
from airflow_provider_neuro_buckets.local.rights import CLUSTER, ORG, PROJECT, Users
from airflow_provider_neuro_buckets.local.routes import Handler, Routes
from airflow_provider_neuro_buckets.local.storage import Storage
from airflow_provider_neuro_buckets.local.weed import HOST, StorageError, find_program

log = logging.getLogger(__name__)

API = "/api/v1"
BUCKETS = f"{API}/buckets"
LIFE_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlatform:
    """A platform that runs on this machine, on loopback only.

    :ivar api_url: address of the platform, the host of an Airflow connection.
    :ivar buckets_url: address of its buckets service.
    :ivar storage_url: address of the S3 server behind it.
    :ivar ended: waits until that server ends by itself, which it should not; returns what to say then.
    """

    api_url: str
    buckets_url: str
    storage_url: str
    token: str = field(repr=False)
    readonly_token: str = field(repr=False)
    ended: Callable[[], Awaitable[StorageError]] = field(repr=False)
    cluster_name: str = CLUSTER
    org_name: str = ORG
    project_name: str = PROJECT

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection to it, as `AIRFLOW_CONN_…` takes it in JSON."""
        return {
            "conn_type": "neuro_buckets",
            "host": self.api_url,
            "password": self.token,
            "extra": {
                "cluster_name": self.cluster_name,
                "org_name": self.org_name,
                "project_name": self.project_name,
            },
        }

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, data_dir: Path | None = None, port: int = 0, life_seconds: int = LIFE_SECONDS
    ) -> AsyncIterator[LocalPlatform]:
        """Start a platform; leaving the block stops it and its storage.

        :param data_dir: keeps buckets, blobs and tokens from one start to the next; `None` keeps nothing.
        :param port: of the REST service; 0 takes a free one.
        :param life_seconds: how long temporary credentials are good.
        :raises StorageError: the storage cannot be started, or the folder or the port cannot be used.
        """
        program = find_program()
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(_listener(port))
            runtime = stack.enter_context(_runtime())
            records, data = stack.enter_context(_opened(data_dir or runtime / "data"))
            storage = await stack.enter_async_context(Storage.open(program, data, runtime, records.secrets))
            users = Users(records.secrets)
            routes = Routes(records=records, storage=storage, users=users, life_seconds=life_seconds)
            address = await _serve(stack, _application(routes, users), listener)
            yield cls(
                api_url=address + API,
                buckets_url=address + BUCKETS,
                storage_url=storage.endpoint,
                token=records.secrets["token"],
                readonly_token=records.secrets["readonly_token"],
                ended=storage.ended,
            )


@contextmanager
def _runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="neuro-buckets-") as folder:
        yield Path(folder).resolve()


@contextmanager
def _opened(home: Path) -> Iterator[tuple[Records, Path]]:
    """Hold a data folder for one platform; give its records, and the folder of the storage in it.

    The kernel lets go of the folder whatever ends the process.
    """
    try:
        home = home.resolve()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = home / "storage"
        data.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(home / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StorageError(f"{home} cannot keep the data ({error.strerror}). Choose another --data-dir") from None
    try:
        yield _locked_records(home, lock), data
    finally:
        os.close(lock)


def _locked_records(home: Path, lock: int) -> Records:
    path = home / "platform.json"
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Records.load(path)
    except BlockingIOError:
        raise StorageError(f"Another platform uses {home}. Stop it, or choose another --data-dir") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be used ({error}). Choose another --data-dir") from None


@contextmanager
def _listener(port: int) -> Iterator[socket.socket]:
    """Take the port of the REST service; it listens when there is something to answer with."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as error:
            raise StorageError(f"Port {port} cannot be used ({error.strerror}). Choose another --port") from None
        yield listener


def _application(routes: Routes, users: Users) -> web.Application:
    application = web.Application(middlewares=[_refusals])
    application.add_routes(routes.table(BUCKETS))
    application.add_routes([web.get(f"{API}/config", _config(users)), web.get(f"{API}/ping", _ping)])
    return application


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.answer(request)
    except web.HTTPException:
        raise
    except asyncio.CancelledError:
        raise
    except Exception as error:  # the platform, too, turns whatever it did not expect into a 500
        log.exception("Unexpected exception")
        return unexpected(f"{type(error).__name__}: {error}").answer(request)


async def _ping(_: web.Request) -> web.Response:
    return web.Response(text="Pong")


def _config(users: Users) -> Handler:
    async def config(request: web.Request) -> web.Response:
        if users.find(request) is None:
            return web.json_response({"authorized": False})
        base = f"{request.scheme}://{request.host}"
        return web.json_response(
            {
                "authorized": True,
                "orgs": [{"name": ORG, "role": "owner"}],
                "projects": [{"name": PROJECT, "role": "owner", "cluster_name": CLUSTER, "org_name": ORG}],
                "clusters": [{"name": CLUSTER, "orgs": [ORG], "buckets_url": base + BUCKETS}],
            }
        )

    return config


async def _serve(stack: AsyncExitStack, application: web.Application, listener: socket.socket) -> str:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener).start()
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
