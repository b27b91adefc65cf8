"""What a peer is asked to do, and what doing it took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from benchmarks.places import Place


class Verb(StrEnum):
    """The jobs."""

    UPLOAD_DIR = "upload_dir"
    DOWNLOAD_DIR = "download_dir"
    UPLOAD_FILE = "upload_file"
    DOWNLOAD_FILE = "download_file"
    UPDATE_DIR = "update_dir"
    """An upload with nothing to do."""
    LIST = "list"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job.

    :ivar prefix: the folder in the bucket, without ``/`` at its end; the key for one file; empty for the whole bucket.
    :ivar local: the local folder or file.
    """

    verb: Verb
    place: Place
    prefix: str
    local: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one job took.

    :ivar peak_bytes: peak memory above that of the idle process.
    :ivar listed: keys that were listed, by a listing.
    :ivar loading_cpu_seconds: CPU seconds of a Python client before the job: the interpreter and all imports.
    :ivar loop_gap_seconds: longest time for which the event loop did nothing else.
    :ivar profile: where the time went, as text.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    listed: int | None = None
    idle_bytes: int = 0
    loading_cpu_seconds: float = 0.0
    loop_gap_seconds: float | None = None
    profile: str = ""


class JobFailed(Exception):
    """The peer ended with an error, or did not do what it was asked."""


class Peer(Protocol):
    """A program that does jobs."""

    @property
    def name(self) -> str:
        """How results call it."""
        ...

    def can(self, verb: Verb, provider: str) -> bool:
        """Whether it has such a job."""
        ...

    def do(self, job: Job) -> Sample:
        """Do a job.

        :raises JobFailed: it ended with an error.
        """
        ...
