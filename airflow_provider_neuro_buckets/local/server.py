"""`LocalPlatform`: the REST service and its storage as one thing that starts and stops."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from airflow_provider_neuro_buckets.local.answers import Refusal, unexpected
from airflow_provider_neuro_buckets.local.records import Records
from airflow_provider_neuro_buckets.local.rights import CLUSTER, ORG, PROJECT, Users
from airflow_provider_neuro_buckets.local.routes import Routes
from airflow_provider_neuro_buckets.local.storage import Storage, StorageError

log = logging.getLogger(__name__)

API = "/api/v1"
BUCKETS = f"{API}/buckets"
LIFE_SECONDS = 3600
_HOST = "127.0.0.1"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlatform:
    """A platform that runs on this machine, on loopback only.

    :ivar api_url: address of the platform, the host of an Airflow connection.
    :ivar buckets_url: address of its buckets service.
    :ivar storage_url: address of the S3 server behind it.
    """

    api_url: str
    buckets_url: str
    storage_url: str
    token: str = field(repr=False)
    readonly_token: str = field(repr=False)
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
        :raises StorageError: the storage cannot be started, or the folder or the port is in use.
        """
        async with AsyncExitStack() as stack:
            runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neuro-buckets-")))
            home = _private(data_dir or runtime / "data")
            stack.enter_context(_locked(home))
            records = Records.load(home / "platform.json")
            storage = await stack.enter_async_context(
                Storage.open(_private(home / "storage"), runtime, records.secrets)
            )
            users = Users(records.secrets)
            routes = Routes(records=records, storage=storage, users=users, life_seconds=life_seconds)
            address = await _serve(stack, _application(routes, users), port)
            yield cls(
                api_url=address + API,
                buckets_url=address + BUCKETS,
                storage_url=storage.endpoint,
                token=records.secrets["token"],
                readonly_token=records.secrets["readonly_token"],
            )


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder.resolve()


class _locked:  # noqa: N801 - a context manager that reads as a word
    """Holds a folder for one platform; the kernel lets go of it whatever ends the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        import fcntl  # noqa: PLC0415 - POSIX only, like the storage server

        self._file = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise StorageError(f"Another platform uses {self._folder}. Stop it, or choose another --data-dir") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


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


async def _serve(stack: AsyncExitStack, application: web.Application, port: int) -> str:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, _HOST, port)
    try:
        await site.start()
    except OSError as error:
        raise StorageError(f"Port {port} cannot be used ({error.strerror}). Choose another --port") from None
    host, chosen = runner.addresses[0][:2]
    return f"http://{host}:{chosen}"
