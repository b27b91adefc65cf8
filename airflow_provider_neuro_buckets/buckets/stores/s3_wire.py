"""What S3 says on the wire: signatures, keys in paths, and XML. Pure: no I/O."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import repeat
from types import MappingProxyType
from urllib.parse import quote, unquote_plus
from xml.sax.saxutils import escape

from botocore.credentials import Credentials

from airflow_provider_neuro_buckets.buckets.credentials import needed
from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.alike import Records
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, CopySource, Page, Site
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum, is_computable
from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_records, parse_xml, text_ahead
from airflow_provider_neuro_buckets.buckets.stores.rows import Row, Rows
from airflow_provider_neuro_buckets.buckets.stores.s3_address import bucket_url, endpoint, is_aws, region
from airflow_provider_neuro_buckets.buckets.stores.s3_signature import Seal

SMALL_ANSWER = 1024 * 1024
CRC32 = "x-amz-checksum-crc32"
CRC_TYPE = "x-amz-checksum-type"
CRC32_OF_WHOLE = {"x-amz-checksum-algorithm": "CRC32", CRC_TYPE: "FULL_OBJECT"}
"""What an upload in parts is begun with, and answered with, if S3 is to keep a CRC32 of the whole content."""
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestExpired",
        "InvalidAccessKeyId",
    }
)
_MD5 = re.compile(r"[0-9a-f]{32}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_OF_PARTS = re.compile(r"[0-9a-f]{32}-[1-9][0-9]*")
_CHECKSUM = re.compile(r"((?:[\w+/]{4})+(?:[\w+/]{2}==|[\w+/]{3}=)?)(?:-([1-9][0-9]{0,4}))?", re.ASCII)
_http_time = lru_cache(parsedate_to_datetime)
"""Blobs written within a second share their time; to read it takes 20 µs."""
_listed_time = lru_cache(datetime.fromisoformat)
_SIZE = re.compile("[0-9]{1,30}")
_NOT_XML = re.compile("[\x00-\x08\x0a-\x1f\ufffe\uffff\ud800-\udfff]")


def encode_key(key: str) -> str:
    """Percent-encode a key for a path, as S3 signs it."""
    return quote(key, safe="-_.~/")


def encode_query(fields: Mapping[str, str | None]) -> str:
    """Return a query string of the fields that have a value."""
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in fields.items() if value is not None)


class S3Signer:
    """Signs requests to one bucket with whatever credentials are current."""

    def __init__(self) -> None:
        self._for: BucketCredentials | None = None
        self._seal: Seal | None = None
        self._skew = 0.0

    def sign(self, credentials: BucketCredentials, request: Request) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a signed request."""
        seal = self._seal_of(credentials)
        return seal.url(request), seal.headers(request, skew=self._skew)

    def presign(self, credentials: BucketCredentials, key: str, *, seconds: int, skew: float) -> str:
        """Return a URL with which anybody can GET `key`; see :meth:`Seal.signed_url`."""
        return self._seal_of(credentials).signed_url(encode_key(key), seconds=seconds, skew=skew)

    def _seal_of(self, credentials: BucketCredentials) -> Seal:
        if credentials is not self._for or self._seal is None:
            keys = credentials.credentials
            self._seal = Seal(_secrets(keys), region=region(keys), base=bucket_url(keys))
            self._for = credentials
        return self._seal

    def error_code(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the code and the message of an ``<Error>`` document, and where the bucket is, if that is elsewhere."""
        code, message = error_in(body)
        found = headers.get("x-amz-bucket-region", "")
        if self._for is None or not _REGION.fullmatch(found) or found == region(self._for.credentials):
            return code, message
        return code, f"the bucket is in the region {found}, its credentials say {region(self._for.credentials)}"

    def is_expired(self, status: int, code: str, method: str) -> bool:  # noqa: ARG002 - Signer's signature
        """Whether the credentials may have ended. A refused HEAD never tells: it has no body to tell it in."""
        return code in _EXPIRED

    def sets_clock(self, code: str, skew: float) -> bool:
        """Sign by the server's clock from now on, if a refusal says that the local one is too far from it."""
        if code != "RequestTimeTooSkewed":
            return False
        self._skew = skew
        return True


def error_in(body: bytes) -> tuple[str, str]:
    """Return the code and the message of an ``<Error>`` document; empty for any other."""
    fields: dict[str, str] = {}

    def on_text(path: Sequence[str], text: str) -> None:
        match path:
            case ["Error", name]:
                fields.setdefault(name, text)

    try:
        parse_xml(body.strip(), on_text)
    except InvalidAnswer:
        return "", ""
    return fields.get("Code", ""), fields.get("Message", "")


def text_in(body: bytes, root: str, name: str, what: str) -> str:
    """Return the text of one element of an answer. S3 sends white space first while it is busy.

    :raises InvalidAnswer: another document, or one without it.
    """
    found = fields_in(body, root).get(name)
    if not found:
        raise InvalidAnswer(f"{what}: the answer is not a {root} with its {name}")
    return found


def fields_in(body: bytes, root: str) -> Mapping[str, str]:
    """Return the elements of an answer that hold nothing but text; none of another document."""
    found: dict[str, str] = {}

    def on_text(path: Sequence[str], text: str) -> None:
        match path:
            case [name, element] if name == root:
                found.setdefault(element, text)

    parse_xml(body.strip(), on_text)
    return found


def completion(etags: Mapping[int, str], crcs: Mapping[int, str] = MappingProxyType({})) -> bytes:
    """Return the body of CompleteMultipartUpload.

    :param etags: of each part by its number.
    :param crcs: the CRC32s in Base64, of an upload that keeps them.
    """
    items = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etags[number])}&quot;</ETag>"
        f"{f'<ChecksumCRC32>{crcs[number]}</ChecksumCRC32>' if number in crcs else ''}</Part>"
        for number in sorted(etags)
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{items}</CompleteMultipartUpload>'.encode()


