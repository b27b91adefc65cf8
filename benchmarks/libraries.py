"""Peers that are Python libraries, this package among them: one call, timed in a fresh process that has it loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from benchmarks.clients.calls import S3_CONNECTION, SDK_CONFIG
from benchmarks.job import Job, Sample, Verb
from benchmarks.places import Keys
from benchmarks.running import run

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = frozenset(Verb)
S3HOOK_DOES = frozenset({Verb.UPLOAD_FILE, Verb.DOWNLOAD_FILE, Verb.DOWNLOAD_DIR, Verb.LIST, Verb.DELETE})
"""It has no upload of a folder."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """A client in Python.

    :ivar python: the interpreter of the environment where it is installed.
    :ivar module: below ``benchmarks.clients``.
    :ivar secrets: its environment for a bucket; secrets go nowhere else.
    :ivar how: what else the client is told.
    """

    name: str
    python: Path
    module: str
    home: Path
    verbs: frozenset[Verb]
    providers: frozenset[str]
    secrets: Callable[[Keys], Mapping[str, str]]
    how: str = "blocking"

    def can(self, verb: Verb, provider: str) -> bool:
        """Whether it has such a job."""
        return verb in self.verbs and provider in self.providers

    def do(self, job: Job) -> Sample:
        """Do a job."""
        keys = job.place.keys()
        told = {
            "verb": str(job.verb),
            "how": self.how,
            "local": str(job.local),
            "uri": _uri(job),
            "storage_bucket": keys["bucket_name"],
            "prefix": job.prefix,
        }
        command = [str(self.python), "-m", f"benchmarks.clients.{self.module}", json.dumps(told)]
        printed = run(command, {**environment(self.home), **self.secrets(keys)})
        return Sample(**json.loads(printed.splitlines()[-1]))


def environment(home: Path) -> dict[str, str]:
    """Return what every client needs in its environment: little, and nothing of whoever runs the benchmark."""
    return {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }


def ours(python: Path, home: Path, connection: str, *, name: str = "ours", how: str = "blocking") -> Library:
    """Return this package.

    :param connection: the Airflow connection to the platform, as JSON.
    :param how: as `benchmarks.clients.ours` takes it.
    """
    return Library(
        name=name,
        python=python,
        module="ours",
        home=home,
        verbs=EVERYTHING,
        providers=frozenset({"s3", "azure"}),
        secrets=lambda _: {"AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": connection},
        how=how,
    )


def official(python: Path, home: Path, config: Path) -> Library:
    """Return the official SDK.

    :param config: the folder of its configuration; it is logged in.
    """
    return Library(
        name="official SDK",
        python=python,
        module="official",
        home=home,
        verbs=EVERYTHING,
        providers=frozenset({"s3", "azure"}),
        secrets=lambda _: {SDK_CONFIG: str(config)},
    )


def s3hook(python: Path, home: Path) -> Library:
    """Return `S3Hook` of Airflow's Amazon provider."""
    return Library(
        name="S3Hook",
        python=python,
        module="s3hook",
        home=home,
        verbs=S3HOOK_DOES,
        providers=frozenset({"s3"}),
        secrets=_s3_connection,
    )


def _s3_connection(keys: Keys) -> Mapping[str, str]:
    extra = {"endpoint_url": keys["endpoint_url"], "region_name": keys["region_name"]}
    if "session_token" in keys:
        extra["aws_session_token"] = keys["session_token"]
    connection = {
        "conn_type": "aws",
        "login": keys["access_key_id"],
        "password": keys["secret_access_key"],
        "extra": extra,
    }
    return {f"AIRFLOW_CONN_{S3_CONNECTION.upper()}": json.dumps(connection)}


def _uri(job: Job) -> str:
    key = quote(job.prefix)
    if job.verb is Verb.LIST and key:
        key += "/"
    return f"blob:{job.place.bucket}/{key}" if key else f"blob:{job.place.bucket}"
