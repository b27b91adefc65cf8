"""Starting programs so that none outlives the benchmark, and reading what they say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_neuro_buckets.local.process import dies_with_parent
from benchmarks.job import JobFailed

READY = re.compile(r"^(http://\S+)$")
LONGEST_SECONDS = 3600.0
TOLD = 2000
"""Characters of a failed program's last words that are told."""


def run(command: Sequence[str], environment: Mapping[str, str], *, seconds: float = LONGEST_SECONDS) -> str:
    """Run a program to its end and return what it printed.

    :param environment: all of its environment.
    :raises JobFailed: it ended with an error, or not in time.
    """
    with tempfile.TemporaryFile("w+") as errors, _started(command, environment, errors.fileno()) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise JobFailed(f"{_name(command)} did not end within {seconds:.0f} s") from None
        if process.returncode != 0:
            errors.seek(0)
            raise JobFailed(f"{_name(command)} ended with status {process.returncode}: {errors.read()[-TOLD:].strip()}")
        return output


@contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str], *, ready: re.Pattern[str] = READY) -> Iterator[str]:
    """Run a server for the time of a block; gives the address that it prints once it is ready.

    :param ready: finds the address, as its first group, in a line of the output.
    :raises JobFailed: it ended before it printed one.
    """
    with _started(command, environment, None) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := ready.search(line):
                yield found[1]
                return
        raise JobFailed(f"{_name(command)} does not start")


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], errors: int | None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own clients, and the peers
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        process_group=0,
        preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - this process has one thread
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # what it has started goes with it
                os.killpg(process.pid, signal.SIGKILL)


def _name(command: Sequence[str]) -> str:
    return " ".join(Path(part).name if part.startswith("/") else part for part in command)