def _secrets(keys: Mapping[str, str]) -> Credentials:
    return Credentials(needed(keys, "access_key_id"), needed(keys, "secret_access_key"), keys.get("session_token"))


def site_of(credentials: BucketCredentials) -> Site:
    """Return where the bucket of some credentials is. All of AWS is one service, whatever region an endpoint names."""
    keys = credentials.credentials
    return Site(
        service="s3 " + ("amazonaws.com" if is_aws(keys) else endpoint(keys)),
        bucket=needed(keys, "bucket_name"),
        # Two sessions of one key may have different rights.
        rights=f"{needed(keys, 'access_key_id')} {keys.get('session_token', '')}",
        credentials=credentials,
    )


def copy_headers(source: CopySource) -> dict[str, str]:
    """Return what a request to copy says of its source: only this version of it."""
    headers = {"x-amz-copy-source": f"/{encode_key(source.site.bucket)}/{encode_key(source.meta.key)}"}
    if source.meta.etag is not None:
        headers["x-amz-copy-source-if-match"] = f'"{source.meta.etag}"'
    return headers


def bare_etag(header: str | None) -> str | None:
    """Return the ETag in a header or in XML: without quotes, and without the mark that a proxy puts on a weak one."""
    return (header or "").removeprefix("W/").strip('"') or None


def md5_of_etag(etag: str | None) -> str | None:
    """Return the MD5 in an ETag, where it is one: 32 hex digits, a single part."""
    return etag if etag is not None and _MD5.fullmatch(etag) else None


def is_of_parts(etag: str | None) -> bool:
    """Whether an ETag looks as S3 makes it for a blob of parts: the MD5 of their MD5s, and their number."""
    return etag is not None and _OF_PARTS.fullmatch(etag) is not None


def is_md5_hidden(headers: Mapping[str, str]) -> bool:
    """Whether the ETag looks like an MD5 and is none: so it is with keys of AWS KMS."""
    return headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")


def meta_of_headers(key: str, headers: Mapping[str, str], size: int) -> BlobMeta:
    """Return what the headers of a HEAD or GET say."""
    etag = bare_etag(headers.get("ETag"))
    return BlobMeta(
        key=key,
        size=size,
        etag=etag,
        modified_at=_time(headers.get("Last-Modified"), _http_time),
        md5=None if is_md5_hidden(headers) else md5_of_etag(etag),
    )


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """Return the checksum in the headers of a HEAD; `None` if there is none that is computed fast here."""
    for algorithm in ("crc64nvme", "crc32c", "crc32", "sha1", "sha256"):
        found = _CHECKSUM.fullmatch(headers.get(f"x-amz-checksum-{algorithm}", ""))
        if found and is_computable(algorithm):
            return Checksum(algorithm, b64decode(found[1]), int(found[2]) if found[2] else None)
    return None


