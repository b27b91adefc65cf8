"""What an answer to a read must say, and its content while it arrives; the same for every provider that speaks HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from airflow_provider_neuro_buckets.buckets.errors import Conflict, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, ByteRange, Bytes
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request
from airflow_provider_neuro_buckets.buckets.stores.receiving import SlowReader, arrived, chunks_of, pour


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """An open answer to a GET."""

    meta: BlobMeta
    _answer: Answer = field(repr=False)
    _expected: int
    _what: str
    _slowly: SlowReader | None

    def chunks(self) -> AsyncIterator[Bytes]:
        """Yield the bytes as the network hands them over."""
        return chunks_of(self._answer, expected=self._expected, what=self._what, slowly=self._slowly)

    async def arrived(self) -> bytes:
        """Return all of the bytes, or those that came before the connection broke."""
        return await arrived(self._answer, expected=self._expected, what=self._what, slowly=self._slowly)

    async def pour(self, basin: Basin) -> None:
        """Let a thread put the bytes into a basin as they arrive."""
        await pour(self._answer, basin, expected=self._expected, what=self._what, slowly=self._slowly)


class Reading:
    """A GET under way; in its block the answer is open. A class and no generator: that costs a tenth of a small file.

    :param meta_of: what the headers of an answer say, for a key and a size.
    :param check: raises what else is wrong with an answer.
    """

    __slots__ = ("_answer", "_check", "_etag", "_key", "_lane", "_meta_of", "_request", "_span")

    def __init__(
        self,
        lane: DirectLane,
        request: Request,
        *,
        key: str,
        span: ByteRange | None,
        etag: str | None,
        meta_of: Callable[[str, Mapping[str, str], int], BlobMeta],
        check: Callable[[Answer, str], object] | None = None,
    ) -> None:
        self._lane = lane
        self._request = request
        self._key = key
        self._span = span
        self._etag = etag
        self._meta_of = meta_of
        self._check = check
        self._answer: Answer | None = None

    async def __aenter__(self) -> StreamedBody:
        self._answer = answer = await self._lane.send(self._request)
        try:
            return self._body(answer, self._request.what)
        except BaseException:
            answer.end()
            raise

    def _body(self, answer: Answer, what: str) -> StreamedBody:
        """Return the body of an answer whose every header is checked against what was asked."""
        if self._check is not None:
            self._check(answer, what)
        expected = content_length(answer, what)
        meta = self._meta_of(self._key, answer.headers, whole_size(answer, self._span, expected, what))
        if self._etag is not None and meta.etag != self._etag:
            raise Conflict(f"{what}: the storage sends another version", remedy="Try again")
        return StreamedBody(meta, answer, expected, what, self._lane.slowly)

    async def __aexit__(self, *_: object) -> None:
        if self._answer is not None:
            self._answer.end()


def content_length(answer: Answer, what: str) -> int:
    """Return how many bytes the body has.

    :raises InvalidAnswer: the answer does not say.
    """
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise InvalidAnswer(f"{what}: the storage does not say how long it is")
    return int(length)


def whole_size(answer: Answer, span: ByteRange | None, length: int, what: str) -> int:
    """Return the size of the whole blob.

    :param length: bytes of the body.
    :raises InvalidAnswer: the answer is not exactly the bytes that were asked for.
    """
    if span is None:
        if answer.status != HTTPStatus.OK:
            raise InvalidAnswer(f"{what}: the answer is not the whole blob")
        return length
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    given, _, size = rest.partition("/")
    is_asked = unit == "bytes" and given == f"{span.start}-{span.stop - 1}" and size.isdecimal()
    if answer.status != HTTPStatus.PARTIAL_CONTENT or not is_asked:
        raise InvalidAnswer(f"{what}: the answer is not the range {span.header} that was asked for")
    if length != len(span):
        raise InvalidAnswer(f"{what}: the answer has {length} bytes, asked for were {len(span)}")
    return int(size)
