"""A Redis of the tests' own: on a free port of loopback, with a password, in memory alone."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.local.process import dies_with_parent
from platform_rig import free_port

START_SECONDS = 60.0
GLANCE_SECONDS = 0.05


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis; give its URL, password included and without a database.

    :param folder: what it says goes into a file here, and its password, which so is in no list of processes.
    """
    port, password = free_port(), secrets.token_urlsafe(24)
    settings = folder / "redis.conf"
    settings.write_text(
        f'port {port}\nbind 127.0.0.1\nrequirepass {password}\nsave ""\nappendonly no\ndir {folder}\ndaemonize no\n'
    )
    settings.chmod(0o600)
    with (folder / "redis.out").open("wb") as out:
        process = subprocess.Popen(
            [program(), str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it takes no lock
        )
    try:
        _wait(process, port, password, folder / "redis.out")
        yield f"redis://:{password}@127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def program() -> str:
    """Return the path of the server; `make test-distributed` puts one beside Python if the machine has none."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which("redis-server", path=places)
    if found is None:
        pytest.fail("There is no redis-server: install Debian's package redis-server, or run `make test-distributed`")
    return found


def _wait(process: subprocess.Popen[bytes], port: int, password: str, said: Path) -> None:
    """Wait until it answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (piece := connection.recv(1024)):
                    answer += piece
        except OSError:
            answer = b""
        if answer == b"+OK\r\n+PONG\r\n":
            return
        time.sleep(GLANCE_SECONDS)
    raise AssertionError(f"Redis does not answer\n{said.read_text(errors='replace')}")
