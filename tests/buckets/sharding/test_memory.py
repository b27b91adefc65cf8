from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MIB = 1024 * 1024
MOST = 64 * MIB
"""What a plan may need above an idle client, whatever the number of keys."""
TESTS = Path(__file__).parents[2]


def planned(count: int, mode: str) -> dict[str, Any]:
    """Plan a job of so many keys in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("vast.py")), str(count), mode]
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.mark.parametrize(("mode", "count"), [("copy", 1_000_000), ("sync", 250_000)])
def test_memory_is_bounded_whatever_the_number_of_keys(mode: str, count: int) -> None:
    found = planned(count, mode)
    assert found["peak_bytes"] < MOST
    assert found["items"] + found["unchanged"] == count
    assert found["extra"] == 0
    sizes = [shard["bytes"] for shard in found["shards"]]
    assert len(sizes) == (16 if mode == "copy" else 0)
    assert max(sizes, default=0) - min(sizes, default=0) <= 4096
