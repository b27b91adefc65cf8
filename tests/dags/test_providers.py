"""The main job, unchanged, on buckets of different providers, each imported into the platform as people do."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_here import run_here
from airflow_provider_neuro_buckets.buckets import Buckets
from conformance.rigs.azure import AzureServer
from conformance.rigs.registry import Servers
from platform_rig import Platform

MAIN_JOB = Path(__file__).parents[2] / "example_dags" / "neuro_buckets_main_job.py"
FILES = {
    "one.csv": b"a,b\n",
    "folder/two words+%.csv": b"1,2\n" * 1000,
    "folder/deeper/é#?&[1].bin": b"\0" * 9_000_000,
    "empty": b"",
}
Keys = Mapping[str, str]

# A whole Airflow runs here, whose own code and libraries warn of much; ours still must not.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings(r"error:::airflow_provider_neuro_buckets\..*"),
]


@asynccontextmanager
async def aws(servers: Servers, _: Platform) -> AsyncIterator[Keys]:
    async with servers.running("aws").rig() as rig:
        yield rig.keys.credentials


@asynccontextmanager
async def minio(_: Servers, platform: Platform) -> AsyncIterator[Keys]:
    """Give lasting keys of a bucket on the platform's own storage, which speaks S3 as MinIO does."""
    async with Buckets.open(platform.running.config) as buckets:
        bucket = await buckets.create()
        credentials = await buckets.persistent_credentials_create([bucket.id])
        yield credentials.credentials[0].credentials
        await buckets.rm(bucket.id)


@asynccontextmanager
async def azure(servers: Servers, _: Platform) -> AsyncIterator[Keys]:
    server = cast("AzureServer", servers.running("azure"))
    async with server.container() as container:
        yield {
            "bucket_name": container.container_name,
            "storage_endpoint": server.azurite.endpoint,
            "credential": server.azurite.account_key,
        }


PROVIDERS: dict[str, Callable[[Servers, Platform], AbstractAsyncContextManager[Keys]]] = {
    "aws": aws,
    "azure": azure,
    "minio": minio,
}


@pytest.fixture(params=sorted(PROVIDERS))
def imported(request: pytest.FixtureRequest, servers: Servers, platform: Platform) -> Iterator[str]:
    """The name of a bucket of each provider in turn, imported into the platform."""
    name = f"{request.param}-{uuid.uuid4().hex[:8]}"
    opening = PROVIDERS[request.param](servers, platform)
    with asyncio.Runner() as runner:
        keys = dict(runner.run(opening.__aenter__()))
        real_name = keys.pop("bucket_name")
        bucket = platform.ask(
            lambda buckets: buckets.import_external(request.param, real_name, keys, name=name),
        )
        assert bucket.provider == request.param
        yield name
        runner.run(opening.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def main_job() -> Any:
    from airflow.utils import db  # noqa: PLC0415 - Airflow's environment is ready only now

    db.initdb()
    spec = importlib.util.spec_from_file_location("main_job", MAIN_JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def test_the_same_dag_runs_on_a_bucket_of_every_provider(
    imported: str, platform: Platform, main_job: Any, tmp_path: Path
) -> None:
    for name, content in FILES.items():
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    run = run_here(main_job, data=str(tmp_path / "data"), bucket=imported)
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    compared = run.get_task_instance("compare").xcom_pull(task_ids="compare")
    assert compared == {"files": len(FILES), "bytes": sum(map(len, FILES.values()))}
    assert imported not in platform.buckets()
