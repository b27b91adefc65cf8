"""What has come of a transfer so far, and when there is no point in going on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    PermissionDenied,
    TransferError,
    TransientError,
)
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.transfer.local import HOPELESS

_DOWN_AFTER = 20
"""So many files in a row that failed after all their retries mean that the service is gone, not the files."""


@dataclass(slots=True)
class Outcome:
    """Counts what a transfer did. Lives as long as the transfer.

    :ivar hopeless: the failure after which nothing else can succeed.
    """

    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    hopeless: Exception | None = None
    _started: float = field(default_factory=time.monotonic)
    _down: int = 0

    def moved(self, size: int) -> None:
        """Count a file that is at its destination."""
        self.files += 1
        self.bytes += size
        self._down = 0

    def failed(self, address: str, error: Exception) -> None:
        """Count a file that is not."""
        self.failures[address] = error
        self._down = self._down + 1 if isinstance(error, TransientError) else 0
        if self.hopeless is None and (_is_hopeless(error) or self._down >= _DOWN_AFTER):
            self.hopeless = error

    def report(self) -> TransferReport:
        """Return the report so far."""
        return TransferReport(
            files=self.files,
            bytes=self.bytes,
            seconds=time.monotonic() - self._started,
            unchanged=self.unchanged,
            skipped=self.skipped,
            failed={address: str(error) for address, error in self.failures.items()},
        )

    def conclude(self, what: str) -> TransferReport:
        """Return the report if every file succeeded.

        :param what: the transfer, such as ``upload of data/ to blob:bkt/data``.
        :raises TransferError: some failed; it lists them.
        :raises BucketsError: what stopped the whole transfer, if it was the token, the rights or the service.
        """
        if isinstance(self.hopeless, BucketsError):
            raise self.hopeless
        if self.failures:
            tried = len(self.failures) + self.files + self.unchanged
            raise TransferError(
                f"{len(self.failures)} of {tried} files failed in the {what}",
                remedy="What was done stays done: run it again with update=True to finish the rest",
                failures=self.failures,
                report=self.report(),
            )
        return self.report()


def _is_hopeless(error: Exception) -> bool:
    if isinstance(error, AuthenticationError | PermissionDenied):
        return True
    return isinstance(error, OSError) and error.errno in HOPELESS
