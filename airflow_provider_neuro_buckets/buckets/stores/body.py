"""What an answer to a read must say, and its content while it arrives; the same for every provider that speaks HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange
from airflow_provider_neuro_buckets.buckets.stores.direct import chunks_of


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """An open answer to a GET."""

    meta: BlobMeta
    _response: aiohttp.ClientResponse = field(repr=False)  # its repr shows the URL, and Azure signs in the URL
    _expected: int
    _what: str

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as the network hands them over."""
        return chunks_of(self._response, expected=self._expected, what=self._what)


def content_length(response: aiohttp.ClientResponse, what: str) -> int:
    """Return how many bytes the body has.

    :raises InvalidAnswer: the answer does not say.
    """
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise InvalidAnswer(f"{what}: the storage does not say how long it is")
    return int(length)


def whole_size(response: aiohttp.ClientResponse, span: ByteRange | None, length: int, what: str) -> int:
    """Return the size of the whole blob.

    :param length: bytes of the body.
    :raises InvalidAnswer: the answer is not exactly the bytes that were asked for.
    """
    if span is None:
        if response.status != HTTPStatus.OK:
            raise InvalidAnswer(f"{what}: the answer is not the whole blob")
        return length
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    given, _, size = rest.partition("/")
    is_asked = unit == "bytes" and given == f"{span.start}-{span.stop - 1}" and size.isdecimal()
    if response.status != HTTPStatus.PARTIAL_CONTENT or not is_asked:
        raise InvalidAnswer(f"{what}: the answer is not the range {span.header} that was asked for")
    if length != len(span):
        raise InvalidAnswer(f"{what}: the answer has {length} bytes, asked for were {len(span)}")
    return int(size)
