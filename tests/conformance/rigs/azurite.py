"""Azurite, Microsoft's emulator of the Blob service: installed once beside the virtual environment, run in memory."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.local.process import dies_with_parent

ROOT = Path(__file__).resolve().parents[3]
WANTED = ROOT / "tests" / "azurite"
HOME = ROOT / ".venv" / "azurite"
ACCOUNT = "testaccount"
_LISTENS = re.compile(r"successfully listens on (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """A running Azurite, and the key of its only account."""

    endpoint: str
    account_key: str = field(repr=False)


@contextmanager
def running_azurite() -> Iterator[Azurite]:
    """Run Azurite for the time of a block; it ends with this process, however that ends."""
    program = _installed()
    account_key = b64encode(os.urandom(64)).decode()
    command = [
        str(program),
        *("--blobHost", "127.0.0.1", "--blobPort", "0"),
        *("--inMemoryPersistence", "--extentMemoryLimit", "512"),
        *("--disableTelemetry", "--skipApiVersionCheck", "--silent"),
    ]
    with (
        tempfile.TemporaryDirectory(prefix="azurite-") as folder,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{account_key}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - nothing else of this process is running yet
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if found := _LISTENS.search(line):
                    yield Azurite(endpoint=f"{found[1]}/{ACCOUNT}", account_key=account_key)
                    return
            pytest.fail(f"Azurite does not start: {''.join(said)}")
        finally:
            process.terminate()


def _installed() -> Path:
    """Return the program; without it, tests are skipped on a desk and fail where tests must be complete."""
    found = _install()
    if isinstance(found, Path):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(found)
    pytest.skip(found)


@functools.cache
def _install() -> Path | str:
    """Install what the lock file names, unless it is there; return the program, or why there is none."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "Azurite needs node and npm, which are not on this machine"
    lock = (WANTED / "package-lock.json").read_bytes()
    program, stamp = HOME / "node_modules" / ".bin" / "azurite-blob", HOME / "installed-package-lock.json"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME.parent / "azurite.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(WANTED / name, HOME / name)
            command = [npm, "ci", "--prefix", str(HOME), "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                return f"npm cannot install Azurite: {done.stderr[-500:]}"
            stamp.write_bytes(lock)
    return program
