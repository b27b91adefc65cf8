"""How a request to Azure shows that it may: a SAS in the URL, or a signature made with the account key.

The signature is the documented Shared Key of the Blob service. The SDK's own signer is not used: it is private, and it
does not sign ``Range``.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlsplit

from airflow_provider_neuro_buckets.buckets.credentials import needed
from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import parse_error
from airflow_provider_neuro_buckets.buckets.stores.direct import Request

VERSION = "2021-12-02"
"""Of the protocol: the first with names that XML cannot hold is 2021-02-12, and all later ones still answer to it."""
_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_REJECTED = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAccess:
    """Where a container is, and what opens it: `sas`, or `key` where that is empty. Neither shows in a `repr`.

    :ivar container_url: without a ``/`` at its end.
    """

    container_url: str
    container: str
    account: str = ""
    key: bytes = field(default=b"", repr=False)
    sas: str = field(default="", repr=False)

    @classmethod
    def of(cls, credentials: BucketCredentials) -> AzureAccess:
        """Read the credentials as the platform sends them.

        :raises InvalidAnswer: they lack something, or something in them cannot be used.
        """
        keys = credentials.credentials
        endpoint, container = _endpoint(needed(keys, "storage_endpoint")), needed(keys, "bucket_name")
        url = f"{endpoint}/{quote(container, safe='$-_.~')}"
        if keys.get("credential"):
            key = _account_key(keys["credential"])
            return cls(container_url=url, container=container, account=account_name(endpoint), key=key)
        return cls(container_url=url, container=container, sas=_sas(needed(keys, "sas_token")))

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of a blob, or of the container where `path` is empty; with the SAS, if there is one."""
        base = f"{self.container_url}/{path}" if path else self.container_url
        queries = "&".join(part for part in (query, self.sas) if part)
        return f"{base}?{queries}" if queries else base

    def authorize(self, method: str, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return `headers` with what the account key adds to them; as they are where a SAS opens."""
        if self.sas:
            return dict(headers)
        dated = {**headers, "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True)}
        text = string_to_sign(method, url, dated, account=self.account)
        return {**dated, "Authorization": f"SharedKey {self.account}:{_signature(self.key, text)}"}

    def read_url(self, path: str, key: str, *, expires_in_seconds: float) -> str:
        """Return a URL with which anybody can GET one blob for a while; only with the account key.

        :param path: `key`, encoded.
        :param expires_in_seconds: by the local clock.
        """
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas  # noqa: PLC0415 - takes half a second

        sas = generate_blob_sas(
            self.account,
            self.container,
            key,
            account_key=b64encode(self.key).decode(),
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + timedelta(seconds=expires_in_seconds),
            protocol="https" if self.container_url.startswith("https:") else "https,http",
        )
        return f"{self.container_url}/{path}?{sas}"


def string_to_sign(method: str, url: str, headers: Mapping[str, str], *, account: str) -> str:
    """Return what the Shared Key of the Blob service signs of a request.

    :param url: encoded, as it is sent.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if lower.get("content-length") == "0":
        del lower["content-length"]
    target = urlsplit(url)
    query = sorted((name.lower(), value) for name, value in parse_qsl(target.query))
    return "\n".join(
        [
            method,
            *(lower.get(name, "") for name in _SIGNED),
            *(f"{name}:{value}" for name, value in sorted(lower.items()) if name.startswith("x-ms-")),
            f"/{account}{target.path or '/'}",
            *(f"{name}:{value}" for name, value in query),
        ]
    )


def account_name(endpoint: str) -> str:
    """Return the name of the storage account, which is part of its address.

    :raises InvalidAnswer: it is not part of this one.
    """
    target = urlsplit(endpoint)
    host = target.hostname or ""
    if ".blob." in host:
        return host.partition(".")[0].removesuffix("-secondary")
    if first := target.path.strip("/").partition("/")[0]:
        return first
    raise InvalidAnswer(
        f"the address {endpoint} does not name its storage account, which an account key needs",
        remedy="Import the bucket with the endpoint https://<account>.blob.core.windows.net, or with a sas_token",
    )


def _endpoint(text: str) -> str:
    target = urlsplit(text.strip())
    if target.scheme not in {"http", "https"} or not target.hostname or "@" in target.netloc:
        raise InvalidAnswer(
            "the storage_endpoint of the bucket is not an HTTP address", remedy="Check how the bucket was imported"
        )
    return f"{target.scheme}://{target.netloc}{target.path.rstrip('/')}"  # a query there would be a SAS: it stays out


def _account_key(text: str) -> bytes:
    try:
        return b64decode(text.strip(), validate=True)
    except ValueError:
        raise InvalidAnswer(
            "the credential of the bucket is not an account key, which is Base64",
            remedy="Import the bucket with key1 or key2 of its storage account, or with a sas_token",
        ) from None


def _sas(text: str) -> str:
    sas = text.strip().lstrip("?&").rstrip("&")
    if not sas.isascii() or not sas.isprintable() or " " in sas or "sig=" not in sas:
        raise InvalidAnswer(
            "the sas_token of the bucket is not a SAS", remedy="Check how the bucket was imported: it has a part sig=…"
        )
    return sas


def _signature(key: bytes, text: str) -> str:
    return b64encode(hmac.digest(key, text.encode(), sha256)).decode()


class AzureSigner:
    """Signs requests to one container with whatever credentials are current."""

    def __init__(self) -> None:
        self._for: BucketCredentials | None = None
        self._access: AzureAccess | None = None

    def access(self, credentials: BucketCredentials) -> AzureAccess:
        """Return what some credentials open."""
        if credentials is not self._for or self._access is None:
            self._access, self._for = AzureAccess.of(credentials), credentials
        return self._access

    def sign(self, credentials: BucketCredentials, request: Request) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a request that is allowed in."""
        access = self.access(credentials)
        url = access.url(request.path, request.query)
        return url, access.authorize(request.method, url, {**request.headers, "x-ms-version": VERSION})

    def error_code(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the code and the message of a refusal. The answer to a HEAD has only the code, in a header."""
        in_body, message = parse_error(body)
        code = headers.get("x-ms-error-code", "") or in_body
        if code == "AuthorizationFailure" and (not body or message.startswith("Server failed to authenticate")):
            code = "AuthenticationFailed"  # Azurite's word for it; to Azure, the other one speaks of its firewall
        return code, "" if "sig=" in message else message

    def is_expired(self, status: int, code: str, method: str) -> bool:  # noqa: ARG002 - Signer's signature
        """Whether the SAS may have ended: Azure answers a wrong, an ended and a revoked one alike."""
        return code in _REJECTED or status == HTTPStatus.UNAUTHORIZED

    def sets_clock(self, code: str, skew: float) -> bool:  # noqa: ARG002 - Signer's signature
        """Whether the time was the reason for a refusal, and is put right: never, as no code tells."""
        return False
