"""S3 with the exact key semantics of AWS: moto. It enforces no rights; see the rig of SeaweedFS for those."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

from conformance.rigs.base import Rig, describe_bucket, describe_keys, opened
from conformance.rigs.s3 import S3Rig, owner_client


class MotoRig(S3Rig):
    """A bucket of moto."""

    def refuses(self, key: str) -> str | None:
        return "moto finds no route for a newline" if "\n" in key else None


class MotoServer:
    """A running moto."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        real_name = f"bucket-{uuid4().hex}"
        bucket = describe_bucket(id_=f"bucket-{uuid4()}", name="models", provider="aws")
        keys = describe_keys(
            bucket,
            bucket_name=real_name,
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            access_key_id="AKIAIOSFODNN7EXAMPLE",
            secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
        async with owner_client(self.endpoint, "AKIAIOSFODNN7EXAMPLE", "around-the-store") as client:
            await client.create_bucket(Bucket=real_name)
            async with opened(bucket, keys) as store:
                yield MotoRig(bucket=bucket, keys=keys, store=store, client=client)


@contextmanager
def serve() -> Iterator[MotoServer]:
    """Run moto in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("serve_moto.py"))]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port, "moto does not start"
        yield MotoServer(f"http://127.0.0.1:{port}")
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()
        process.stdout.close()
