"""What Azure Blob Storage says on the wire: keys in paths, headers, and XML. Pure: no I/O."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote, unquote

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, Page
from airflow_provider_neuro_buckets.buckets.stores.digest import md5_of_base64
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_levels, parse_xml, text_ahead
from airflow_provider_neuro_buckets.buckets.stores.rows import Row, Rows

_IN_ROOT, _IN_BLOBS, _IN_BLOB, _IN_PROPERTIES = 1, 2, 3, 4
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def encode_key(key: str) -> str:
    """Percent-encode a key for a path."""
    return quote(key, safe="-_.~/")


def encode_value(text: str) -> str:
    """Percent-encode a value for a query."""
    return quote(text, safe="-_.~")


def why_not_held(key: str) -> str | None:
    r"""Return why Azure cannot hold a key; `None` when it can.

    Azure takes such a key without a word and reads or writes *another* one: `./a` and `a.` are `a` there, `a\b` is
    `a/b`, and `../b/a` is in another container. So they must never be sent.
    """
    if "\\" in key:
        return r"Azure takes '\' for '/'"
    if _NOT_IN_XML.search(key):
        return "Azure refuses control characters"
    if any(segment.endswith(".") for segment in key.split("/")):
        return "Azure drops a dot at the end of a path segment"
    return None


def meta_of_headers(key: str, headers: Mapping[str, str], size: int) -> BlobMeta:
    """Return what the headers of an answer say of a blob.

    :param size: bytes of the whole blob.
    """
    of_body = None if "Content-Range" in headers else headers.get("Content-MD5")
    return BlobMeta(
        key=key,
        size=size,
        etag=_etag(headers.get("ETag")),
        modified_at=_time(headers.get("Last-Modified")),
        created_at=_time(headers.get("x-ms-creation-time")),
        md5=md5_of_base64(headers.get("x-ms-blob-content-md5") or of_body),
    )


def parse_listing(body: bytes, where: str) -> tuple[Page, str | None]:
    """Read a page of List Blobs. Returns the page and the marker of the next one.

    :param where: the address that was listed, for errors.
    :raises InvalidAnswer: not a listing, or one without what it needs; nothing is concluded from it.
    """
    reader = _ListingReader(where)
    root = parse_levels(body, reader.end, reader.attributes)
    if root != "EnumerationResults":
        raise InvalidAnswer(
            f"the listing of {where} is not a listing but <{root}>", remedy="Check the storage_endpoint of the bucket"
        )
    return Page(blobs=Rows(reader.rows), prefixes=reader.prefixes), reader.marker or None


def next_marker(body: bytes) -> str | None:
    """Return what seems to be the marker of the next page, before the listing is read."""
    return text_ahead(body, "NextMarker")


class _ListingReader:
    """Collects what a listing holds, tag by tag: ``Blobs/Blob/Name`` and ``Blobs/Blob/Properties/…`` in the root."""

    def __init__(self, where: str) -> None:
        self.rows: list[Row] = []
        self.prefixes: list[str] = []
        self.marker = ""
        self._where = where
        self._name = ""
        self._is_encoded = False
        self._inner: dict[str, str] = {}
        self._properties: dict[str, str] = {}

    def attributes(self, attributes: Mapping[str, str]) -> None:
        """Take note of a start tag: a name that XML cannot hold comes percent-encoded, and says so."""
        self._is_encoded = attributes.get("Encoded") == "true"

    def end(self, level: int, name: str, text: str) -> None:
        """Take note of an end tag and its text."""
        if level == _IN_PROPERTIES:
            self._inner[name] = text
        elif level == _IN_BLOB:
            if name == "Properties":
                self._properties, self._inner = self._inner, {}
            elif name == "Name":
                self._name = unquote(text, errors="surrogateescape") if self._is_encoded else text
                self._is_encoded = False
            self._inner.clear()
        elif level == _IN_BLOBS:
            self._item(name)
        elif level == _IN_ROOT and name == "NextMarker":
            self.marker = text

    def _item(self, kind: str) -> None:
        # The directories of an account with a hierarchical namespace are listed, but are no blobs.
        if kind == "Blob" and self._properties.get("ResourceType") != "directory":
            self.rows.append(_listed(self._name, self._properties, self._where))
        elif kind == "BlobPrefix":
            self.prefixes.append(self._name)
        self._name, self._properties = "", {}


def _listed(key: str, item: Mapping[str, str], where: str) -> Row:
    size = item.get("Content-Length", "")
    if not key or not size.isdecimal():
        raise InvalidAnswer(f"the listing of {where} has the key {key!r} with the size {size!r}")
    return (
        key,
        int(size),
        _etag(item.get("Etag")),
        _time(item.get("Last-Modified")),
        _time(item.get("Creation-Time")),
        md5_of_base64(item.get("Content-MD5")),
    )


def _etag(text: str | None) -> str | None:
    return (text or "").strip('"') or None


@lru_cache(maxsize=1024)  # many blobs of a page were written within the same second
def _time(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def block_id(upload: str, number: int) -> str:
    """Return the name of part `number` of an upload.

    :param upload: sets the parts apart from those of other uploads to the same key; always of the same length, as all
        names of the blocks of a blob must have one length.
    """
    return b64encode(f"{upload}{number:05d}".encode()).decode()


def block_list(ids: Sequence[str]) -> bytes:
    """Return the body of Put Block List.

    Each block is looked for among the uncommitted ones first and then among those of the blob, so that the list can be
    sent again after a lost answer.
    """
    items = "".join(f"<Latest>{id_}</Latest>" for id_ in ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{items}</BlockList>'.encode()


def parse_error(body: bytes) -> tuple[str, str]:
    """Return the code of an ``<Error>`` document and the first line of its message; empty where there is none."""
    fields: dict[str, str] = {}
    try:
        parse_xml(body, lambda path, text: fields.setdefault(path[-1], text) if len(path) == 2 else None)  # noqa: PLR2004 - Error/Code
    except InvalidAnswer:
        return "", ""
    return fields.get("Code", ""), fields.get("Message", "").partition("\n")[0].strip()
