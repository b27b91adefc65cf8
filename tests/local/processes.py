"""Platforms as processes: started like a user does, and what is left of them afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "airflow_provider_neuro_buckets.local.cli"]
_PATIENCE_SECONDS = 60.0
_LISTENING = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder for temporary files that all processes of one test inherit, and by which they are known.

    :ivar folder: their TMPDIR.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of this desk inherit."""
        return {**os.environ, "TMPDIR": str(self.folder)}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program that ends by itself."""
        return subprocess.run(
            arguments,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a program; it is killed in the end, if it still runs."""
        with subprocess.Popen(
            arguments,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def alive(self, program: str = "") -> list[int]:
        """Return the processes of this desk, those of one program if it is named."""
        return [pid for pid in _pids() if self._owns(pid) and program in _command(pid)]

    def _owns(self, pid: int) -> bool:
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"TMPDIR={self.folder}".encode() in variables

    def wait_until_nobody_is_left(self) -> None:
        """Wait for the end of every process of this desk."""
        until(lambda: not self.alive())

    def files(self) -> list[str]:
        """Return the names of the temporary files."""
        return sorted(file.name for file in self.folder.iterdir())


def ready(process: subprocess.Popen[str]) -> Any:
    """Wait for the line that a platform prints when it is ready; return what it says."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return json.loads(line)


def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so; fail when it is not after a long time."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sockets_in_tmp(ports: set[int]) -> list[str]:
    """Return the socket files that the storage server made for these ports."""
    return [file.name for file in Path("/tmp").glob("seaweedfs-*.sock") if int(file.stem.rpartition("-")[2]) in ports]


def listening(pids: Sequence[int]) -> set[tuple[str, int]]:
    """Return where processes listen, by address in the kernel's writing and by port."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(str(entry.readlink()))
            except FileNotFoundError:
                continue
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = row.split()
            is_open = fields[3] == _LISTENING if table.startswith("tcp") else True
            if is_open and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].rpartition(":")
                found.add((address, int(port, 16)))
    return found


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents = {child: _parent(child) for child in _pids()}
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
