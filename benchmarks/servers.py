"""What the peers work against, started for one row and thrown away after it: SeaweedFS, Azurite, a server of keys."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from benchmarks import front
from benchmarks.clients.calls import SDK_CONFIG, SDK_TOKEN, SDK_URL
from benchmarks.control import Control
from benchmarks.job import JobFailed
from benchmarks.libraries import environment
from benchmarks.places import AzurePlace, Place, S3Place
from benchmarks.running import run, serving

ACCOUNT = "benchaccount"
_LISTENS = re.compile(r"successfully listens on (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A running platform with one bucket."""

    place: Place
    platform: RunningPlatform


@contextmanager
def seaweedfs() -> Iterator[Arena]:
    """Run a local platform and make a bucket on its own storage, which is ready for the first write."""
    with local_platform() as platform:
        control = Control(platform)
        control.create("bench")
        yield Arena(place=S3Place("bench", lambda: control.keys("bench")), platform=platform)


@contextmanager
def many_keys(count: int) -> Iterator[Arena]:
    """Run a local platform that has imported a bucket of `count` keys."""
    command = [sys.executable, "-m", "benchmarks.listing_server", str(count)]
    with local_platform() as platform, serving(command, environment(Path(os.devnull))) as endpoint:
        control = Control(platform)
        credentials = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "access_key_id": "anybody",
            "secret_access_key": uuid.uuid4().hex,
        }
        control.import_bucket("bench", provider="minio", real_name="keys", credentials=credentials)
        yield Arena(place=S3Place("bench", lambda: control.keys("bench")), platform=platform)


@contextmanager
def azurite(program: Path) -> Iterator[Arena]:
    """Run Azurite, and a local platform that has imported a container of it with a shared access signature."""
    from azure.storage.blob import ContainerClient, generate_container_sas  # noqa: PLC0415 - loaded for this row only

    key = b64encode(os.urandom(64)).decode()
    with local_platform() as platform, _azurite(program, key) as endpoint:
        with ContainerClient(endpoint, "bench", credential=key) as container:
            container.create_container()
        signature = generate_container_sas(
            ACCOUNT, "bench", account_key=key, permission="rwdxtl", expiry=datetime.now(UTC) + timedelta(days=1)
        )
        control = Control(platform)
        credentials = {"storage_endpoint": endpoint, "sas_token": signature}
        control.import_bucket("bench", provider="azure", real_name="bench", credentials=credentials)
        yield Arena(place=AzurePlace("bench", lambda: control.keys("bench")), platform=platform)


@contextmanager
def _azurite(program: Path, key: str) -> Iterator[str]:
    """Run Azurite; gives the address of its only account.

    It keeps its blobs in files. In memory each is a piece of its own for the clearing up that comes every ten minutes,
    and that of 30,000 has stopped Azurite for half an hour.
    """
    if not program.exists():
        raise JobFailed("Azurite is not installed: node and npm are needed, then `make bench` installs it")
    node = shutil.which("node")
    assert node is not None
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        command = [
            *(node, str(program)),
            *("--blobHost", "127.0.0.1", "--blobPort", "0"),
            *("--location", folder),
            *("--disableTelemetry", "--skipApiVersionCheck", "--silent"),
        ]
        settings = {**environment(Path(folder)), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
        with serving(command, settings, ready=_LISTENS) as address:
            yield f"{address}/{ACCOUNT}"


@contextmanager
def sdk_config(python: Path, platform: RunningPlatform) -> Iterator[Path]:
    """Put a front before the platform and log the official SDK in; gives the folder of its configuration."""
    token = front.token_of("user")
    with tempfile.TemporaryDirectory(prefix="bench-sdk-") as folder:
        home = Path(folder)
        settings = {
            front.PLATFORM: platform.api_url.removesuffix(front.API),
            front.TOKEN: platform.token,
            front.SDK_TOKEN: token,
        }
        with serving([sys.executable, "-m", "benchmarks.front"], {**environment(home), **settings}) as url:
            config = home / "config"
            who = {SDK_CONFIG: str(config), SDK_URL: url, SDK_TOKEN: token}
            command = [str(python), "-m", "benchmarks.clients.official", json.dumps({"verb": "log_in"})]
            run(command, {**environment(home), **who})
            yield config
