"""What can go wrong with the answer to a GET."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import web

from benchmarks.faults.bucket import Blob, Bucket, Kind, document, error, headers_of, pin_fails, range_of, status_of
from benchmarks.faults.cell import Kinds, Size, Times

_GET = frozenset({Kind.GET})
_DELIVERED_SECONDS = 0.05
"""What was written before a reset shall arrive before it."""


def replaced(blob: Blob) -> Blob:
    """Return the version that takes the place of a blob while it is read."""
    return Blob.of(blob.content[::-1])


def flipped(content: bytes) -> bytes:
    """Return content with one bit turned over in its middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


async def slow_down(_: Bucket, __: web.Request) -> web.StreamResponse:
    """Ask for fewer requests."""
    return error(503, "SlowDown", {"Retry-After": "1"})


async def _begin(bucket: Bucket, request: web.Request, *, is_chunked: bool = False) -> web.StreamResponse | None:
    """Answer rightly up to the middle of the blob; `None` where the answer does not reach beyond it."""
    blob = bucket.blobs[_key(request)]
    start, stop = range_of(request, blob)
    middle = len(blob.content) // 2
    if not start <= middle < stop or pin_fails(request, blob):
        return None
    response = web.StreamResponse(status=status_of(request), headers=headers_of(request, blob, start, stop))
    if is_chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = stop - start
    await response.prepare(request)
    if middle > start:
        await response.write(blob.content[start:middle])
    return response


def _key(request: web.Request) -> str:
    return request.path.split("/", 2)[2]


async def _reset(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    response = await _begin(bucket, request)
    if response is not None and request.transport is not None:
        await asyncio.sleep(_DELIVERED_SECONDS)
        request.transport.abort()
    return response


async def _cut_off(bucket: Bucket, request: web.Request, *, is_chunked: bool = False) -> web.StreamResponse | None:
    response = await _begin(bucket, request, is_chunked=is_chunked)
    if response is not None and request.transport is not None:
        request.transport.close()
    return response


async def _stall(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    response = await _begin(bucket, request)
    if response is not None:
        await bucket.closing.wait()
    return response


async def _short(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    blob = bucket.blobs[_key(request)]
    if refused := pin_fails(request, blob):
        return refused
    start, stop = range_of(request, blob)
    stop = start + (stop - start) // 2
    headers = headers_of(request, blob, start, stop)
    headers.pop("x-amz-checksum-crc32", None)
    return web.Response(status=status_of(request), headers=headers, body=blob.content[start:stop])


async def _error_as_success(_: Bucket, __: web.Request) -> web.StreamResponse:
    return document("<Error><Code>InternalError</Code><Message>On purpose.</Message></Error>")


async def _flip(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    blob = bucket.blobs[_key(request)]
    if refused := pin_fails(request, blob):
        return refused
    start, stop = range_of(request, blob)
    headers = headers_of(request, blob, start, stop)
    return web.Response(status=status_of(request), headers=headers, body=flipped(blob.content[start:stop]))


async def _range_ignored(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    if "Range" not in request.headers:
        return None
    blob = bucket.blobs[_key(request)]
    return web.Response(headers={"ETag": blob.etag}, body=blob.content)


async def _other_range(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    blob = bucket.blobs[_key(request)]
    start, stop = range_of(request, blob)
    length = stop - start
    if "Range" not in request.headers or length == len(blob.content):
        return None
    other = start - length if start >= length else start + 1
    headers = headers_of(request, blob, other, other + length)
    return web.Response(status=206, headers=headers, body=blob.content[other : other + length])


async def _replace(bucket: Bucket, request: web.Request) -> web.StreamResponse | None:
    """Before the only GET, or before the second of several."""
    blob = bucket.blobs[_key(request)]
    is_part = "Range" in request.headers and range_of(request, blob) != (0, len(blob.content))
    if is_part and bucket.seen.count(Kind.GET) < 2:  # noqa: PLR2004 - the second
        return None
    bucket.blobs[_key(request)] = replaced(blob)
    return await bucket.right(Kind.GET, request)


DOWNLOADS = (
    Kinds(name="SlowDown", meaning="503 SlowDown with Retry-After: 1", hits=_GET, answer=slow_down),
    Kinds(name="reset", meaning="the connection is reset at the middle byte of the blob", hits=_GET, answer=_reset),
    Kinds(
        name="cut off",
        meaning="the connection is closed at the middle byte, more was announced",
        hits=_GET,
        answer=_cut_off,
    ),
    Kinds(
        name="cut off in chunks",
        meaning="the same, of a chunked body that says no length; of a whole blob, since ranges say their length",
        hits=_GET,
        answer=partial(_cut_off, is_chunked=True),
        sizes=(Size.SMALL,),
    ),
    Kinds(name="stall", meaning="no byte comes from the middle byte on", hits=_GET, answer=_stall),
    Kinds(
        name="short",
        meaning="half of what was asked for, with headers that fit the half",
        hits=_GET,
        answer=_short,
    ),
    Kinds(
        name="error as success", meaning="200 with an `<Error>` document as body", hits=_GET, answer=_error_as_success
    ),
    Kinds(name="flipped bit", meaning="one bit is turned over, every header is right", hits=_GET, answer=_flip),
    Kinds(
        name="range ignored",
        meaning="200 with the whole blob in answer to a range",
        hits=_GET,
        answer=_range_ignored,
        sizes=(Size.LARGE,),
    ),
    Kinds(
        name="other range",
        meaning="206 with another range of the same length, and its Content-Range",
        hits=_GET,
        answer=_other_range,
        sizes=(Size.LARGE,),
    ),
    Kinds(
        name="replaced",
        meaning="another version takes the blob's place between look-up and GET, or between two ranges",
        hits=_GET,
        answer=_replace,
        times=(Times.ONCE,),
    ),
)
