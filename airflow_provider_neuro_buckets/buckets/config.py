"""What a client must know before its first request: a value, read from no file and no environment (decision 20)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketsConfig:
    """Where the platform is, who asks, and how much may be in flight.

    :ivar api_url: platform API, such as ``https://api.example.org/api/v1``; asked for the rest (`discovery`).
    :ivar buckets_url: base of the buckets service; given, nothing is discovered.
    :ivar token: bearer token; never shown.
    :ivar cluster_name: cluster, org and project that relative addresses mean; `None` takes the first discovered one.
    :ivar persistent_credentials: the platform's answer for persistent credentials, plus the URI of each bucket; with
        it, blob methods need neither a token nor the platform. Never shown.
    :ivar name: how errors call the origin of this configuration, such as ``connection 'neuro_buckets_default'``.
    :ivar verify: `True` for the system's certificate authorities, or the path of a CA bundle.
    :ivar max_concurrency: requests in flight at once to the storage.
    :ivar max_buffer_bytes: bytes of blobs held in memory at once by transfers.
    :ivar timeout_seconds: longest silence on a connection, not the longest request.
    :ivar on_secret: awaited with each secret when it is first seen, so that the surroundings can mask it.
    """

    api_url: str | None = None
    buckets_url: str | None = None
    token: str | None = field(default=None, repr=False)
    cluster_name: str | None = None
    org_name: str | None = None
    project_name: str | None = None
    persistent_credentials: Mapping[str, Any] | None = field(default=None, repr=False)
    name: str = "this configuration"
    verify: bool | str = True
    max_concurrency: int = 64
    max_buffer_bytes: int = 128 * MIB
    timeout_seconds: float = 60.0
    on_secret: Callable[[str], Awaitable[None]] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.api_url or self.buckets_url or self.persistent_credentials):
            raise ConfigurationError(
                f"{self.name} has no host", remedy="Set the host to the platform's API URL, such as https://…/api/v1"
            )
        for label, address in (("host", self.api_url), ("buckets_url", self.buckets_url)):
            if address is not None:
                self._check_address(label, address)
        for label, number in (
            ("max_concurrency", self.max_concurrency),
            ("max_buffer_bytes", self.max_buffer_bytes),
            ("timeout_seconds", self.timeout_seconds),
        ):
            if number <= 0:
                raise ConfigurationError(f"{label} of {self.name} is {number}", remedy="Set it above zero")

    def _check_address(self, label: str, address: str) -> None:
        try:
            url = URL(address)
        except ValueError:
            url = URL()
        if url.scheme not in {"http", "https"} or not url.host or url.user or url.password or url.query_string:
            raise ConfigurationError(
                f"the {label} of {self.name} is not an http(s) address",
                remedy="Write it like https://api.example.org/api/v1",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedConfig:
    """A token with its surroundings, as the platform hands it to jobs and service accounts (protocol 2.6, 2.7)."""

    token: str = field(repr=False)
    api_url: str | None = None
    cluster_name: str | None = None
    org_name: str | None = None
    project_name: str | None = None


def read_token(text: str) -> PassedConfig:
    """Read what people paste as a token: a bare token, or a passed-config blob (base64 of JSON)."""
    text = text.strip()
    try:
        blob = json.loads(base64.b64decode(text, validate=True))
        token = blob["token"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        return PassedConfig(token=text)
    return PassedConfig(
        token=token,
        api_url=blob.get("url"),
        cluster_name=blob.get("cluster"),
        org_name=blob.get("org_name"),
        project_name=blob.get("project_name"),
    )