def parse_listing(body: bytes, where: str) -> tuple[Page, str | None]:
    """Read a page of ListObjectsV2. Returns the page and the token of the next one.

    Keys are decoded where the answer says that they are encoded: not every server does what ``encoding-type`` asks.

    :param where: the address that was listed, for errors.
    :raises InvalidAnswer: not a listing, or one without what it needs; nothing is concluded from it.
    """
    is_encoded = text_ahead(body, "EncodingType") == "url"
    page, fields = _read_listing(body, where, decode=_decoded if is_encoded else str)
    if (fields.get("EncodingType") == "url") is not is_encoded:
        page, fields = _read_listing(body, where, decode=str if is_encoded else _decoded)
    if fields.get("IsTruncated") != "true":
        return page, None
    token = fields.get("NextContinuationToken")
    if not token:
        raise InvalidAnswer(f"the listing of {where} goes on, but does not say where")
    return page, token


def _read_listing(body: bytes, where: str, *, decode: Callable[[str], str]) -> tuple[Page, Mapping[str, str]]:
    fields: dict[str, str] = {}
    blobs: list[Row] = []
    prefixes: list[str] = []

    def on_blobs(records: Records) -> None:
        blobs.extend(_listed([decode(key) for key in records.field("Key")], records, where))

    def on_prefixes(records: Records) -> None:
        prefixes.extend(decode(prefix) for prefix in records.field("Prefix") if prefix)

    root = parse_records(body, fields, {"Contents": on_blobs, "CommonPrefixes": on_prefixes})
    if root != "ListBucketResult":
        raise InvalidAnswer(
            f"the listing of {where} is not a listing but <{root}>", remedy="Check the endpoint of the bucket"
        )
    return Page(blobs=Rows(blobs), prefixes=prefixes), fields


def _decoded(key: str) -> str:
    # Bytes that are no text stay apart from every other key, and are refused where the key is used.
    return unquote_plus(key, errors="surrogateescape") if "%" in key or "+" in key else key


def next_token(body: bytes) -> str | None:
    """Return what seems to be the token of the next page, before the listing is read."""
    return text_ahead(body, "NextContinuationToken")


def _listed(keys: Sequence[str], records: Records, where: str) -> Iterable[Row]:
    sizes = records.field("Size")
    if not all(keys) or not all(map(_SIZE.fullmatch, sizes)):
        key, size = next(pair for pair in zip(keys, sizes, strict=True) if not pair[0] or not _SIZE.fullmatch(pair[1]))
        raise InvalidAnswer(f"the listing of {where} has the key {key!r} with the size {size!r}")
    etags = [bare_etag(etag) for etag in records.field("ETag")]
    moments = records.field("LastModified")
    time_of = {moment: _time(moment, _listed_time) for moment in set(moments)}
    modified = map(time_of.__getitem__, moments)
    return zip(keys, map(int, sizes), etags, modified, repeat(None), map(md5_of_etag, etags))


def _time(text: str | None, read: Callable[[str], datetime]) -> datetime | None:
    """Return a time as a store writes it; `None` for one that cannot be read: no blob is lost for its date."""
    try:
        moment = read(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def deletion(keys: Sequence[str]) -> bytes:
    """Return the body of a DeleteObjects request that reports failures only."""
    items = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{items}</Delete>'.encode()


def fits_xml(key: str) -> bool:
    """Whether XML carries the key unharmed: it has no control characters, and servers trim white space at its ends."""
    return not _NOT_XML.search(key) and key == key.strip()


def parse_deletion(body: bytes, where: str) -> list[tuple[str, str, str]]:
    """Return (key, code, message) of each failure in the answer to DeleteObjects.

    :raises InvalidAnswer: not such an answer.
    """
    failures: list[tuple[str, str, str]] = []

    def on_errors(records: Records) -> None:
        failures.extend(zip(*map(records.field, ("Key", "Code", "Message")), strict=True))

    root = parse_records(body, {}, {"Error": on_errors})
    if root != "DeleteResult":
        raise InvalidAnswer(f"the answer to a deletion in {where} is not one but <{root}>")
    return failures
