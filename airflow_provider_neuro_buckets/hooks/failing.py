"""Errors that no retry can mend, as Airflow knows such: they fail a task at once, whatever its `retries`.

Each is the error of the client that has its name, and an `AirflowFailException` besides: whoever catches the one or the
other, or the builtin, catches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets import errors

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "InvalidAddress",
    "PermissionDenied",
    "UnsupportedProvider",
    "failing_at_once",
]


class AuthenticationError(errors.AuthenticationError, AirflowFailException):
    """The token or the storage credentials are not accepted."""


class ConfigurationError(errors.ConfigurationError, AirflowFailException):
    """A connection, a configuration or a parameter cannot be used as it is."""


class InvalidAddress(errors.InvalidAddress, AirflowFailException):
    """A URI, a key, a name or a pattern that cannot mean a bucket or a blob."""


class PermissionDenied(errors.PermissionDenied, AirflowFailException):
    """The caller is known, but may not do this."""


class UnsupportedProvider(errors.UnsupportedProvider, AirflowFailException):
    """The bucket lists and shows, but no store here can read its blobs."""


_TWINS: dict[type[errors.BucketsError], type[errors.BucketsError]] = {
    errors.AuthenticationError: AuthenticationError,
    errors.ConfigurationError: ConfigurationError,
    errors.InvalidAddress: InvalidAddress,
    errors.PermissionDenied: PermissionDenied,
    errors.UnsupportedProvider: UnsupportedProvider,
}


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Turn what no retry can mend into its twin here; let everything else pass."""
    try:
        yield
    except errors.BucketsError as error:
        twin = _TWINS.get(type(error))
        if twin is None:
            raise
        again = twin(error.problem, remedy=error.remedy)
        raise again.with_traceback(error.__traceback__) from error.__cause__
