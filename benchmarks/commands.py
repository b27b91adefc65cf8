"""Peers that are command lines: s5cmd and rclone. Each is timed as its whole process."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Job, JobFailed, Sample, Verb
from benchmarks.places import Keys
from benchmarks.running import TOLD, run

LAUNCHER = Path(__file__).with_name("launch.py")
RCLONE_AT_ONCE = 32
"""rclone moves 4 files at a time unless told otherwise, which would make it look slow."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line that can do jobs.

    :ivar idle: arguments with which it does nothing, to see what memory it takes for that.
    :ivar arguments: what to call it with; `None` where it has no such job.
    :ivar secrets: its environment for a bucket; secrets go nowhere else.
    """

    name: str
    program: Path
    idle: Sequence[str]
    providers: frozenset[str]
    arguments: Callable[[Job, str], Sequence[str]]
    secrets: Callable[[str, Keys], Mapping[str, str]]

    def can(self, verb: Verb, provider: str) -> bool:
        """Whether it has such a job: all, where it knows the provider."""
        return bool(verb) and provider in self.providers

    def do(self, job: Job) -> Sample:
        """Do a job."""
        keys = job.place.keys()
        arguments = self.arguments(job, keys["bucket_name"])
        taken, lines = _launch([str(self.program), *arguments], self.secrets(job.place.provider, keys))
        return Sample(
            seconds=taken["seconds"],
            cpu_seconds=taken["cpu_seconds"],
            peak_bytes=max(0, int(taken["peak_bytes"]) - self._idle_bytes),
            idle_bytes=self._idle_bytes,
            listed=lines if job.verb is Verb.LIST else None,
        )

    @functools.cached_property
    def _idle_bytes(self) -> int:
        return int(_launch([str(self.program), *self.idle], {})[0]["peak_bytes"])


def _launch(command: Sequence[str], secrets: Mapping[str, str]) -> tuple[dict[str, float], int]:
    """Run a command through the launcher; return what it took, and how many lines it printed.

    :raises JobFailed: it ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        output, errors = Path(home, "stdout"), Path(home, "stderr")
        environment = {"HOME": home, "PATH": "/usr/bin:/bin", **secrets}
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(output), str(errors)]
        taken = json.loads(run([*launcher, *command], environment))
        if taken["status"] != 0:
            said = errors.read_text(errors="replace")[-TOLD:].strip()
            raise JobFailed(f"{Path(command[0]).name} ended with status {taken['status']}: {said}")
        with output.open("rb") as lines:
            return taken, sum(1 for _ in lines)


def s5cmd(program: Path) -> Command:
    """Return s5cmd: 256 workers, parts of 50 MiB, 5 at a time, as it comes."""
    return Command(
        name="s5cmd",
        program=program,
        idle=("version",),
        providers=frozenset({"s3"}),
        arguments=_s5cmd_arguments,
        secrets=_s5cmd_secrets,
    )


def _s5cmd_arguments(job: Job, bucket: str) -> Sequence[str]:
    there = f"s3://{bucket}/{job.prefix}"
    inside = f"{there}/*" if job.prefix else f"{there}*"
    arguments = {
        Verb.UPLOAD_DIR: ("cp", f"{job.local}/", f"{there}/"),
        Verb.DOWNLOAD_DIR: ("cp", inside, f"{job.local}/"),
        Verb.UPLOAD_FILE: ("cp", str(job.local), there),
        Verb.DOWNLOAD_FILE: ("cp", there, str(job.local)),
        Verb.UPDATE_DIR: ("sync", f"{job.local}/", f"{there}/"),
        Verb.LIST: ("ls", inside),
        Verb.DELETE: ("rm", inside),
    }
    quiet = () if job.verb is Verb.LIST else ("--log", "error")
    return (*quiet, *arguments[job.verb])


def _s5cmd_secrets(_: str, keys: Keys) -> Mapping[str, str]:
    return {
        "S3_ENDPOINT_URL": keys["endpoint_url"],
        "AWS_REGION": keys["region_name"],
        "AWS_ACCESS_KEY_ID": keys["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
        **({"AWS_SESSION_TOKEN": keys["session_token"]} if "session_token" in keys else {}),
    }


def rclone(program: Path) -> Command:
    """Return rclone: 32 files at a time instead of 4, and times of the server instead of a HEAD for each file."""
    return Command(
        name="rclone",
        program=program,
        idle=("version",),
        providers=frozenset({"s3", "azure"}),
        arguments=_rclone_arguments,
        secrets=_rclone_secrets,
    )


def _rclone_arguments(job: Job, bucket: str) -> Sequence[str]:
    there = f"bench:{bucket}/{job.prefix}".rstrip("/")
    arguments = {
        Verb.UPLOAD_DIR: ("copy", str(job.local), there),
        Verb.DOWNLOAD_DIR: ("copy", there, str(job.local)),
        Verb.UPLOAD_FILE: ("copyto", str(job.local), there),
        Verb.DOWNLOAD_FILE: ("copyto", there, str(job.local)),
        Verb.UPDATE_DIR: ("copy", "--update", "--use-server-modtime", str(job.local), there),
        Verb.LIST: ("lsf", "--recursive", "--files-only", there),
        Verb.DELETE: ("delete", there),
    }
    at_once = str(RCLONE_AT_ONCE)
    return (*arguments[job.verb], "--fast-list", "--transfers", at_once, "--checkers", at_once)


def _rclone_secrets(provider: str, keys: Keys) -> Mapping[str, str]:
    if provider == "azure":
        url = f"{keys['storage_endpoint']}/{keys['bucket_name']}?{keys['sas_token']}"
        remote = {"TYPE": "azureblob", "SAS_URL": url}
    else:
        remote = {
            "TYPE": "s3",
            "PROVIDER": "SeaweedFS",
            "ENDPOINT": keys["endpoint_url"],
            "REGION": keys["region_name"],
            "ACCESS_KEY_ID": keys["access_key_id"],
            "SECRET_ACCESS_KEY": keys["secret_access_key"],
            "NO_CHECK_BUCKET": "true",
            "LIST_VERSION": "2",
            **({"SESSION_TOKEN": keys["session_token"]} if "session_token" in keys else {}),
        }
    return {
        "RCLONE_CONFIG": "/notfound",
        **{f"RCLONE_CONFIG_BENCH_{name}": value for name, value in remote.items()},
    }
