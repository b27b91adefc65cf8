"""On what, and with which versions, something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from airflow_provider_neuro_buckets.local.weed import find_program
from benchmarks.bench import Tools

_ASK = "import sys; from importlib.metadata import version as v; print(*[f'{n}={v(n)}' for n in sys.argv[1:]])"
_OURS = (
    *("aiobotocore", "aiohttp", "airflow-provider-neuro-buckets", "apache-airflow", "azure-storage-blob"),
    "httptools",
    "isal",
)
_PEERS = ("apache-airflow-providers-amazon", "apolo-sdk", "boto3")


def describe(tools: Tools) -> dict[str, str]:
    """Return machine and versions, by name."""
    asked = _said([str(tools.peers), "-c", _ASK, *_PEERS])
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory_gib():.0f} GiB, Linux {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in _OURS},
        **dict(pair.split("=", 1) for pair in asked.split()),
        "s5cmd": _said([str(tools.s5cmd), "version"]),
        "rclone": _said([str(tools.rclone), "version"]).removeprefix("rclone "),
        "seaweedfs": _said([find_program(), "version"]).removeprefix("version "),
    }


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the peers
    return done.stdout.splitlines()[0].strip()


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
