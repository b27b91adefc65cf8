"""The REST control plane: buckets, their credentials, and where to find them (wire protocol, sections 2 and 3)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from airflow_provider_neuro_buckets.buckets.answers import (
    Place,
    choose_place,
    expect,
    id_scope,
    is_asked_for,
    read_bucket,
    read_credentials,
    read_persistent,
    scope_of,
    show_scope,
    text_field,
)
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    InvalidAnswer,
    ResourceNotFound,
    TransientError,
    error_for,
)
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, PersistentBucketCredentials
from airflow_provider_neuro_buckets.buckets.retry import CONTROL_PLANE, ONCE, RetryPolicy, attempt
from airflow_provider_neuro_buckets.buckets.session import network_errors
from airflow_provider_neuro_buckets.buckets.target import Selector

LARGEST_ANSWER = 8 * 1024 * 1024

_MISSING = re.compile(r"(not found|doesn't exist)", re.IGNORECASE)
_TAKEN = re.compile(r"already exists", re.IGNORECASE)
_NOT_EMPTY = re.compile(r"BucketNotEmpty|not empty", re.IGNORECASE)
_SCHEMA = re.compile(r"Unexpected exception: \{'|must be provided")


class Platform:
    """The platform as one caller sees it. Holds no connection of its own: `http` belongs to whoever opened it."""

    def __init__(self, http: aiohttp.ClientSession, config: BucketsConfig) -> None:
        self._http = http
        self._config = config
        self._places: dict[str | None, Place] = {}
        self._discovery = asyncio.Lock()

    # Where things are

    async def place(self, cluster_name: str | None = None) -> Place:
        """Return the place of a cluster, the current one by default; discovered once.

        :raises ConfigurationError: no such cluster, or nothing to choose from.
        :raises AuthenticationError: the platform does not accept the token.
        """
        async with self._discovery:
            if cluster_name not in self._places:
                self._places[cluster_name] = await self._find_place(cluster_name)
            return self._places[cluster_name]

    async def _find_place(self, cluster_name: str | None) -> Place:
        config = self._config
        if config.buckets_url is not None:
            if config.cluster_name is None or cluster_name not in {None, config.cluster_name}:
                raise ConfigurationError(
                    f"{config.name} names no cluster {cluster_name or ''}".rstrip(),
                    remedy="Set cluster_name beside buckets_url, or set the host to discover clusters",
                )
            return Place(
                cluster=config.cluster_name,
                buckets_url=URL(config.buckets_url),
                org=config.org_name,
                project=config.project_name,
            )
        if config.api_url is None:
            raise ConfigurationError(
                f"{config.name} has persistent credentials only",
                remedy="Set a host and a token for what needs the platform",
            )
        url = URL(config.api_url) / "config"
        answer = await self._request("GET", url, what=f"cannot read the platform's configuration at {url}")
        return choose_place(answer, config, cluster_name)

    # Buckets

    async def buckets(self, place: Place, selector: Selector) -> list[Bucket]:
        """Return every bucket that the caller may read in one org and project."""
        answer = await self._request(
            "GET",
            place.buckets_url / "buckets",
            params=scope_of(place, selector),
            what=f"cannot list the buckets of {show_scope(place, selector)}",
        )
        return [read_bucket(item, place.cluster) for item in expect(list, answer, "a list of buckets")]

    async def bucket(self, place: Place, id_or_name: str, selector: Selector) -> Bucket:
        """Return a bucket by its id or by its name.

        :raises ResourceNotFound: no such bucket in the selected org and project.
        """
        what = f"cannot find bucket {id_or_name!r} in {show_scope(place, selector)}"
        answer = await self._request(
            "GET", place.buckets_url / "buckets" / id_or_name, params=scope_of(place, selector), what=what
        )
        bucket = read_bucket(answer, place.cluster)
        if not is_asked_for(bucket, id_or_name, place, selector):
            raise ResourceNotFound(
                f"{what}: the platform offers {bucket.uri} instead", remedy="Check the name, and org and project"
            )
        return bucket

    async def create_bucket(self, place: Place, name: str | None, selector: Selector) -> Bucket:
        """Make a bucket; `None` makes one without a name."""
        answer = await self._request(
            "POST",
            place.buckets_url / "buckets",
            body={"name": name, **scope_of(place, selector)},
            policy=ONCE,
            what=f"cannot create bucket {name!r} in {show_scope(place, selector)}",
        )
        return read_bucket(answer, place.cluster)

    async def import_bucket(
        self,
        place: Place,
        name: str | None,
        selector: Selector,
        *,
        provider: str,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
    ) -> Bucket:
        """Make a bucket of one that exists at the provider. The platform does not try the credentials."""
        answer = await self._request(
            "POST",
            place.buckets_url / "buckets" / "import" / "external",
            body={
                "name": name,
                **scope_of(place, selector),
                "provider": provider,
                "provider_bucket_name": provider_bucket_name,
                "credentials": dict(credentials),
            },
            policy=ONCE,
            what=f"cannot import bucket {provider_bucket_name!r} into {show_scope(place, selector)}",
        )
        return read_bucket(answer, place.cluster)

    async def set_public(self, place: Place, bucket: Bucket, *, public: bool) -> Bucket:
        """Open a bucket to anonymous readers, or close it."""
        answer = await self._request(
            "PATCH",
            place.buckets_url / "buckets" / bucket.id,
            params=id_scope(bucket),
            body={"public": public},
            what=f"cannot change the public access of {bucket.uri}",
        )
        return read_bucket(answer, place.cluster)

    async def delete_bucket(self, place: Place, bucket: Bucket) -> None:
        """Delete a bucket and, on the platform's side, everybody's persistent credentials for it."""
        await self._delete(
            place.buckets_url / "buckets" / bucket.id, params=id_scope(bucket), what=f"cannot delete {bucket.uri}"
        )

    async def tmp_credentials(self, place: Place, bucket: Bucket) -> BucketCredentials:
        """Return fresh temporary credentials for a bucket."""
        answer = await self._request(
            "POST",
            place.buckets_url / "buckets" / bucket.id / "make_tmp_credentials",
            params=id_scope(bucket),
            what=f"cannot get credentials for {bucket.uri}",
        )
        return read_credentials(answer)

    async def sign(self, place: Place, bucket: Bucket, key: str, expires_in_seconds: int) -> URL:
        """Return a URL with which anybody can GET one blob; nobody checks that the blob exists."""
        answer = await self._request(
            "POST",
            place.buckets_url / "buckets" / bucket.id / "sign_blob_url",
            params=id_scope(bucket),
            body={"key": key, "expires_in_sec": expires_in_seconds},
            what=f"cannot sign a URL in {bucket.uri}",
        )
        return URL(text_field(answer, "url", "a signed URL"), encoded=True)

    # Persistent credentials

    async def persistent_list(self, place: Place) -> list[PersistentBucketCredentials]:
        """Return the caller's own persistent credentials, secrets included."""
        answer = await self._request(
            "GET",
            place.buckets_url / "persistent_credentials",
            what=f"cannot list the persistent credentials on {place.cluster}",
        )
        return [read_persistent(item, place.cluster) for item in expect(list, answer, "a list of credentials")]

    async def persistent_create(
        self, place: Place, bucket_ids: list[str], *, name: str | None, read_only: bool
    ) -> PersistentBucketCredentials:
        """Make persistent credentials for some buckets."""
        answer = await self._request(
            "POST",
            place.buckets_url / "persistent_credentials",
            body={"name": name, "bucket_ids": bucket_ids, "read_only": read_only},
            policy=ONCE,
            what=f"cannot create persistent credentials {name!r} on {place.cluster}",
        )
        return read_persistent(answer, place.cluster)

    async def persistent_get(self, place: Place, id_or_name: str) -> PersistentBucketCredentials:
        """Return persistent credentials by id or name."""
        answer = await self._request(
            "GET",
            place.buckets_url / "persistent_credentials" / id_or_name,
            what=f"cannot find persistent credentials {id_or_name!r} on {place.cluster}",
        )
        return read_persistent(answer, place.cluster)

    async def persistent_delete(self, place: Place, id_or_name: str) -> None:
        """Delete persistent credentials: whoever uses them is locked out."""
        await self._delete(
            place.buckets_url / "persistent_credentials" / id_or_name,
            what=f"cannot delete persistent credentials {id_or_name!r} on {place.cluster}",
        )

    # The wire

    async def _delete(self, url: URL, *, what: str, params: Mapping[str, str] | None = None) -> None:
        lost = False

        async def once() -> None:
            nonlocal lost
            try:
                await self._send("DELETE", url, params=params, body=None, what=what)
            except TransientError:
                lost = True
                raise
            except ResourceNotFound:
                # After a lost answer, "not found" is the answer that was lost.
                if not lost:
                    raise

        await attempt(once, what=what, policy=CONTROL_PLANE)

    async def _request(
        self,
        method: str,
        url: URL,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        policy: RetryPolicy = CONTROL_PLANE,
    ) -> Any:
        return await attempt(
            lambda: self._send(method, url, params=params, body=body, what=what), what=what, policy=policy
        )

    async def _send(
        self, method: str, url: URL, *, params: Mapping[str, str] | None, body: Mapping[str, Any] | None, what: str
    ) -> Any:
        what = f"{self._config.name}: {what}"
        headers = {"Accept": "application/json"}
        if self._config.token:
            headers["Authorization"] = f"Bearer {self._config.token}"
        with network_errors(what):
            async with self._http.request(
                method, url, params=params, json=body, headers=headers, allow_redirects=False
            ) as response:
                text = await _read_capped(response, what)
                if response.ok and response.status < 300:  # noqa: PLR2004 - a redirect is not followed: it would carry the token
                    return _parse(text, what) if text else None
                raise _refusal(response, text, what)


