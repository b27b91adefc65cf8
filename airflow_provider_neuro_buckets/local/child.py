"""A local platform in a process of its own, for whoever needs one for a while: tests and the demo."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import BucketsConfig

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPlatform:
    """A platform that runs.

    :ivar connection: the Airflow connection to it, as JSON.
    """

    connection: str = field(repr=False)
    buckets_url: str
    cluster_name: str
    org_name: str
    project_name: str
    pid: int
    token: str = field(repr=False)
    readonly_token: str = field(repr=False)

    @property
    def api_url(self) -> str:
        """Address of the platform."""
        return str(json.loads(self.connection)["host"])

    @property
    def config(self) -> BucketsConfig:
        """The configuration of a client to it."""
        from airflow_provider_neuro_buckets.buckets import BucketsConfig  # noqa: PLC0415 - loads the client only if asked

        return BucketsConfig(
            buckets_url=self.buckets_url,
            token=self.token,
            cluster_name=self.cluster_name,
            org_name=self.org_name,
            project_name=self.project_name,
        )


@contextmanager
def local_platform(arguments: Sequence[str] = ()) -> Iterator[RunningPlatform]:
    """Start ``neuro-buckets-local`` with `arguments`; stop it on exit, and however this process ends.

    :raises RuntimeError: it did not start; says why.
    """
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", __name__, *arguments],
        # Nobody writes to it: its end tells the platform that this process is no more.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for this process, which then stops the platform in order.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the local platform did not start (exit status {process.wait()}); see above")
        ready: dict[str, Any] = json.loads(line)
        yield RunningPlatform(**{**ready, "connection": json.dumps(ready["connection"])})
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()


def main() -> int:
    """Serve until the process that holds the other end of standard input ends, however it does."""
    from airflow_provider_neuro_buckets.local import cli  # noqa: PLC0415 - whoever starts a platform needs no server

    return cli.main(["--json", *sys.argv[1:]], owner=sys.stdin.fileno())


if __name__ == "__main__":
    sys.exit(main())
