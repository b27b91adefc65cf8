"""The peers: s5cmd, rclone and boto3, each a process of its own, and told not to wait for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Tools
from benchmarks.faults.bucket import BUCKET, KEY
from benchmarks.faults.cell import Direction

LIMIT_SECONDS = 60.0
SILENCE_SECONDS = 3
ATTEMPTS = 4
_CLIENT = Path(__file__).parent.parent / "clients" / "boto3_file.py"
_TOLD = 300
_KEYS = {
    "AWS_ACCESS_KEY_ID": "matrix",
    "AWS_SECRET_ACCESS_KEY": "matrix-secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A program.

    :ivar settings: what it is told beside its defaults, for readers.
    """

    name: str
    settings: str
    command: Callable[[Direction, Path], Sequence[str]]
    environment: Callable[[str], Mapping[str, str]]

    async def move(self, direction: Direction, url: str, local: Path) -> str | None:
        """Upload or download the blob; a process that hangs is ended, which counts as an error."""
        with tempfile.TemporaryDirectory(prefix="faults-") as home:
            process = await asyncio.create_subprocess_exec(
                *self.command(direction, local),
                env={"HOME": home, "PATH": "/usr/bin:/bin", **self.environment(url)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                output, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
            except TimeoutError:
                return f"hangs: ended after {LIMIT_SECONDS:.0f} s"
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        said = output.decode(errors="replace").strip()[-_TOLD:]
        return None if process.returncode == 0 else f"status {process.returncode}: {said}"


def peers(tools: Tools) -> list[Peer]:
    """Return all peers."""
    return [
        Peer(
            name="rclone",
            settings=f"`--timeout {SILENCE_SECONDS}s --contimeout {SILENCE_SECONDS}s --retries 2 "
            f"--low-level-retries {ATTEMPTS}`, parts of 8 MiB in both directions",
            command=lambda direction, local: [str(tools.rclone), *_rclone(direction, local)],
            environment=_rclone_environment,
        ),
        Peer(
            name="s5cmd",
            settings=f"`--retry-count {ATTEMPTS - 1}`, parts of 8 MiB; it has no time-out to set",
            command=lambda direction, local: [str(tools.s5cmd), *_s5cmd(direction, local)],
            environment=lambda url: {**_KEYS, "S3_ENDPOINT_URL": url},
        ),
        Peer(
            name="boto3",
            settings=f"`read_timeout` and `connect_timeout` {SILENCE_SECONDS} s, standard retries with "
            f"{ATTEMPTS} attempts, parts of 8 MiB",
            command=lambda direction, local: [str(tools.peers), str(_CLIENT), direction, BUCKET, KEY, str(local)],
            environment=lambda url: {
                **_KEYS,
                "AWS_ENDPOINT_URL_S3": url,
                "MATRIX_ATTEMPTS": str(ATTEMPTS),
                "MATRIX_SILENCE": str(SILENCE_SECONDS),
            },
        ),
    ]


def _rclone(direction: Direction, local: Path) -> Sequence[str]:
    there = f"matrix:{BUCKET}/{KEY}"
    ends = (there, str(local)) if direction is Direction.DOWNLOAD else (str(local), there)
    waits = ("--timeout", f"{SILENCE_SECONDS}s", "--contimeout", f"{SILENCE_SECONDS}s")
    tries = ("--retries", "2", "--low-level-retries", str(ATTEMPTS))
    parts = ("--multi-thread-cutoff", "8M", "--multi-thread-chunk-size", "8M")
    return ("copyto", *ends, "--ignore-times", *waits, *tries, *parts)


def _rclone_environment(url: str) -> Mapping[str, str]:
    remote = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENDPOINT": url,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
        "ACCESS_KEY_ID": _KEYS["AWS_ACCESS_KEY_ID"],
        "SECRET_ACCESS_KEY": _KEYS["AWS_SECRET_ACCESS_KEY"],
        "SESSION_TOKEN": _KEYS["AWS_SESSION_TOKEN"],
        "NO_CHECK_BUCKET": "true",
        "USE_MULTIPART_ETAG": "true",
        "UPLOAD_CUTOFF": "8M",
        "CHUNK_SIZE": "8M",
    }
    return {
        "RCLONE_CONFIG": "/notfound",
        **{f"RCLONE_CONFIG_MATRIX_{name}": value for name, value in remote.items()},
    }


def _s5cmd(direction: Direction, local: Path) -> Sequence[str]:
    there = f"s3://{BUCKET}/{KEY}"
    ends = (there, str(local)) if direction is Direction.DOWNLOAD else (str(local), there)
    return ("--retry-count", str(ATTEMPTS - 1), "cp", "--part-size", "8", *ends)
