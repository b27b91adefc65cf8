"""`neuro-buckets-local`: serves a local platform until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_neuro_buckets.local.server import LIFE_SECONDS, LocalPlatform
from airflow_provider_neuro_buckets.local.storage import LIFE_SECONDS as POSSIBLE_SECONDS
from airflow_provider_neuro_buckets.local.weed import StorageError


def main(arguments: Sequence[str] | None = None, *, owner: int | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status.

    :param owner: a file descriptor; its end, too, stops the platform.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        asyncio.run(_serve(options, owner))
    except StorageError as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neuro-buckets-local",
        description="A Neuro buckets platform on this machine, for demos, for tests, for writing DAGs.",
    )
    parser.add_argument("--data-dir", type=Path, help="keep buckets, blobs and tokens here (default: keep nothing)")
    parser.add_argument(
        "--port", type=_within(range(65_536)), default=0, help="port of the REST service (default: a free one)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready, and nothing else")
    parser.add_argument(
        "--credentials-seconds",
        type=_within(POSSIBLE_SECONDS),
        default=LIFE_SECONDS,
        help="how long temporary credentials are good (default: %(default)s)",
    )
    return parser


def _within(allowed: range) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) not in allowed:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {allowed[0]} to {allowed[-1]}")
        return int(text)

    return number


async def _serve(options: argparse.Namespace, owner: int | None) -> None:
    """Serve; the first signal, or the end of `owner`, stops in order, also while starting."""
    this = asyncio.current_task()
    assert this is not None
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if owner is not None:
            loop.remove_reader(owner)
        if not stopping.is_set():
            stopping.set()
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if owner is not None:
        loop.add_reader(owner, stop)
    try:
        async with LocalPlatform.open(
            data_dir=options.data_dir, port=options.port, life_seconds=options.credentials_seconds
        ) as platform:
            _announce(platform, as_json=options.json)
            raise await platform.ended()
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise


def _announce(platform: LocalPlatform, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_description(platform)), flush=True)
        return
    connection = json.dumps(platform.connection)
    print(
        f"The local platform is ready at {platform.api_url} (cluster {platform.cluster_name}, "
        f"org {platform.org_name}, project {platform.project_name}).\n"
        f"For Airflow, in another terminal:\n\n"
        f"  export AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT='{connection}'\n\n"
        f"Stop it with Ctrl-C.",
        flush=True,
    )


def _description(platform: LocalPlatform) -> dict[str, Any]:
    fields = ("buckets_url", "token", "readonly_token", "cluster_name", "org_name", "project_name")
    return {
        "connection": platform.connection,
        **{field: getattr(platform, field) for field in fields},
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    sys.exit(main())
