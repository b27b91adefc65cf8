"""This package, through its hook: ``ours.py JOB``, the job as JSON; the Airflow connection is in the environment."""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from airflow.sdk.listener import get_listener_manager

from airflow_provider_neuro_buckets import buckets
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from benchmarks.clients.calls import call_of
from benchmarks.meter import cpu_seconds, measured
from benchmarks.sampler import sampling

TICK_SECONDS = 0.002


def main(text: str) -> None:
    """Do one job and print what it took.

    The job says `how`: ``blocking`` calls the hook, ``coroutine`` awaits its client and watches the event loop,
    ``profile`` awaits it under a sampler.
    """
    job = json.loads(text)
    hook = NeuroBucketsHook()
    _load(hook)
    ways = {"blocking": _blocking, "coroutine": _coroutine, "profile": _profiled}
    print(json.dumps(measured(lambda: ways[job["how"]](hook, job))))


def _load(hook: NeuroBucketsHook) -> None:
    """Load what a task that has begun has loaded, and the package; nothing is opened or asked."""
    get_listener_manager()  # before a task begins, its process has loaded Airflow's plugins with it
    for module in pkgutil.walk_packages(buckets.__path__, f"{buckets.__name__}."):
        importlib.import_module(module.name)
    hook.get_config()


def _blocking(hook: NeuroBucketsHook, job: Mapping[str, str]) -> Mapping[str, Any]:
    name, addresses, options = call_of(job)
    result = getattr(hook, name)(*addresses, **options)
    return {"listed": sum(1 for _ in result)} if job["verb"] == "list" else {}


def _coroutine(hook: NeuroBucketsHook, job: Mapping[str, str]) -> Mapping[str, Any]:
    async def watched() -> Mapping[str, Any]:
        gaps = asyncio.create_task(_longest_gap())
        await asyncio.sleep(0)
        try:
            return {**await _awaited(hook, job), "loop_gap_seconds": None}
        finally:
            gaps.cancel()
            longest.append(await gaps)

    longest: list[float] = []
    outcome = asyncio.run(watched())
    return {**outcome, "loop_gap_seconds": longest[0]}


async def _longest_gap() -> float:
    """Return, when cancelled, the longest time for which the event loop did not come back here."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            longest, last = max(longest, now - last - TICK_SECONDS), now
    except asyncio.CancelledError:
        return max(longest, time.perf_counter() - last - TICK_SECONDS)


async def _awaited(hook: NeuroBucketsHook, job: Mapping[str, str]) -> Mapping[str, Any]:
    name, addresses, options = call_of(job)
    async with hook.connect() as client:
        result = getattr(client, name)(*addresses, **options)
        if job["verb"] != "list":
            await result
            return {}
        listed = 0
        async for _ in result:
            listed += 1
        return {"listed": listed}


def _profiled(hook: NeuroBucketsHook, job: Mapping[str, str]) -> Mapping[str, Any]:
    begun, everywhere, own = time.perf_counter(), cpu_seconds(), time.thread_time()
    with sampling() as samples:
        outcome = asyncio.run(_awaited(hook, job))
    own, everywhere = time.thread_time() - own, cpu_seconds() - everywhere
    head = (
        f"{time.perf_counter() - begun:.2f} s of wall time; CPU: {own:.2f} s in the event loop's thread, "
        f"{everywhere - own:.2f} s in others"
    )
    return {**outcome, "profile": f"{head}\n\n{samples.table()}"}


if __name__ == "__main__":
    main(*sys.argv[1:])
