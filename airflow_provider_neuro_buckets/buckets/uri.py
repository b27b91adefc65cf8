"""Addresses: ``blob:`` URIs to cluster, org, project, bucket and key, and back.

A key is the percent-decoded path, decoded exactly once (decision 2). The text of a `str` is read as it stands; a
`yarl.URL` has already been normalised by yarl, which collapses dot segments of absolute URLs that were not given as
encoded: an entry's `uri` therefore encodes dots-only segments and is built as already encoded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote, unquote

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress

SCHEME = "blob"
_FORMS = "blob:bucket/key, blob:/project/bucket/key or blob://cluster/org/project/bucket/key"
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,38}[a-z0-9]")
_ID = re.compile(r"bucket-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAGIC = re.compile(r"[*?\[]")
_SAFE_IN_KEY = "/!$&'()*,;=:@~"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobAddress:
    """One reading of a ``blob:`` URI. `None` means: what the configuration says.

    :ivar bucket: name or id; empty when the URI stops before it.
    :ivar owner: set instead of `project` where the URI names a bucket owner of the older servers.
    """

    bucket: str
    key: str
    cluster: str | None = None
    org: str | None = None
    project: str | None = None
    owner: str | None = None


def parse_blob_uri(uri: URL | str) -> list[BlobAddress]:
    """Return every reading of a ``blob:`` URI, the likeliest first.

    A complete URI has two: ``cluster/org/project/bucket/key``, and ``cluster/owner/bucket/key`` of older servers.

    :param uri: the address; percent-escapes in its path are decoded once.
    :raises InvalidAddress: another scheme, a query, a fragment, a user or a port, or no bucket.
    """
    text = str(uri)
    if "?" in text or "#" in text:
        raise InvalidAddress(f"{text!r} has a query or a fragment", remedy="Write '?' as %3F and '#' as %23 in a key")
    return [replace(reading, key=_decode(reading.key, repr(text))) for reading in _readings(text)]


def parse_blob_pattern(pattern: URL | str) -> list[BlobAddress]:
    """Return every reading of a glob address that has no operator in its bucket; `key` of each is the pattern.

    :param pattern: as a `str` the part behind the bucket is taken raw; as a `URL` it is decoded once, so that
        ``%3F`` and ``%5B`` are operators.
    :raises InvalidAddress: as :func:`parse_blob_uri`, or every reading has an operator in the bucket's name.
    """
    readings = _readings(str(pattern)) if isinstance(pattern, str) else parse_blob_uri(pattern)
    plain = [reading for reading in readings if not _MAGIC.search(reading.bucket)]
    if not plain:
        raise InvalidAddress(f"{str(pattern)!r} has a wildcard in the bucket", remedy="A pattern looks into one bucket")
    return plain


@dataclass(frozen=True, slots=True)
class BlobPath:
    """An absolute ``blob:`` URI that nobody has divided into owner, bucket and key yet: an owner may have slashes.

    :ivar cluster: `None` in the form ``blob:/owner/bucket/key``.
    :ivar segments: between the slashes, still encoded.
    :ivar is_pattern: the key is a glob pattern, to be taken raw.
    """

    cluster: str | None
    segments: tuple[str, ...]
    is_pattern: bool = False

    @classmethod
    def of(cls, uri: URL | str, *, is_pattern: bool = False) -> BlobPath | None:
        """Read a URI; `None` for the form ``blob:bucket/key``, which leaves nothing open."""
        cluster, path = _split(str(uri))
        if cluster is None and not path.startswith("/"):
            return None
        path = path.lstrip("/") if cluster is None else path.removeprefix("/")
        return cls(cluster, tuple(path.split("/")), is_pattern and isinstance(uri, str))

    @property
    def plain(self) -> str:
        """The decoded path, up to the first operator of a pattern: somewhere in it the bucket ends."""
        segments = takewhile(lambda part: not (self.is_pattern and _MAGIC.search(part)), self.segments)
        return "/".join(unquote(part) for part in segments)

    def key_in(self, bucket_paths: Sequence[Sequence[str]], *, has_org: bool) -> str | None:
        """Return the key, or the pattern, behind the bucket; `None` if the path does not lead into it.

        :param bucket_paths: the nouns that lead to the bucket, from the cluster on, each a way to write it.
        :param has_org: the first of these nouns is an org, which an address without a cluster leaves out.
        """
        for nouns in bucket_paths:
            expected = list(nouns[1:] if has_org and self.cluster is None else nouns)
            count = len(expected)
            if [unquote(part) for part in self.segments[:count]] == expected:
                rest = "/".join(self.segments[count:])
                return rest if self.is_pattern else _decode(rest, repr(rest))
        return None


def _readings(text: str) -> list[BlobAddress]:
    """Return the readings of the text of a URI, keys still encoded."""
    shown = repr(text)
    cluster, path = _split(text)
    if cluster is None and not path.startswith("/"):
        bucket, _, key = path.partition("/")
        return [BlobAddress(bucket=_segment(bucket, shown), key=key)]
    path = path.lstrip("/") if cluster is None else path.removeprefix("/")
    if cluster is None:
        project, bucket, key = _cut(path, 2, shown)
        return [BlobAddress(bucket=bucket, key=key, project=project)]
    readings = []
    if path.rstrip("/").count("/") >= 2:  # noqa: PLR2004 - org/project/bucket
        org, project, bucket, key = _cut(path, 3, shown)
        readings.append(BlobAddress(bucket=bucket, key=key, cluster=cluster, org=org, project=project))
    owner, bucket, key = _cut(path, 2, shown)
    readings.append(BlobAddress(bucket=bucket, key=key, cluster=cluster, owner=owner))
    return readings


def _split(text: str) -> tuple[str | None, str]:
    """Return (cluster or None, still encoded path) of the text of a URI."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() != SCHEME:
        raise InvalidAddress(f"{text!r} is not a blob address", remedy=f"Write {_FORMS}")
    if not rest.startswith("//") or rest.startswith("///"):
        return None, rest
    host, slash, path = rest[2:].partition("/")
    if any(mark in host for mark in "@:~?#") or not host:
        raise InvalidAddress(f"{host!r} is not a cluster name in {text!r}", remedy=f"Write {_FORMS}")
    return host.lower(), slash + path


