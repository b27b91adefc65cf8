"""Errors of the Buckets client, and the one table from an answer to an error.

::

    BucketsError
    ├── ConfigurationError        ValueError          the connection or a parameter cannot be used
    │   └── InvalidAddress                            a URI or a key that names nothing here
    ├── AuthenticationError       PermissionError     the token or the credentials are not accepted
    ├── PermissionDenied          PermissionError     accepted, but not allowed to do this
    ├── ResourceNotFound          FileNotFoundError   bucket, blob or credentials do not exist
    ├── AlreadyExists             FileExistsError     the name is taken
    ├── BucketNotEmpty            OSError             a bucket that holds blobs is not deleted
    ├── IsADirectory              IsADirectoryError   a folder where a blob or file was needed
    ├── NotADirectory             NotADirectoryError  a file where a folder was needed
    ├── BadRequest                ValueError          the service refuses what was sent
    ├── Conflict                  RuntimeError        the blob changed while it was read
    ├── IntegrityError            OSError             the bytes are not the bytes that were promised
    ├── InvalidAnswer             RuntimeError        an answer that does not follow the protocol
    ├── UnsupportedProvider       NotImplementedError the bucket's provider has no store here
    ├── SourceChanged             OSError             a local file changed while it was uploaded
    ├── TransferError             OSError             some files of a folder transfer failed
    └── TransientError            ConnectionError     may succeed when tried again
        ├── Unavailable                               no answer, or 5xx
        │   └── NotConnected                          no connection: nothing was sent
        └── Throttled                                 429, SlowDown

Every error is also the builtin that a Python user would catch, and survives pickling.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any


class BucketsError(Exception):
    """Root of every error raised here on purpose: what happened, then what to do about it.

    :param problem: one sentence without its full stop; never holds a secret.
    :param remedy: one sentence that says what to do, without its full stop.
    """

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}." if remedy else problem)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__.copy())

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}." if self.remedy else self.problem


def _rebuild(kind: type[BucketsError], state: dict[str, Any]) -> BucketsError:
    error = kind.__new__(kind)
    BucketsError.__init__(error, state["problem"], remedy=state["remedy"])
    error.__dict__.update(state)
    return error


class ConfigurationError(BucketsError, ValueError):
    """A connection, a configuration or a parameter cannot be used as it is."""


class InvalidAddress(ConfigurationError):
    """A URI, a key, a name or a pattern that cannot mean a bucket or a blob."""


class AuthenticationError(BucketsError, PermissionError):
    """The token or the storage credentials are not accepted."""


class PermissionDenied(BucketsError, PermissionError):
    """The caller is known, but may not do this."""


class ResourceNotFound(BucketsError, FileNotFoundError):
    """The bucket, blob or credentials do not exist, or this user may not know that they do."""


class AlreadyExists(BucketsError, FileExistsError):
    """Something of this name exists."""


class BucketNotEmpty(BucketsError, OSError):
    """A bucket that still holds blobs is not deleted."""


class IsADirectory(BucketsError, IsADirectoryError):
    """The address or path is a folder where a blob or file was needed."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(problem, remedy=remedy)
        self.errno = errno.EISDIR


