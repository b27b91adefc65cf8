"""How the tests run commands, and what they look at afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

AIRFLOW = Path(sys.executable).parent / "airflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left: its exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What it wrote with ``-o json``."""
        assert self.status == 0, self.err
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


class Cli(Protocol):
    """Runs ``airflow neuro-buckets …``."""

    def __call__(self, *arguments: str) -> Ran: ...


def run_airflow(arguments: Sequence[str], environment: dict[str, str]) -> Ran:
    """Run ``airflow neuro-buckets …`` as a person does, in a process of its own."""
    ended = subprocess.run(
        [AIRFLOW, "neuro-buckets", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(status=ended.returncode, out=ended.stdout, err=ended.stderr)