def _cut(path: str, nouns: int, shown: str) -> list[str]:
    parts = path.split("/", nouns)
    parts += [""] * (nouns + 1 - len(parts))
    return [*(_segment(part, shown) for part in parts[:nouns]), parts[nouns]]


def _segment(text: str, shown: str) -> str:
    name = _decode(text, shown)
    if not name or "/" in name or name.startswith("~"):
        raise InvalidAddress(f"{shown} names no bucket", remedy=f"Write {_FORMS}")
    return name


def _decode(text: str, shown: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidAddress(f"{shown} is not UTF-8 behind its percent-escapes", remedy="Keys are UTF-8 text") from None


def local_path(path: URL | str | os.PathLike[str]) -> Path:
    """Return the local path that a ``file:`` URL, a plain path or a `Path` means; ``~`` is not expanded.

    :raises InvalidAddress: another scheme, a host, a query or a fragment; or nothing, of which Python would make the
        current folder: an empty template must neither upload nor fill that.
    """
    if isinstance(path, os.PathLike):
        return Path(path)
    if isinstance(path, str) and path and not re.match(r"[a-z][a-z0-9+.-]*:", path):
        return Path(path)
    try:
        url = URL(path)
    except (TypeError, ValueError):  # no text, or one that no URL can be
        url = URL()
    if url.scheme != "file" or url.raw_host or url.raw_query_string or url.raw_fragment or not url.raw_path:
        raise InvalidAddress(f"{str(path)!r} is not a local path", remedy="Write a path, or a file: URL without host")
    return Path(_decode(url.raw_path, repr(str(path))))


def file_url(path: Path) -> URL:
    """Return the ``file:`` URL of a local path, which is made absolute."""
    return URL.build(scheme="file", path=str(path.absolute()))


def quote_key(key: str) -> str:
    """Percent-encode a key so that `parse_blob_uri` reads the same key back, dots-only segments included.

    A listing may tell of keys that are no Unicode text: nobody can read those, but errors name them.
    """
    try:
        quoted = quote(key, safe=_SAFE_IN_KEY, errors="surrogateescape")
    except UnicodeEncodeError:
        quoted = quote(key, safe=_SAFE_IN_KEY, errors="surrogatepass")
    return "/".join(part.replace(".", "%2E") if part in {".", ".."} else part for part in quoted.split("/"))


def blob_uri(bucket_uri: URL, key: str) -> URL:
    """Return the address of a key in the bucket at `bucket_uri`."""
    return URL(f"{bucket_uri}/{quote_key(key)}", encoded=True)


def blob_address(bucket_id_or_name: str, key: str) -> str:
    """Return an address of a key in the bucket of a name, id or URI, as short as the bucket is given."""
    home = bucket_id_or_name if is_blob_uri(bucket_id_or_name) else f"{SCHEME}:{bucket_id_or_name}"
    return f"{home.rstrip('/')}/{quote_key(key)}"


def bucket_uri(*, cluster: str, org: str | None, project: str, bucket: str) -> URL:
    """Return the address of a bucket, `blob://cluster/[org/]project/bucket`."""
    nouns = [noun for noun in (org, *project.split("/"), bucket) if noun]
    return URL(f"{SCHEME}://{cluster}/" + "/".join(quote(noun, safe="") for noun in nouns), encoded=True)


def is_blob_uri(text: URL | str) -> bool:
    """Whether the text is meant as a ``blob:`` URI, and not as a name or an id."""
    return str(text)[: len(SCHEME) + 1].lower() == f"{SCHEME}:"


def is_bucket_id(text: str) -> bool:
    """Whether the text is an id of the platform; it is too long to be a name."""
    return _ID.fullmatch(text) is not None


def check_name(name: str, *, what: str = "bucket") -> str:
    """Return `name` if the platform accepts it for a bucket or for credentials.

    :raises InvalidAddress: not 3-40 of ``a-z 0-9 _ -``, starting with a letter, ending with a letter or digit.
    """
    if not _NAME.fullmatch(str(name)):  # a template may make a number of it
        raise InvalidAddress(
            f"{name!r} is not a {what} name",
            remedy="Use 3 to 40 of a-z, 0-9, '-' and '_', starting with a letter and ending with a letter or digit",
        )
    return name
