"""The official SDK: ``official.py JOB``, the job as JSON. Run as its public documentation says; never looked into."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apolo_sdk
from yarl import URL

from benchmarks.clients.calls import SDK_CONFIG, SDK_TOKEN, SDK_URL, call_of
from benchmarks.meter import measured


def main(text: str) -> None:
    """Do one job and print what it took; or log in, once for all jobs."""
    job = json.loads(text)
    config = Path(os.environ[SDK_CONFIG])
    if job["verb"] == "log_in":
        url = URL(os.environ[SDK_URL])
        asyncio.run(apolo_sdk.login_with_token(os.environ[SDK_TOKEN], url=url, path=config))
        return
    print(json.dumps(measured(lambda: asyncio.run(_done(job, config)))))


async def _done(job: Mapping[str, str], config: Path) -> Mapping[str, Any]:
    local = Path(job["local"]).as_uri()
    name, addresses, options = call_of({**job, "local": local})
    async with apolo_sdk.get(path=config) as client:
        result = getattr(client.buckets, name)(*map(URL, addresses), **options)
        if job["verb"] != "list":
            await result
            return {}
        listed = 0
        async with result as entries:
            async for _ in entries:
                listed += 1
        return {"listed": listed}


if __name__ == "__main__":
    main(*sys.argv[1:])
