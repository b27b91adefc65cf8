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
    ├── QuotaExceeded             OSError             the bucket, or whoever pays for it, may hold no more
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
        │   ├── NotConnected                          no connection: nothing was sent
        │   └── Timeout           TimeoutError        no answer in time
        └── Throttled                                 429, SlowDown

Every error is also the builtin that a Python user would catch, with the `errno` of its kind, and survives pickling. Its
text breaks no line of a log, whatever a name or a service has put into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from errno import EACCES, EDQUOT, EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, ETIMEDOUT
from typing import Any

#: What would end a line of a log, colour it, or turn it round: shown as an escape.
_UNPRINTABLE = {
    code: ascii(chr(code))[1:-1]
    for first, last in (
        (0x00, 0x1F),
        (0x7F, 0x9F),
        (0x200E, 0x200F),
        (0x2028, 0x202E),
        (0x2066, 0x2069),
        (0xD800, 0xDFFF),
    )
    for code in range(first, last + 1)
}


class BucketsError(Exception):
    """Root of every error raised here on purpose: what happened, then what to do about it.

    :param problem: one sentence without its full stop; never holds a secret.
    :param remedy: one sentence that says what to do, without its full stop.
    """

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(_sentence(problem, remedy))
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__.copy())

    def __str__(self) -> str:
        return _sentence(self.problem, self.remedy)


def _sentence(problem: str, remedy: str) -> str:
    return shown(f"{problem}. {remedy}." if remedy else problem)


def shown(text: str) -> str:
    """Return a text as it may stand in a line of a log: what is no visible character is escaped."""
    return text.translate(_UNPRINTABLE)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return what a service has said without the secrets that it repeats."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


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

    errno = EACCES


class PermissionDenied(BucketsError, PermissionError):
    """The caller is known, but may not do this."""

    errno = EACCES


class ResourceNotFound(BucketsError, FileNotFoundError):
    """The bucket, blob or credentials do not exist, or this user may not know that they do."""

    errno = ENOENT


class AlreadyExists(BucketsError, FileExistsError):
    """Something of this name exists."""

    errno = EEXIST


class BucketNotEmpty(BucketsError, OSError):
    """A bucket that still holds blobs is not deleted."""

    errno = ENOTEMPTY


class QuotaExceeded(BucketsError, OSError):
    """The bucket, its owner or the disks behind it may hold no more: nothing that is written now will get past."""

    errno = EDQUOT


class IsADirectory(BucketsError, IsADirectoryError):
    """The address or path is a folder where a blob or file was needed."""

    errno = EISDIR


class NotADirectory(BucketsError, NotADirectoryError):
    """The address or path is a file where a folder was needed."""

    errno = ENOTDIR


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


class Timeout(Unavailable, TimeoutError):
    """No answer in time; what was asked for may have been done all the same."""

    errno = ETIMEDOUT


class Throttled(TransientError):
    """The service asks for fewer requests."""


