"""What the failures of a network mean."""

from __future__ import annotations

import ssl
from types import TracebackType

import aiohttp

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    NotConnected,
    Timeout,
    Unavailable,
)


class Broken(ConnectionError):
    """A connection that ended before its answer did; its text is a name of what happened."""


class NotMade(ConnectionError):
    """A connection that did not come about; its text is the reason, empty if it took too long."""

    @classmethod
    def because_of(cls, error: OSError) -> NotMade:
        """Return one, given what the system says."""
        is_refused = isinstance(error, ConnectionRefusedError)
        return cls("refused" if is_refused else error.strerror or type(error).__name__)


class NotAnAddress(OSError):
    """A URL that leads nowhere; its text is empty, as it may hold a signature."""


class network_errors:  # noqa: N801 - read as what it does: ``with network_errors(what):``
    """Turn what the network raises into our errors; their text never holds a header or a query.

    A class and no generator: each small file needs two of them.

    :param what: the attempt and its address, such as ``cannot list buckets at https://…``.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, BucketsError):
            raise _meaning(self._what, error) from None


def _meaning(what: str, error: aiohttp.ClientError | OSError) -> BucketsError:
    """Return the error of ours for what the network raises."""
    match _own(error):
        case ssl.SSLCertVerificationError() as untrusted:
            return _untrusted(what, untrusted)
        case ssl.SSLError() as unspoken:
            return _no_handshake(what, unspoken)
        case NotMade() as reason:
            return _not_made(what, reason)
        case aiohttp.InvalidURL() | NotAnAddress():
            return ConfigurationError(f"{what}: not an address", remedy="Check the address of the connection")
        case TimeoutError():
            return Timeout(f"{what}: no answer in time", remedy="Try again later")
    name = str(error) if isinstance(error, Broken) else type(error).__name__
    return Unavailable(f"{what}: the connection broke ({name})", remedy="Try again later")


def _own(error: Exception) -> Exception:
    """Return what aiohttp wraps, as our own connections raise it."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return error.certificate_error
        case aiohttp.ClientSSLError():
            return error.os_error
        case aiohttp.ClientConnectorError():
            return NotMade.because_of(error.os_error)
        case aiohttp.ConnectionTimeoutError():
            return NotMade("")
    return error


def _untrusted(what: str, error: Exception) -> BucketsError:
    reason = getattr(error, "verify_message", "") or type(error).__name__
    return ConfigurationError(
        f"{what}: its TLS certificate is not trusted ({reason.rstrip('.')})",
        remedy="Set verify of the connection to the CA bundle of the platform, if it has one of its own",
    )


def _no_handshake(what: str, error: Exception) -> BucketsError:
    reason = getattr(error, "reason", "") or type(error).__name__
    return ConfigurationError(f"{what}: the TLS handshake fails ({reason})", remedy="Check the address and its port")


def _not_made(what: str, error: NotMade) -> BucketsError:
    if not str(error):
        return NotConnected(f"{what}: no connection in time", remedy="Check the address, or try again later")
    return NotConnected(f"{what}: no connection ({error})", remedy="Check the address, and that the service is running")
