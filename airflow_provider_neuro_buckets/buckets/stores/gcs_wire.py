"""What Google Cloud Storage says on the wire: addresses, the bearer token, JSON. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from yarl import URL

from airflow_provider_neuro_buckets.buckets.credentials import needed
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.http.connecting import is_loopback
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Page
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc
from airflow_provider_neuro_buckets.buckets.stores.digest import md5_of_base64
from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_xml

ENDPOINT = "https://storage.googleapis.com"
BUCKET = "{bucket}"
"""Stands for the bucket's name in a path until the credentials tell it; an encoded key never has braces."""
BLOB_FIELDS = "kind,name,size,generation,md5Hash,crc32c,timeCreated,updated"
LISTING_FIELDS = "kind,nextPageToken,prefixes,items(name,size,generation,md5Hash,timeCreated,updated)"
UPLOAD_PATH = f"upload/storage/v1/b/{BUCKET}/o"
LISTING_PATH = f"storage/v1/b/{BUCKET}/o"
_ACME = ".well-known/acme-challenge/"
_LONGEST_NAME = 1024


def quoted(text: str) -> str:
    """Percent-encode all that could mean something in an address, ``/`` included: dot segments survive any client."""
    return quote(text, safe="-_.~")


def blob_path(key: str) -> str:
    """Return the path of a blob in the JSON API."""
    return f"{LISTING_PATH}/{quoted(key)}"


def why_not_held(key: str) -> str | None:
    """Return why Google takes no blob of a name; `None` when it does."""
    if key in {".", ".."}:
        return "a name of dots only"
    if "\n" in key or "\r" in key:
        return "a line break in the name"
    if key.startswith(_ACME):
        return f"names that begin with {_ACME} are reserved"
    return f"more than {_LONGEST_NAME} bytes in the name" if len(key.encode()) > _LONGEST_NAME else None


def endpoint(keys: Mapping[str, str]) -> str:
    """Return the address of the service, without a ``/`` at its end.

    Google's own, unless the credentials carry `endpoint_url`: an addition of this package, for emulators.
    """
    address = keys.get("endpoint_url")
    return guarded_address(address, "endpoint_url of the bucket's credentials").rstrip("/") if address else ENDPOINT


def guarded_address(address: str, label: str) -> str:
    """Return an address that a secret may be sent to: https, or http on this machine.

    :raises ConfigurationError: it is another one.
    """
    try:
        url = URL(address)
        is_bare = url.host is not None and not (url.user or url.password or url.query_string or url.fragment)
        is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host or ""))
    except ValueError:
        is_bare = is_safe = False
    if not (is_bare and is_safe):
        raise ConfigurationError(f"the {label} cannot be used", remedy="Write it like https://storage.example.org")
    return address


