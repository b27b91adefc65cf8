"""What an answer to a read must say, and its content while it arrives; the same for every provider that speaks HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from airflow_provider_neuro_buckets.buckets.errors import Conflict, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request
from airflow_provider_neuro_buckets.buckets.stores.receiving import SlowReader, arrived, chunks_of, end


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """An open answer to a GET."""

    meta: BlobMeta
    _response: aiohttp.ClientResponse = field(repr=False)  # its repr shows the URL, and Azure signs in the URL
    _expected: int
    _what: str
    _slowly: SlowReader | None

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as the network hands them over."""
        return chunks_of(self._response, expected=self._expected, what=self._what, slowly=self._slowly)

    async def arrived(self) -> bytes:
        """Return all of the bytes, or those that came before the connection broke."""
        return await arrived(self._response, expected=self._expected, what=self._what, slowly=self._slowly)


class Reading:
    """A GET under way; in its block the answer is open. A class and no generator: that costs a tenth of a small file.

    :param meta_of: what the headers of an answer say, for a key and a size.
    :param check: raises what else is wrong with an answer.
    """

    __slots__ = ("_check", "_etag", "_key", "_lane", "_meta_of", "_request", "_response", "_span")

    def __init__(
        self,
        lane: DirectLane,
        request: Request,
        *,
        key: str,
        span: ByteRange | None,
        etag: str | None,
        meta_of: Callable[[str, Mapping[str, str], int], BlobMeta],
        check: Callable[[aiohttp.ClientResponse, str], object] | None = None,
    ) -> None:
        self._lane = lane
        self._request = request
        self._key = key
        self._span = span
        self._etag = etag
        self._meta_of = meta_of
        self._check = check
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> StreamedBody:
        self._response = response = await self._lane.send(self._request)
        try:
            return self._body(response, self._request.what)
        except BaseException:
            response.close()
            raise

    def _body(self, response: aiohttp.ClientResponse, what: str) -> StreamedBody:
        """Return the body of an answer whose every header is checked against what was asked."""
        if self._check is not None:
            self._check(response, what)
        expected = content_length(response, what)
        meta = self._meta_of(self._key, response.headers, whole_size(response, self._span, expected, what))
        if self._etag is not None and meta.etag != self._etag:
            raise Conflict(f"{what}: the storage sends another version", remedy="Try again")
        return StreamedBody(meta, response, expected, what, self._lane.slowly)

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            end(self._response)


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