async def _read_capped(response: aiohttp.ClientResponse, what: str) -> bytes:
    body = await response.content.read(LARGEST_ANSWER)
    while not response.content.at_eof():
        if len(body) >= LARGEST_ANSWER:
            raise InvalidAnswer(f"{what}: the answer is larger than {LARGEST_ANSWER} bytes", remedy="Check the host")
        body += await response.content.read(LARGEST_ANSWER - len(body))
    return body


def _parse(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidAnswer(
            f"{what}: the answer is not JSON", remedy="Check that the host is the platform's API"
        ) from None


def _refusal(response: aiohttp.ClientResponse, text: bytes, what: str) -> BucketsError:
    """Build the error for a refused request: by status and by text, since the platform says 500 for many things."""
    if response.status in range(300, 400):
        return InvalidAnswer(
            f"{what}: the service redirects elsewhere", remedy="Set the host to the address it redirects to"
        )
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    fields = answer if isinstance(answer, dict) else {}
    detail = str(fields.get("error") or fields.get("description") or "")[:300]
    if missing := fields.get("missing"):
        needs = [f"{item.get('action')} on {item.get('uri')}" for item in missing if isinstance(item, dict)]
        detail = "missing " + " or ".join(needs)
    code = str(fields.get("code") or _code_in(response.status, detail))
    delay = response.headers.get("Retry-After", "")
    return error_for(
        response.status, what=what, detail=detail, code=code, retry_after=float(delay) if delay.isdigit() else None
    )


def _code_in(status: int, text: str) -> str:
    """Return what a 4xx or 500 of the platform means, in the words of the table of errors (protocol 3.4)."""
    if status not in {400, 409, 500}:
        return ""
    for pattern, code in (
        (_NOT_EMPTY, "BucketNotEmpty"),
        (_TAKEN, "unique"),
        (_SCHEMA, "InvalidRequest"),
        (_MISSING, "NoSuchBucket"),
    ):
        if pattern.search(text):
            return code
    return ""
