"""Whether a transfer of which files have failed has any point in going on."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, PermissionDenied, TransientError
from airflow_provider_neuro_buckets.buckets.transfer.local import HOPELESS

DOWN_AFTER = 20
"""So many files in a row that were refused, or failed after all their retries, mean the service, not the files."""


@dataclass(slots=True)
class Prospects:
    """Whether there is any point in going on.

    :ivar hopeless: the failure after which nothing else can succeed.
    """

    hopeless: Exception | None = None
    _in_a_row: int = 0

    def succeeded(self) -> None:
        """Take note of a file that was moved."""
        self._in_a_row = 0

    def failed(self, error: Exception) -> None:
        """Take note of a file that was not."""
        self._in_a_row = self._in_a_row + 1 if isinstance(error, TransientError | PermissionDenied) else 0
        if self.hopeless is None and (_is_hopeless(error) or self._in_a_row >= DOWN_AFTER):
            self.hopeless = error


def _is_hopeless(error: Exception) -> bool:
    if isinstance(error, AuthenticationError):
        return True
    return isinstance(error, OSError) and error.errno in HOPELESS
