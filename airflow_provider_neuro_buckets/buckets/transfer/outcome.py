"""What has come of a transfer so far, and when there is no point in going on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    PermissionDenied,
    TransferError,
    TransientError,
)
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.transfer.prospects import Prospects


class Left(Enum):
    """Why a file was left alone."""

    UNCHANGED = "it was up to date"
    KEPT = "an earlier try of the same transfer has moved it"


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that is at its destination.

    :ivar bytes: bytes that had to be moved for it.
    :ivar proof: what shows that it is the same there.
    """

    bytes: int
    proof: Proof


@dataclass(slots=True)
class Outcome:
    """Counts what a transfer did. Lives as long as the transfer."""

    files: int = 0
    bytes: int = 0
    verified: int = 0
    unchanged: int = 0
    kept: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    prospects: Prospects = field(default_factory=Prospects)
    _started: float = field(default_factory=time.monotonic)

    @property
    def hopeless(self) -> Exception | None:
        """The failure after which nothing else can succeed."""
        return self.prospects.hopeless

    def moved(self, one: Moved) -> None:
        """Count a file that is at its destination."""
        self.files += 1
        self.bytes += one.bytes
        self.verified += one.proof is Proof.CHECKSUM
        self.prospects.succeeded()

    def done(self, one: Moved | Left) -> None:
        """Count a file that was moved, or left alone."""
        match one:
            case Moved():
                self.moved(one)
            case Left.UNCHANGED:
                self.unchanged += 1
            case Left.KEPT:
                self.kept += 1

    def spared(self, size: int) -> None:
        """Count off bytes of a file that need not be moved again."""
        self.bytes -= size

    def failed(self, address: str, error: Exception) -> None:
        """Count a file that is not."""
        self.failures[address] = error
        self.prospects.failed(error)

    def report(self) -> TransferReport:
        """Return the report so far."""
        return TransferReport(
            files=self.files,
            bytes=self.bytes,
            verified=self.verified,
            seconds=time.monotonic() - self._started,
            unchanged=self.unchanged,
            kept=self.kept,
            skipped=self.skipped,
            failed={address: str(error) for address, error in self.failures.items()},
        )

    def conclude(self, what: str) -> TransferReport:
        """Return the report if every file succeeded.

        :param what: the transfer, such as ``upload of data/ to blob:bkt/data``.
        :raises TransferError: some failed; it lists them.
        :raises BucketsError: what stopped the whole transfer, if it was the token, the rights or the service.
        """
        stopped = self.hopeless or self._refused()
        if isinstance(stopped, BucketsError):
            raise stopped
        if self.failures:
            tried = len(self.failures) + self.files + self.unchanged + self.kept
            raise TransferError(
                f"{len(self.failures)} of {tried} files failed in the {what}",
                remedy="What was done stays done: run it again with update=True to finish the rest",
                failures=self.failures,
                report=self.report(),
            )
        return self.report()

    def _refused(self) -> Exception | None:
        """Return the first refusal, if whatever was tried was refused: then it is not about single files."""
        refused = [error for error in self.failures.values() if isinstance(error, PermissionDenied)]
        is_all = refused and len(refused) == len(self.failures) and not self.files + self.unchanged + self.kept
        return refused[0] if is_all else None


def may_pass(error: BaseException) -> bool:
    """Whether the next try may go on where this one was cut off: it was killed, or refused for now."""
    is_refusal = isinstance(error, TransientError | AuthenticationError | PermissionDenied)
    return is_refusal or not isinstance(error, Exception)
