"""What a client must know before its first request: a value, read from no file and no environment (decision 20).

`BucketsConfig.persistent_credentials` is the platform's answer for persistent credentials with the address of each
bucket added, as :func:`~airflow_provider_neuro_buckets.buckets.persistent.persistent_secret` writes it::

    {"credentials": [{"bucket_id": "bucket-…",
                      "uri": "blob://cluster/org/project/name",
                      "provider": "aws",
                      "credentials": {"bucket_name": "…", "access_key_id": "…", "secret_access_key": "…", …},
                      "read_only": false,                             optional
                      "owner": "…", "created_at": "2026-11-22T…"}]}   optional; else the project and 1970

Other fields of the answer may stay; nothing is made of them.
"""

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
    :ivar persistent_credentials: credentials of some buckets, as described in this module. Blobs of these buckets need
        neither a token nor the platform; everything else does. Never shown.
    :ivar console_url: URL of a page in the platform's web console, with ``{cluster_name}``, ``{org_name}``,
        ``{project_name}``, ``{bucket}`` and ``{key}`` where they go; for links only, nothing is requested there.
    :ivar name: how errors call the origin of this configuration, such as ``connection 'neuro_buckets_default'``.
    :ivar verify: `True` for the system's certificate authorities, or the path of a CA bundle.
    :ivar max_concurrency: requests in flight at once to the storage.
    :ivar max_buffer_bytes: bytes of blobs held in memory at once by transfers.
    :ivar timeout_seconds: longest silence on a connection, not the longest request.
    :ivar max_requests_per_second: to the storage, retries included, of all who share the limit; `None` is no limit.
    :ivar max_bytes_per_second: of bodies to and from the storage, both ways together; likewise.
    :ivar shared_by: clients that share the two limits at once, such as the tasks of a pool; each takes an equal part.
    :ivar on_secret: awaited with each secret when it is first seen, so that the surroundings can mask it.
    """

    api_url: str | None = None
    buckets_url: str | None = None
    token: str | None = field(default=None, repr=False)
    cluster_name: str | None = None
    org_name: str | None = None
    project_name: str | None = None
    persistent_credentials: Mapping[str, Any] | None = field(default=None, repr=False)
    console_url: str | None = None
    name: str = "this configuration"
    verify: bool | str = True
    max_concurrency: int = 64
    max_buffer_bytes: int = 128 * MIB
    timeout_seconds: float = 60.0
    max_requests_per_second: float | None = None
    max_bytes_per_second: float | None = None
    shared_by: int = 1
    on_secret: Callable[[str], Awaitable[None]] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.api_url or self.buckets_url or self.persistent_credentials is not None):
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
            ("max_requests_per_second", self.max_requests_per_second),
            ("max_bytes_per_second", self.max_bytes_per_second),
            ("shared_by", self.shared_by),
        ):
            if number is not None and not number > 0:
                raise ConfigurationError(f"{label} of {self.name} is {number}", remedy="Set it above zero")

    @property
    def has_platform(self) -> bool:
        """Whether the platform can be asked, or blobs of `persistent_credentials` are all that there is."""
        has_address = self.buckets_url is not None or self.api_url is not None
        return has_address and (self.token is not None or self.persistent_credentials is None)

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


def read_token(text: str, *, origin: str = "the token") -> PassedConfig:
    """Read what people paste as a token: a bare token, or a passed-config blob (base64 of JSON).

    :param origin: how errors call it, such as ``the password of connection 'neuro_buckets_default'``.
    :raises ConfigurationError: neither; tells what is wrong with it and never shows it.
    """
    text = "".join(text.split("\n")).strip()
    blob = _passed(text)
    if blob is None:
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigurationError(
                f"{origin} has spaces or unprintable characters", remedy="Paste the token alone, as it was given"
            )
        return PassedConfig(token=text)
    fields = {name: blob.get(name) for name in ("token", "url", "cluster", "org_name", "project_name")}
    for name, value in fields.items():
        if not isinstance(value, str | None) or (name == "token" and not value):
            raise ConfigurationError(
                f"{origin} is a passed config with no usable {name!r}", remedy="Paste it again, as a whole"
            )
    return PassedConfig(
        token=str(fields["token"]),
        api_url=fields["url"],
        cluster_name=fields["cluster"],
        org_name=fields["org_name"],
        project_name=fields["project_name"],
    )


def _passed(text: str) -> dict[str, Any] | None:
    """Return the fields of a passed-config blob; `None` for anything else."""
    try:
        blob = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None
    return blob if isinstance(blob, dict) else None
