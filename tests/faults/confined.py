"""Runs transfers in a process of its own that has a small disk, or may not do everything: JSON in, JSON out.

In: `{"config": {…}, "steps": [["download_dir", "blob:…", "/path"], …]}`. Out: what came of each step.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import AbstractFileProgress, Buckets, BucketsConfig, TransferError
from airflow_provider_neuro_buckets.buckets.progress import (
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
)

HERE = [sys.executable, __file__]
_MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


class FillsTheDisk(AbstractFileProgress):
    """Fills the disk as soon as the first bytes of a file have come."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, data: StorageProgressStart) -> None:
        """Hear that a file begins."""

    def complete(self, data: StorageProgressComplete) -> None:
        """Hear that a file is done."""

    def step(self, data: StorageProgressStep) -> None:
        if data.current and not self._path.exists():
            fill(self._path)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 * 1024)):
                pass
        except OSError:
            return


def tree(path: str) -> dict[str, Any]:
    """Return what is below a folder: the size of each file, and its content where that is short."""
    found: dict[str, Any] = {}
    for file in sorted(Path(path).rglob("*")):
        size = file.stat().st_size
        found[str(file.relative_to(path))] = None if file.is_dir() else file.read_text() if size < 100 else size
    return found


def prepare(verb: str, *arguments: str) -> Any:
    """Do what is no transfer."""
    match verb, arguments:
        case "tree", (path,):
            return tree(path)
        case "plant", (path, content):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return Path(path).write_text(content)
        case "fill", (path,):
            return fill(Path(path))
        case "shell", command:
            return subprocess.run(command, check=True).returncode
        case "largest_file", (size,):
            return resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
    raise ValueError(verb)


async def step(buckets: Buckets, verb: str, *arguments: str) -> Any:
    """Do one thing; return what came of it."""
    if verb == "fill_while_download":
        src, dst, filler = arguments
        return await told(buckets.download_file(src, dst, progress=FillsTheDisk(Path(filler))))
    transfer = getattr(buckets, verb, None)
    return prepare(verb, *arguments) if transfer is None else await told(transfer(*arguments))


async def told(transfer: Any) -> dict[str, Any]:
    """Return the report of a transfer, or its error."""
    try:
        return asdict(await transfer)
    except TransferError as error:
        failures = {name: [type(one).__name__, str(one)] for name, one in error.failures.items()}
        return {"error": "TransferError", "text": str(error), "failures": failures}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
        return {"error": type(error).__name__, "errno": getattr(error, "errno", None), "text": str(error)}


async def main() -> None:
    asked = json.load(sys.stdin)
    async with Buckets.open(BucketsConfig(**asked["config"])) as buckets:
        json.dump([await step(buckets, *one) for one in asked["steps"]], sys.stdout)


async def run(command: Sequence[str], config: BucketsConfig, *steps: Sequence[str]) -> list[Any]:
    """Run steps in a process that a command starts; return what came of each."""
    names = ("buckets_url", "token", "cluster_name", "org_name", "project_name")
    asked = {"config": {name: getattr(config, name) for name in names}, "steps": steps}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, wrong = await process.communicate(json.dumps(asked).encode())
    assert process.returncode == 0, wrong.decode()
    answers: list[Any] = json.loads(said)
    return answers


@cache
def _works(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, check=False).returncode == 0


def on_a_small_disk(folder: Path, options: str) -> list[str]:
    """Return the command whose process finds an empty disk at a folder, with options such as ``size=4m``."""
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if not _works(*alone, "true"):
        pytest.skip("nobody here may mount a disk of his own")
    return [*alone, "sh", "-c", _MOUNT, "sh", options, str(folder), *HERE]


def bound_by_permissions() -> list[str]:
    """Return the command whose process may do to files what their permissions say, root or not."""
    if os.geteuid():
        return HERE
    less = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if not _works(*less, "true"):
        pytest.skip("root cannot give up its rights here")
    return [*less, *HERE]


if __name__ == "__main__":
    asyncio.run(main())