class TransferError(BucketsError, OSError):
    """Some files of a folder transfer failed; what was done stays done.

    :param failures: what failed, as ``{address or path: error}``.
    :param report: what was done: a :class:`~airflow_provider_neuro_buckets.buckets.models.TransferReport`; of a job in
        shards its `Report`, and of one shard its `ShardReport`.
    :param shown: how many of the failures its text tells.
    """

    SHOWN = 10

    def __init__(
        self,
        problem: str,
        *,
        remedy: str = "",
        failures: Mapping[str, Exception] | None = None,
        report: object = None,
        shown: int = SHOWN,
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.shown = shown
        self.failures: dict[str, Exception] = dict(failures or {})
        self.report = report

    def __str__(self) -> str:
        names = list(self.failures)
        lines = [f"  {shown(name)}: {self.failures[name]}" for name in names[: self.shown]]
        if len(names) > self.shown:
            lines.append(f"  … and {len(names) - self.shown} more (all of them in `.failures`)")
        return "\n".join([super().__str__(), *lines])


#: Codes that a store or the platform gives beside a status, and what they mean whatever the status is.
_CODES: dict[type[BucketsError], str] = {
    ResourceNotFound: "NoSuchKey NoSuchBucket NoSuchUpload BlobNotFound ContainerNotFound ContainerBeingDeleted",
    BucketNotEmpty: "BucketNotEmpty",
    ConfigurationError: "AuthorizationHeaderMalformed",  # signed for another region
    PermissionDenied: "AccessDenied AccountProblem AllAccessDisabled AuthorizationFailure disabled"
    " AuthorizationPermissionMismatch BlobImmutableDueToPolicy InsufficientAccountPermissions",
    AuthenticationError: "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired InvalidToken"
    " InvalidAccessKeyId SignatureDoesNotMatch RequestTimeTooSkewed AuthenticationFailed NoAuthenticationInformation"
    " InvalidAuthenticationInfo authError",
    Throttled: "SlowDown Throttling ThrottlingException TooManyRequests RequestLimitExceeded rateLimitExceeded"
    " userRateLimitExceeded ServerBusy",
    Unavailable: "InternalError ServiceUnavailable IncompleteBody OperationAborted",
    Timeout: "RequestTimeout OperationTimedOut",
    IntegrityError: "BadDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch Md5Mismatch",
    # InvalidBlockList: another upload to the same key has swept the parts away
    Conflict: "PreconditionFailed ConditionNotMet SourceConditionNotMet InvalidBlockList",
    AlreadyExists: "BucketAlreadyExists BucketAlreadyOwnedByYou unique",
    QuotaExceeded: "QuotaExceeded quotaExceeded TooManyBuckets XMinioAdminBucketQuotaExceeded XMinioStorageFull",
    InvalidAddress: "InvalidBucketName InvalidResourceName InvalidUri KeyTooLongError XMinioInvalidObjectName",
    BadRequest: "InvalidRequest LeaseIdMissing SnapshotsPresent InvalidBlobType BlobArchived BlobBeingRehydrated"
    " InvalidObjectState ObjectNotInActiveTierError",  # archived as well
    UnsupportedProvider: "unsupported",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

_BY_STATUS: dict[int, type[BucketsError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: ResourceNotFound,
    408: Timeout,
    409: AlreadyExists,
    412: Conflict,
    422: BadRequest,
    429: Throttled,
    500: Unavailable,
    501: UnsupportedProvider,
    502: Unavailable,
    503: Unavailable,
    504: Timeout,
    507: QuotaExceeded,
}

_REMEDIES: dict[type[BucketsError], str] = {
    ConfigurationError: "Set region_name among the bucket's credentials to the region that the service names",
    AuthenticationError: "Check the token or credentials of the connection: they may be wrong, expired or revoked",
    PermissionDenied: "Ask the owner of the bucket for this permission, or use another connection",
    ResourceNotFound: "Check the name, and the cluster, org and project of the connection",
    AlreadyExists: "Choose another name, or use the one that exists",
    BucketNotEmpty: "Remove its blobs first, or delete with force=True",
    UnsupportedProvider: "The platform cannot do this with a bucket of this provider",
    Unavailable: "Try again later; if it lasts, ask the platform's operators",
    Throttled: "Try again later or with a lower max_concurrency",
    Conflict: "Somebody replaced it in the meantime; try again",
    BadRequest: "Check what was asked for: to ask again changes nothing",
    IntegrityError: "Try again; if it lasts, something on the way damages what passes",
    InvalidAddress: "Choose a name that the provider takes",
    InvalidAnswer: "Check that the address is that of the service, and not of something before it",
    QuotaExceeded: "Remove what is not needed, or ask the platform's operators for more room",
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
    error = kind(problem, remedy=next(_REMEDIES[base] for base in kind.__mro__ if base in _REMEDIES))
    if isinstance(error, TransientError):
        error.retry_after = retry_after
    return error
