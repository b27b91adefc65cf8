"""The direct lane: plain HTTP requests to one bucket, signed by the provider's own signer.

Every status, length, range and redirect is checked here or by the store above, every key can be expressed, and nothing
is parsed that nobody asked for. A redirect is never followed: it would carry the signature elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Protocol

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    InvalidAnswer,
    Throttled,
    Unavailable,
    error_for,
    masked,
)
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.http.sending import WRITE_AT_ONCE, Outgoing
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials, secrets_among
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy, attempt
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes
from airflow_provider_neuro_buckets.buckets.stores.digest import size_of
from airflow_provider_neuro_buckets.buckets.stores.receiving import SlowReader, read_capped

LARGEST_ERROR = 64 * 1024
_CLOCKS_AGREE_SECONDS = 60.0
_SUCCESS = range(200, 300)
_SLOW_DOWN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a bucket.

    :ivar what: the attempt and its address, for errors: ``cannot read blob:bkt/key``.
    :ivar path: below the bucket, percent-encoded as it goes on the wire, without a leading ``/``; empty for the bucket.
    :ivar query: percent-encoded, without ``?``.
    :ivar headers: they do not show in a `repr`: one may hold the URL of a source, and that a SAS.
    :ivar body: bytes, or several that follow each other.
    """

    what: str
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Bytes | tuple[Bytes, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How requests are sent: what all stores of one client share."""

    http: Connections
    retry: RetryPolicy
    pace: Pace


class Signer(Protocol):
    """What a provider does to a request before it is sent."""

    def sign(self, credentials: BucketCredentials, request: Request) -> tuple[str, dict[str, str]]:
        """Return the URL, encoded, and the headers with which the request is sent."""
        ...

    def error_code(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the provider's code and message in the body of a refusal; empty where there is none."""
        ...

    def is_expired(self, status: int, code: str, method: str) -> bool:
        """Whether a refusal may mean that the credentials have ended."""
        ...

    def sets_clock(self, code: str, skew: float) -> bool:
        """Whether a refusal is about the time of a signature, and the next one is made by the server's clock.

        :param skew: local clock minus the server's, in seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer that is no success, and what may be done about it."""

    error: BucketsError
    is_expired: bool = False
    is_clock_set: bool = False


class DirectLane:
    """Sends requests to one bucket. Holds no connection: they belong to whoever opened them.

    :ivar slowly: how bodies are read if the pace of the client limits bytes.
    """

    def __init__(self, transport: Transport, *, credentials: CredentialSource, signer: Signer) -> None:
        self._http = transport.http
        self._credentials = credentials
        self._signer = signer
        self._retry = transport.retry
        self._pace = pace = transport.pace
        self._bytes_pace = pace if pace.limits_bytes else None
        self.slowly = SlowReader(pace) if pace.limits_bytes else None
        self._skew: tuple[float, float] | None = None

    @property
    def skew(self) -> float:
        """Local clock minus the server's in seconds; 0 before the first answer. Good to a second."""
        return self._skew[1] if self._skew else 0.0

    def retrying(self, call: Callable[[], Awaitable[Any]], what: str) -> Awaitable[Any]:
        """Await `call()` under the policy of the lane."""
        return attempt(call, what=what, policy=self._retry)

    async def fetch(
        self, request: Request, *, largest: int, check: Callable[[bytes], object] | None = None
    ) -> tuple[Answer, bytes]:
        """Send a request, with retries, and return the answer with its whole body.

        :param largest: an answer with more bytes is an error.
        :param check: called with the body of a success; what it raises counts as the answer.
        """

        async def once() -> tuple[Answer, bytes]:
            answer = await self._send(request)
            try:
                body = await read_capped(answer, largest, request.what, slowly=self.slowly)
            finally:
                answer.end()
            if check is not None:
                check(body)
            return answer, body

        fetched: tuple[Answer, bytes] = await self.retrying(once, request.what)
        return fetched

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request, with retries, and give its answer while the body is still on the way.

        Leaving the block before the body has ended drops the connection.
        """
        answer = await self.send(request)
        try:
            yield answer
        finally:
            answer.end()

    async def send(self, request: Request) -> Answer:
        """Send a request, with retries, and return its answer while its body is on the way; the caller ends it."""
        answer: Answer = await self.retrying(lambda: self._send(request), request.what)
        return answer

    async def _send(self, request: Request) -> Answer:
        """Send a request; once more with renewed credentials when they have ended, or with the server's time."""
        if self._pace.limits_requests:
            await self._pace.request()  # before it is signed: a signature ages
        credentials = await self._credentials.current()
        answer = await self._once(request, credentials)
        if _is_success(answer):
            return answer
        refusal = await self._refusal(request, answer, credentials)
        if refusal.is_expired:
            renewed = await self._credentials.renew(credentials)
            if renewed.credentials == credentials.credentials:
                raise refusal.error  # there are no others: these were revoked
            credentials = renewed
        elif not refusal.is_clock_set:
            raise refusal.error
        if self._pace.limits_requests:
            await self._pace.request()
        answer = await self._once(request, credentials)
        if _is_success(answer):
            return answer
        raise (await self._refusal(request, answer, credentials)).error

    async def _once(self, request: Request, credentials: BucketCredentials) -> Answer:
        url, headers = self._signer.sign(credentials, request)
        body = Outgoing.of(request.body)
        pace = self._bytes_pace if body.size else None
        with network_errors(request.what):
            answer = await self._http.request(request.method, url, headers=headers, body=body, pace=pace)
        self._compare_clocks(answer)
        if self._pace.is_watching and _is_success(answer):
            self._pace.answered()
        return answer

    def _compare_clocks(self, answer: Answer) -> None:
        """Take note of the server's ``Date``, now and then."""
        now = time.time()
        if self._skew is None or now - self._skew[0] > _CLOCKS_AGREE_SECONDS:
            with suppress(KeyError, ValueError, OverflowError):
                self._skew = (now, _skew_of(answer))

    async def _refusal(self, request: Request, answer: Answer, credentials: BucketCredentials) -> _Refusal:
        """Return what a refusal means."""
        try:
            body = await read_capped(answer, LARGEST_ERROR, request.what)
        except (InvalidAnswer, Unavailable):
            body = b""
        finally:
            answer.end()
        code, message = self._signer.error_code(body, answer.headers)
        detail = masked(message, secrets_among(credentials.credentials))[:200]
        if answer.status in range(300, 400):
            redirect = InvalidAnswer(
                f"{request.what}: the storage redirects elsewhere" + (f" ({detail})" if detail else ""),
                remedy="Check the endpoint and region of the bucket",
            )
            return _Refusal(redirect)
        delay = answer.headers.get("Retry-After", "")
        error = error_for(
            answer.status,
            what=request.what,
            code=code,
            detail=detail,
            retry_after=float(delay) if delay.isdecimal() else None,
        )
        if isinstance(error, Throttled) or answer.status in _SLOW_DOWN:
            self._pace.refused(request.what)
        elif self._pace.is_watching:
            self._pace.answered()
        expired = self._signer.is_expired(answer.status, code, request.method)
        if expired and not isinstance(error, AuthenticationError):
            error = AuthenticationError(error.problem, remedy=error.remedy)
        is_clock_set = False
        with suppress(KeyError, ValueError, OverflowError):
            is_clock_set = self._signer.sets_clock(code, _skew_of(answer))
        return _Refusal(error, expired, is_clock_set)


def _skew_of(answer: Answer) -> float:
    """Return the local clock minus the server's, in seconds.

    :raises KeyError: the answer has no date; likewise `ValueError` and `OverflowError`.
    """
    return time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()


def _is_success(answer: Answer) -> bool:
    return answer.status in _SUCCESS


async def in_thread_if_large(work: Callable[[Bytes], Any], body: Bytes) -> Any:
    """Do CPU work on a body: on the spot while small, in a thread once it would stall the event loop."""
    return work(body) if size_of(body) <= WRITE_AT_ONCE else await asyncio.to_thread(work, body)
