"""What one call takes inside a process that has everything loaded. Standard library only: runs in every environment."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def measured(call: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Make a call; return what it returns, and its seconds, CPU seconds of all threads, and peak memory above idle."""
    gc.collect()
    _CLEAR.write_text(_FORGET_PEAK)
    idle = memory("VmRSS")
    loading = cpu_seconds()
    begun = time.perf_counter()
    outcome = call()
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - loading,
        "peak_bytes": max(0, memory("VmHWM") - idle),
        "idle_bytes": idle,
        "loading_cpu_seconds": loading,
        **outcome,
    }


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory(field: str) -> int:
    """Return bytes: ``VmRSS`` is resident memory now, ``VmHWM`` its peak, which is what ``ru_maxrss`` tells, too."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)
