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

import aiohttp
from yarl import URL

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
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials, secrets_among
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy, attempt
from airflow_provider_neuro_buckets.buckets.session import network_errors
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes
from airflow_provider_neuro_buckets.buckets.stores.digest import size_of
from airflow_provider_neuro_buckets.buckets.stores.receiving import SlowReader, end, read_capped
from airflow_provider_neuro_buckets.buckets.stores.sending import WRITE_AT_ONCE, BufferPayload

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

    http: aiohttp.ClientSession
    retry: RetryPolicy
    pace: Pace

    @property
    def silence(self) -> float | None:
        """Seconds that a connection may be silent."""
        return self.http.timeout.sock_read


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
    """Sends requests to one bucket. Holds no connection: the session belongs to whoever opened it.

    :ivar slowly: how bodies are read if the pace of the client limits bytes.
    """

    def __init__(self, transport: Transport, *, credentials: CredentialSource, signer: Signer) -> None:
        self._http = transport.http
        self._credentials = credentials
        self._signer = signer
        self._retry = transport.retry
        self._pace = pace = transport.pace
        self._bytes_pace = pace if pace.limits_bytes else None
        self.slowly = SlowReader(pace, transport.silence) if pace.limits_bytes else None
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
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """Send a request, with retries, and return the answer with its whole body.

        :param largest: an answer with more bytes is an error.
        :param check: called with the body of a success; what it raises counts as the answer.
        """

        async def once() -> tuple[aiohttp.ClientResponse, bytes]:
            response = await self._send(request)
            try:
                body = await read_capped(response, largest, request.what, slowly=self.slowly)
            finally:
                response.release()
            if check is not None:
                check(body)
            return response, body

        answer: tuple[aiohttp.ClientResponse, bytes] = await self.retrying(once, request.what)
        return answer

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, with retries, and give its answer while the body is still on the way.

        Leaving the block before the body has ended drops the connection.
        """
        response = await self.send(request)
        try:
            yield response
        finally:
            end(response)

    async def send(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request, with retries, and return its answer while its body is on the way; :func:`end` it."""
        response: aiohttp.ClientResponse = await self.retrying(lambda: self._send(request), request.what)
        return response

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request; once more with renewed credentials when they have ended, or with the server's time."""
        if self._pace.limits_requests:
            await self._pace.request()  # before it is signed: a signature ages
        credentials = await self._credentials.current()
        response = await self._once(request, credentials)
        if _is_success(response):
            return response
        refusal = await self._refusal(request, response, credentials)
        if refusal.is_expired:
            renewed = await self._credentials.renew(credentials)
            if renewed.credentials == credentials.credentials:
                raise refusal.error  # there are no others: these were revoked
            credentials = renewed
        elif not refusal.is_clock_set:
            raise refusal.error
        if self._pace.limits_requests:
            await self._pace.request()
        response = await self._once(request, credentials)
        if _is_success(response):
            return response
        raise (await self._refusal(request, response, credentials)).error

    async def _once(self, request: Request, credentials: BucketCredentials) -> aiohttp.ClientResponse:
        url, headers = self._signer.sign(credentials, request)
        body = None
        if request.body is not None:
            body = BufferPayload(request.body, silence=self._http.timeout.sock_read, pace=self._bytes_pace)
        with network_errors(request.what):
            response = await self._http.request(
                request.method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            )
        self._compare_clocks(response)
        if self.slowly is not None:
            self.slowly.take_over(response)
        if self._pace.is_watching and _is_success(response):
            self._pace.answered()
        return response

    def _compare_clocks(self, response: aiohttp.ClientResponse) -> None:
        """Take note of the server's ``Date``, now and then."""
        now = time.time()
        if self._skew is None or now - self._skew[0] > _CLOCKS_AGREE_SECONDS:
            with suppress(KeyError, ValueError):
                self._skew = (now, _skew_of(response))

    async def _refusal(
        self, request: Request, response: aiohttp.ClientResponse, credentials: BucketCredentials
    ) -> _Refusal:
        """Return what a refusal means."""
        try:
            body = await read_capped(response, LARGEST_ERROR, request.what)
        except (InvalidAnswer, Unavailable):
            body = b""
        finally:
            response.close()
        code, message = self._signer.error_code(body, response.headers)
        detail = masked(message, secrets_among(credentials.credentials))[:200]
        if response.status in range(300, 400):
            redirect = InvalidAnswer(
                f"{request.what}: the storage redirects elsewhere" + (f" ({detail})" if detail else ""),
                remedy="Check the endpoint and region of the bucket",
            )
            return _Refusal(redirect)
        delay = response.headers.get("Retry-After", "")
        error = error_for(
            response.status,
            what=request.what,
            code=code,
            detail=detail,
            retry_after=float(delay) if delay.isdecimal() else None,
        )
        if isinstance(error, Throttled) or response.status in _SLOW_DOWN:
            self._pace.refused(request.what)
        elif self._pace.is_watching:
            self._pace.answered()
        expired = self._signer.is_expired(response.status, code, request.method)
        if expired and not isinstance(error, AuthenticationError):
            error = AuthenticationError(error.problem, remedy=error.remedy)
        is_clock_set = False
        with suppress(KeyError, ValueError):
            is_clock_set = self._signer.sets_clock(code, _skew_of(response))
        return _Refusal(error, expired, is_clock_set)


def _skew_of(response: aiohttp.ClientResponse) -> float:
    """Return the local clock minus the server's, in seconds.

    :raises KeyError: the answer has no date; likewise `ValueError`.
    """
    return time.time() - parsedate_to_datetime(response.headers["Date"]).timestamp()


def _is_success(response: aiohttp.ClientResponse) -> bool:
    return response.status in _SUCCESS


async def in_thread_if_large(work: Callable[[Bytes], Any], body: Bytes) -> Any:
    """Do CPU work on a body: on the spot while small, in a thread once it would stall the event loop."""
    return work(body) if size_of(body) <= WRITE_AT_ONCE else await asyncio.to_thread(work, body)