class GcsSigner:
    """Puts the address and the bearer token to requests."""

    def sign(self, credentials: BucketCredentials, request: Request) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a request."""
        keys = credentials.credentials
        path = request.path.replace(BUCKET, quoted(needed(keys, "bucket_name")))
        url = f"{endpoint(keys)}/{path}" + (f"?{request.query}" if request.query else "")
        return url, {**request.headers, "Authorization": f"Bearer {needed(keys, 'access_token')}"}

    def error_code(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, str]:  # noqa: ARG002 - Signer's signature
        """Return the reason and the message of a refusal: JSON, or XML where parts of uploads are concerned."""
        return refusal(body)

    def is_expired(self, status: int, code: str, method: str) -> bool:  # noqa: ARG002 - Signer's signature
        """Whether the token may have ended."""
        return status == HTTPStatus.UNAUTHORIZED

    def sets_clock(self, code: str, skew: float) -> bool:  # noqa: ARG002 - Signer's signature
        """Whether the time was the reason for a refusal, and is put right: never, as no code tells."""
        return False


def refusal(body: bytes) -> tuple[str, str]:
    """Return the code and the message in the body of a refusal; empty where there is none."""
    try:
        error = json.loads(body)["error"]
        reason = error["errors"][0]["reason"] if error.get("errors") else error.get("status", "")
        message = str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return _xml_refusal(body)
    # Google names no code of its own for a wrong checksum.
    code = "BadDigest" if "match calculated" in message else str(reason)
    return code, message


def _xml_refusal(body: bytes) -> tuple[str, str]:
    fields: dict[str, str] = {}
    try:
        parse_xml(body, lambda path, text: fields.setdefault(path[-1], text) if len(path) == 2 else None)  # noqa: PLR2004 - Error/Code
    except InvalidAnswer:
        return "", ""
    return fields.get("Code", ""), fields.get("Message", "")


def parse_blob(key: str, body: bytes, what: str) -> tuple[BlobMeta, str | None]:
    """Read what the service says of one blob. Returns it, and the base64 CRC32C of the content.

    :raises InvalidAnswer: not that, or without what is needed.
    """
    blob = parse_document(body, "storage#object", what)
    if blob.get("name") != key:
        raise InvalidAnswer(f"{what}: the answer is about the key {blob.get('name')!r}")
    return _meta(key, blob, what), _text(blob, "crc32c")


def parse_listing(body: bytes, where: str) -> tuple[Page, str | None]:
    """Read a page of a listing. Returns the page and the token of the next one.

    :param where: the address that was listed, for errors.
    :raises InvalidAnswer: not a listing, or one without what it needs; nothing is concluded from it.
    """
    what = f"cannot list {where}"
    page = parse_document(body, "storage#objects", what)
    items, prefixes = page.get("items", []), page.get("prefixes", [])
    if not isinstance(items, list) or not isinstance(prefixes, list):
        raise InvalidAnswer(f"{what}: its parts are no lists")
    blobs = [_meta(_text(item, "name"), item, what) for item in items if isinstance(item, dict)]
    if len(blobs) < len(items) or not all(isinstance(prefix, str) for prefix in prefixes):
        raise InvalidAnswer(f"{what}: its parts are no blobs and prefixes")
    return Page(blobs=blobs, prefixes=prefixes), _text(page, "nextPageToken")


def parse_document(body: bytes, kind: str, what: str) -> dict[str, Any]:
    """Read an answer of the JSON API.

    :raises InvalidAnswer: it is of another kind.
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise InvalidAnswer(f"{what}: the answer is not a {kind}", remedy="Check the endpoint of the bucket")
    return document


def _meta(key: str | None, blob: Mapping[str, Any], what: str) -> BlobMeta:
    size, generation = str(blob.get("size", "")), _text(blob, "generation")
    if not key or not size.isdecimal() or not generation:
        raise InvalidAnswer(f"{what}: the key {key!r} has the size {size!r} and the generation {generation!r}")
    return BlobMeta(
        key=key,
        size=int(size),
        etag=generation,
        modified_at=_time(_text(blob, "updated")),
        created_at=_time(_text(blob, "timeCreated")),
        md5=md5_of_base64(_text(blob, "md5Hash")),
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def _time(text: str | None, read: Callable[[str], datetime] = datetime.fromisoformat) -> datetime | None:
    try:
        return read(text) if text else None
    except ValueError:
        return None


def meta_of_headers(key: str, headers: Mapping[str, str], size: int) -> BlobMeta:
    """Return what the headers of an answer with content say; they do not tell when the blob was made."""
    return BlobMeta(
        key=key,
        size=size,
        etag=headers.get("X-Goog-Generation") or None,
        modified_at=_time(headers.get("Last-Modified"), parsedate_to_datetime),
        md5=md5_of_base64(hashes(headers).get("md5")),
    )


def checksum_of(meta: BlobMeta, now: BlobMeta, crc32c: str | None) -> Checksum | None:
    """Return the CRC32C of a blob, in the notation of the service; `None` if there is none, or another version now."""
    crc = Crc.CRC32C.of_base64(crc32c)
    return Checksum("crc32c", Crc.CRC32C.bytes_of(crc)) if crc is not None and now.etag == meta.etag else None


def hashes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the base64 hashes in ``X-Goog-Hash`` by their names: ``md5``, ``crc32c``.

    The service may send one header for each, so all of a `CIMultiDictProxy` are read.
    """
    every = headers.getall("X-Goog-Hash", []) if hasattr(headers, "getall") else [headers.get("X-Goog-Hash", "")]
    pairs = (part.strip().partition("=") for part in ",".join(every).split(","))
    return {name: value for name, _, value in pairs if value}


def related_parts(metadata: Mapping[str, str], boundary: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the content in a ``multipart/related`` upload that carries its metadata."""
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(metadata)}\r\n"
        f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()
