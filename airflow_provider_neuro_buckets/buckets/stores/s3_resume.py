"""Uploads in parts to S3 that go on with one that was cut off.

An upload that nobody ended is there until the rules of the bucket remove it. Who may write may go on with it, if its id
is known: from a note that the upload before made of it, or from S3, which lists uploads and their parts to whoever has
the right; the credentials of the platform do not. Of what is listed, the MD5 of the first part shows whether the upload
is of the same content, whoever began it. Of what is noted, S3 itself compares the MD5s when the blob is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote_plus

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes, PartOf
from airflow_provider_neuro_buckets.buckets.stores.crc import crc32
from airflow_provider_neuro_buckets.buckets.stores.digest import md5, size_of
from airflow_provider_neuro_buckets.buckets.stores.direct import Request, in_thread_if_large
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_xml
from airflow_provider_neuro_buckets.buckets.stores.s3_put import Receipt
from airflow_provider_neuro_buckets.buckets.stores.s3_upload import S3Upload
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import (
    CRC32_OF_WHOLE,
    bare_etag,
    encode_key,
    encode_query,
    md5_of_etag,
)

_LARGEST_ANSWER = 4 * 1024 * 1024
_MOST_LOOKED_AT = 3
"""So many uploads of one key, the newest, are looked at: more of them are not one that was cut off."""
_CANNOT_TELL = (BadRequest, InvalidAnswer, PermissionDenied, ResourceNotFound, UnsupportedProvider)
"""Not every service lists parts, or lets everybody list them: then an upload begins anew."""


_CRC32_OF_WHOLE = tuple(CRC32_OF_WHOLE.values())
_SUMMED = "crc32"


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """An upload that was begun and not ended.

    :ivar is_summed: S3 keeps a CRC32 of the whole.
    """

    id: str
    is_summed: bool


@dataclass(frozen=True, slots=True)
class _Left:
    """A part that is there."""

    size: int
    etag: str | None

    def is_content(self, body: Bytes) -> bool:
        """Whether it is these bytes. Blocking for as long as it takes to digest them."""
        return self.size == size_of(body) and md5_of_etag(self.etag) == md5(body).hex()


class ResumedS3Upload(S3Upload):
    """An upload in parts that takes up one which was cut off, if there is one of the same content.

    :ivar spared: bytes of parts that were there already, and need not be sent.
    """

    spared = 0
    _left: Mapping[int, _Left] = MappingProxyType({})
    _noted: frozenset[int] = frozenset()

    async def take_up(self, part: PartOf | None, note: str) -> None:
        """Go on with the upload of a note, or the newest that is of this content; if there is none, begin one."""
        if note:
            self._id, numbers, *summed = note.split(" ")
            self._noted, self._is_open, self._is_summed = read(numbers), True, summed == [_SUMMED]
        elif part is None or not await self._found(part):
            await self.begin()

    async def _found(self, part: PartOf) -> bool:
        try:
            for upload in await self._unfinished():
                left = await self._parts_of(upload.id)
                if await _is_of(left, part):
                    self._id, self._left, self._is_open, self._is_summed = upload.id, left, True, upload.is_summed
                    return True
        except _CANNOT_TELL:
            pass
        return False

    async def put_part(self, number: int, body: Bytes) -> None:
        """Send part `number`, from 1, unless it is there."""
        left = self._left.get(number)
        if number in self._noted:
            digest: bytes = await in_thread_if_large(md5, body)
            left = _Left(size_of(body), digest.hex())
        elif left is None or not await in_thread_if_large(left.is_content, body):
            await super().put_part(number, body)
            return
        crc: int | None = await in_thread_if_large(crc32, body) if self._is_summed else None
        self._parts[number] = Receipt(left.etag, md5_of_etag(left.etag), crc)
        self._sizes[number] = left.size
        self.spared += left.size

    def note(self) -> str:
        """Return the id of the upload, the numbers of the parts that are there, and what they are proven by."""
        numbers = {*self._parts, *self._left, *self._noted}
        return " ".join([self._id, written(numbers), *([_SUMMED] if self._is_summed else [])]) if numbers else ""

    def keep(self) -> None:
        """Leave the parts for a later upload, if any were sent."""
        if self._parts or self._left or self._noted:
            self._is_open = False

    async def _unfinished(self) -> list[_Unfinished]:
        """Return the newest uploads of exactly this key that were begun and not ended."""
        query = {"encoding-type": "url", "prefix": self._key, "uploads": ""}
        request = Request(what=self._what, method="GET", path="", query=encode_query(query))
        _, answer = await self._lane.fetch(request, largest=_LARGEST_ANSWER)
        fields, found = _records(answer, "Upload", "ListMultipartUploadsResult")
        decode = unquote_plus if fields.get("EncodingType") == "url" else str
        of_key = [one for one in found if decode(one.get("Key", "")) == self._key and one.get("UploadId")]
        newest = sorted(of_key, key=lambda one: one.get("Initiated", ""), reverse=True)
        return [
            _Unfinished(one["UploadId"], (one.get("ChecksumAlgorithm"), one.get("ChecksumType")) == _CRC32_OF_WHOLE)
            for one in newest[:_MOST_LOOKED_AT]
        ]

    async def _parts_of(self, upload: str) -> dict[int, _Left]:
        left: dict[int, _Left] = {}
        after: str | None = None
        while True:
            query = {"part-number-marker": after, "uploadId": upload}
            request = Request(what=self._what, method="GET", path=encode_key(self._key), query=encode_query(query))
            _, answer = await self._lane.fetch(request, largest=_LARGEST_ANSWER)
            fields, parts = _records(answer, "Part", "ListPartsResult", "ListPartsResponse")
            found = {int(one["PartNumber"]): _Left(int(one["Size"]), bare_etag(one.get("ETag"))) for one in parts}
            is_more = found.keys() - left.keys()
            left |= found
            after = fields.get("NextPartNumberMarker")
            if fields.get("IsTruncated") != "true" or not after or not is_more:
                return left


async def _is_of(left: Mapping[int, _Left], part: PartOf) -> bool:
    """Whether parts are of some content, as the first of them shows."""
    if not left:
        return False
    first = min(left)
    body = await part(first)
    return body is not None and await in_thread_if_large(left[first].is_content, body)


def written(numbers: Iterable[int]) -> str:
    """Write numbers of parts, short where they follow each other: ``1-57,60``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][-1] == number - 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ",".join("-".join(map(str, span)) for span in spans)


def read(text: str) -> frozenset[int]:
    """Read what `written` wrote."""
    numbers: set[int] = set()
    for span in text.split(","):
        first, _, last = span.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def _records(answer: bytes, name: str, *roots: str) -> tuple[dict[str, str], Sequence[dict[str, str]]]:
    """Return the fields of an answer, and its records.

    :param roots: the names that its root may have.
    :raises InvalidAnswer: another document.
    """
    fields: dict[str, str] = {}
    records: list[dict[str, str]] = []
    record: dict[str, str] = {}

    def on_text(path: Sequence[str], text: str) -> None:
        match path:
            case [_, element] if element == name:
                records.append(dict(record))
                record.clear()
            case [_, element, field] if element == name:
                record[field] = text
            case [_, field]:
                fields[field] = text

    if parse_xml(answer.strip(), on_text) not in roots:
        raise InvalidAnswer(f"the answer is not {roots[0]}", remedy="Check the endpoint of the bucket")
    return fields, records
