"""Requests to the platform: JSON over HTTP, retried where that is safe, refused with our errors (wire protocol 3.4)."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import (
    AlreadyExists,
    BucketsError,
    InvalidAnswer,
    NotConnected,
    ResourceNotFound,
    Throttled,
    TransientError,
    Unavailable,
    error_for,
    masked,
)
from airflow_provider_neuro_buckets.buckets.http.connecting import is_loopback
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.retry import CONTROL_PLANE, attempt

log = logging.getLogger(__name__)
T = TypeVar("T")

LARGEST_ANSWER = 8 * 1024 * 1024
LONGEST_DETAIL = 600
_DATES_ARE_WHOLE = timedelta(seconds=2)

_ECHO = re.compile(r"\.? ?Path with query:.*", re.DOTALL)
#: What the text of a 4xx or 500 means, in the words of the table of errors; the first that fits counts.
_MEANINGS = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), code)
    for pattern, code in (
        (r"^(unexpected exception: )?(bucket|userbucket|persistent).*(not found|doesn't exist)$", "NoSuchBucket"),
        (r"^(unexpected exception: )?persistent.*already exists$", "unique"),
        (r"^unexpected exception: \{['\"]|must be provided", "InvalidRequest"),
        (r"generator didn't yield", "unsupported"),
        (r"BucketNotEmpty|not empty", "BucketNotEmpty"),
        (r"already exists", "unique"),
    )
]


class Wire:
    """Sends the requests of one caller. Holds no connection: `http` belongs to whoever opened it."""

    def __init__(self, http: aiohttp.ClientSession, config: BucketsConfig) -> None:
        self._http = http
        self._config = config
        self._skew = timedelta()
        self._is_warned = False

    async def request(
        self,
        method: str,
        url: URL,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request that may be sent again, and return the JSON of its answer.

        :param what: the attempt and its address, for errors: ``cannot find bucket 'data'``.
        """
        return await attempt(
            lambda: self._send(method, url, query=query, body=body, what=what), what=what, policy=CONTROL_PLANE
        )

    async def delete(self, url: URL, *, what: str, query: Mapping[str, str] | None = None) -> None:
        """Delete something. After a lost answer, "not found" is the answer that was lost."""
        was_lost = False

        async def once() -> None:
            nonlocal was_lost
            try:
                await self._send("DELETE", url, query=query, body=None, what=what)
            except (NotConnected, Throttled):
                raise  # it was not carried out
            except TransientError:
                was_lost = True
                raise
            except ResourceNotFound:
                if not was_lost:
                    raise

        await attempt(once, what=what, policy=CONTROL_PLANE)

    async def make(
        self,
        url: URL,
        *,
        what: str,
        body: Mapping[str, Any],
        read: Callable[[Any], T],
        find: Callable[[datetime], Awaitable[T | None]] | None,
    ) -> T:
        """Make something with a POST, which is never sent again blindly: after a lost answer it is looked for first.

        :param read: reads the answer.
        :param find: looks for what may have been made since that time, by the server's clock; `None` when it cannot
            be told from others. It raises :class:`AlreadyExists` for something that was there before.
        :raises Unavailable: the answer was lost, and nobody can tell whether it was made.
        """
        begun = datetime.now(UTC)
        was_lost = False

        async def look() -> T | None:
            return await find(begun - self._skew - _DATES_ARE_WHOLE) if find and was_lost else None

        async def once() -> T | TransientError:
            nonlocal was_lost
            if (made := await look()) is not None:
                return made
            try:
                return read(await self._send("POST", url, query=None, body=body, what=what))
            except AlreadyExists:
                if (made := await look()) is not None:
                    return made
                raise
            except (NotConnected, Throttled):
                raise  # it was not carried out
            except TransientError as error:
                if find is None:
                    return error
                was_lost = True
                raise

        outcome = await attempt(once, what=what, policy=CONTROL_PLANE)
        if isinstance(outcome, TransientError):
            raise Unavailable(
                f"{outcome.problem}, and nobody knows whether it was made",
                remedy="Look into the list before you try again",
            ) from None
        return outcome

    async def _send(
        self, method: str, url: URL, *, query: Mapping[str, str] | None, body: Mapping[str, Any] | None, what: str
    ) -> Any:
        what = f"{self._config.name}: {what}"
        headers = {"Accept": "application/json"}
        if self._config.token:
            headers["Authorization"] = f"Bearer {self._config.token}"
            self._warn_of_clear_text(url)
        with network_errors(what):
            async with self._http.request(
                method, url, params=query, json=body, headers=headers, allow_redirects=False
            ) as response:
                self._compare_clocks(response)
                text = await _read_capped(response, what)
        if response.ok and response.status < 300:  # noqa: PLR2004 - a redirect is not followed: it would carry the token
            return _parse(text, what) if text else None
        raise _refusal(response, text, what, secrets=[self._config.token] if self._config.token else [])

    def _warn_of_clear_text(self, url: URL) -> None:
        """Tell once that the token goes where others can read it."""
        if not self._is_warned and url.scheme == "http" and not is_loopback(url.host or ""):
            self._is_warned = True
            log.warning(
                "%s sends its token to %s in clear text: who sees what passes can use it. Use https if there is any",
                self._config.name,
                url.origin(),
            )

    def _compare_clocks(self, response: aiohttp.ClientResponse) -> None:
        with suppress(KeyError, ValueError):
            self._skew = timedelta(
                seconds=time.time() - parsedate_to_datetime(response.headers["Date"]).timestamp(),
            )


async def _read_capped(response: aiohttp.ClientResponse, what: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise InvalidAnswer(f"{what}: the answer is larger than {LARGEST_ANSWER} bytes", remedy="Check the host")
        parts.append(chunk)
    return b"".join(parts)


def _parse(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidAnswer(
            f"{what}: the answer is not JSON", remedy="Check that the host is the platform's API"
        ) from None


def _refusal(response: aiohttp.ClientResponse, text: bytes, what: str, *, secrets: Sequence[str]) -> BucketsError:
    """Build the error for a refused request: by status and by text, since the platform says 500 for many things."""
    if response.status in range(300, 400):
        return InvalidAnswer(
            f"{what}: the service redirects elsewhere", remedy="Set the host to the address it redirects to"
        )
    fields = _fields(text)
    detail = _ECHO.sub("", str(fields.get("error") or fields.get("description") or ""))
    code = str(fields.get("code") or _meaning(response.status, detail))
    if isinstance(missing := fields.get("missing"), list):
        needs = [f"{item.get('action')} on {item.get('uri')}" for item in missing if isinstance(item, dict)]
        detail = "missing " + " or ".join(needs)
    delay = response.headers.get("Retry-After", "")
    return error_for(
        response.status,
        what=what,
        detail=masked(detail, secrets)[:LONGEST_DETAIL],
        code=code,
        retry_after=float(delay) if delay.isdecimal() else None,
    )


def _fields(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _meaning(status: int, text: str) -> str:
    """Return the code for what the platform says, without what it repeats of the request."""
    if status not in {400, 409, 500}:
        return ""
    return next((code for pattern, code in _MEANINGS if pattern.search(text)), "")