class NotADirectory(BucketsError, NotADirectoryError):
    """The address or path is a file where a folder was needed."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(problem, remedy=remedy)
        self.errno = errno.ENOTDIR


class BadRequest(BucketsError, ValueError):
    """The service refuses what was sent; sending it again changes nothing."""


class Conflict(BucketsError, RuntimeError):
    """The blob is not the one that was pinned: it was replaced in the meantime."""


class IntegrityError(BucketsError, OSError):
    """The bytes received or stored are not the bytes that were promised."""


class InvalidAnswer(BucketsError, RuntimeError):
    """An answer that does not follow the protocol; nothing is concluded from it."""


class UnsupportedProvider(BucketsError, NotImplementedError):
    """The bucket lists and shows, but no store here can read its blobs."""


class SourceChanged(BucketsError, OSError):
    """A local file changed while it was uploaded; nothing of it was kept."""


class TransientError(BucketsError, ConnectionError):
    """May succeed when tried again.

    :param retry_after: seconds that the server asked to wait, or `None`.
    """

    def __init__(self, problem: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(problem, remedy=remedy)
        self.retry_after = retry_after


class Unavailable(TransientError):
    """No answer, a broken answer, or a status that says the service is down."""


class NotConnected(Unavailable):
    """No connection came about, so nothing was sent: whatever it was, it can be sent again."""


class Throttled(TransientError):
    """The service asks for fewer requests."""


class TransferError(BucketsError, OSError):
    """Some files of a folder transfer failed; what was done stays done.

    :param failures: what failed, as ``{address or path: error}``.
    :param report: the :class:`~airflow_provider_neuro_buckets.buckets.models.TransferReport` of what was done.
    """

    SHOWN = 10

    def __init__(
        self, problem: str, *, remedy: str = "", failures: Mapping[str, Exception] | None = None, report: object = None
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.failures: dict[str, Exception] = dict(failures or {})
        self.report = report

    def __str__(self) -> str:
        names = list(self.failures)
        lines = [f"  {name}: {self.failures[name]}" for name in names[: self.SHOWN]]
        if len(names) > self.SHOWN:
            lines.append(f"  … and {len(names) - self.SHOWN} more (all of them in `.failures`)")
        return "\n".join([super().__str__(), *lines])


#: Codes that a store or the platform gives beside a status, and what they mean whatever the status is.
_BY_CODE: dict[str, type[BucketsError]] = {
    "NoSuchKey": ResourceNotFound,
    "NoSuchBucket": ResourceNotFound,
    "NoSuchUpload": ResourceNotFound,
    "BlobNotFound": ResourceNotFound,
    "ContainerNotFound": ResourceNotFound,
    "BucketNotEmpty": BucketNotEmpty,
    "AccessDenied": PermissionDenied,
    "ExpiredToken": AuthenticationError,
    "InvalidToken": AuthenticationError,
    "InvalidAccessKeyId": AuthenticationError,
    "SignatureDoesNotMatch": AuthenticationError,
    "AuthenticationFailed": AuthenticationError,
    "SlowDown": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
    "TooManyRequests": Throttled,
    "RequestLimitExceeded": Throttled,
    "rateLimitExceeded": Throttled,
    "userRateLimitExceeded": Throttled,
    "ServerBusy": Throttled,
    "InternalError": Unavailable,
    "ServiceUnavailable": Unavailable,
    "RequestTimeout": Unavailable,
    "IncompleteBody": Unavailable,
    "OperationAborted": Unavailable,
    "BadDigest": IntegrityError,
    "XAmzContentSHA256Mismatch": IntegrityError,
    "XAmzContentChecksumMismatch": IntegrityError,
    "PreconditionFailed": Conflict,
    "BucketAlreadyExists": AlreadyExists,
    "BucketAlreadyOwnedByYou": AlreadyExists,
    "ConditionNotMet": Conflict,
    "SourceConditionNotMet": Conflict,
    "InvalidBlockList": Conflict,  # another upload to the same key has swept the parts away
    "Md5Mismatch": IntegrityError,
    "NoAuthenticationInformation": AuthenticationError,
    "InvalidAuthenticationInfo": AuthenticationError,
    "ContainerBeingDeleted": ResourceNotFound,
    "BlobImmutableDueToPolicy": PermissionDenied,
    "LeaseIdMissing": BadRequest,
    "SnapshotsPresent": BadRequest,
    "InvalidBlobType": BadRequest,
    "BlobArchived": BadRequest,
    "BlobBeingRehydrated": BadRequest,
    "unique": AlreadyExists,
    "InvalidRequest": BadRequest,
    "disabled": PermissionDenied,
    "unsupported": UnsupportedProvider,
}

_BY_STATUS: dict[int, type[BucketsError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: ResourceNotFound,
    408: Unavailable,
    409: AlreadyExists,
    412: Conflict,
    422: BadRequest,
    429: Throttled,
    500: Unavailable,
    501: UnsupportedProvider,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}

_REMEDIES: dict[type[BucketsError], str] = {
    AuthenticationError: "Check the token or credentials of the connection: they may be wrong, expired or revoked",
    PermissionDenied: "Ask the owner of the bucket for this permission, or use another connection",
    ResourceNotFound: "Check the name, and the cluster, org and project of the connection",
    AlreadyExists: "Choose another name, or use the one that exists",
    BucketNotEmpty: "Remove its blobs first, or delete with force=True",
    UnsupportedProvider: "The platform cannot do this with a bucket of this provider",
    Unavailable: "Try again later; if it lasts, ask the platform's operators",
    Throttled: "Try again later or with a lower max_concurrency",
    Conflict: "Somebody replaced it in the meantime; try again",
}


def error_type(status: int, codes: Sequence[str] = ()) -> type[BucketsError]:
    """Return the class for an answer: a known code decides first, then the status.

    :param status: HTTP status.
    :param codes: provider or platform codes of the answer, most telling first.
    """
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return BadRequest if status < 500 else InvalidAnswer  # noqa: PLR2004 - where HTTP draws the line


def error_for(
    status: int, *, what: str, detail: str = "", code: str = "", retry_after: float | None = None
) -> BucketsError:
    """Build the error for an answer that is not a success.

    :param status: HTTP status.
    :param what: the attempt and its address, such as ``cannot read blob:bkt/key``.
    :param detail: what the service said, already free of secrets.
    :param code: the provider's or the platform's own code.
    :param retry_after: seconds from the ``Retry-After`` header.
    """
    kind = error_type(status, [code] if code else [])
    said = ": ".join(part for part in (code, detail) if part)
    problem = f"{what}: the service answered {status}" + (f" ({said})" if said else "")
    error = kind(problem, remedy=_REMEDIES.get(kind, ""))
    if isinstance(error, TransientError):
        error.retry_after = retry_after
    return error
