"""What can go wrong with a PUT, a part, or the completion of an upload."""

from __future__ import annotations

from aiohttp import web

from benchmarks.faults.bucket import Bucket, Kind, content_of, document, error, kind_of
from benchmarks.faults.cell import Kinds, Size
from benchmarks.faults.downloads import flipped, slow_down

_BODIES = frozenset({Kind.PUT, Kind.PART})
_ENDS = frozenset({Kind.PUT, Kind.COMPLETE})
_READ_FIRST = 64 * 1024
_WRONG_ETAG = '"' + "0" * 32 + '"'


async def _internal_error(_: Bucket, request: web.Request) -> web.StreamResponse:
    await request.read()
    return error(500, "InternalError")


async def _slow_down(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    await request.read()
    return await slow_down(bucket, request)


async def _bad_digest(_: Bucket, request: web.Request) -> web.StreamResponse:
    await request.read()
    return error(400, "BadDigest")


async def _expired_token(_: Bucket, request: web.Request) -> web.StreamResponse:
    await request.read()
    return error(400, "ExpiredToken")


async def _reset(_: Bucket, request: web.Request) -> web.StreamResponse:
    await request.content.readexactly(_READ_FIRST)
    return _abort(request)


async def _stall(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    await request.content.readexactly(_READ_FIRST)
    await bucket.closing.wait()
    return _abort(request)


async def _wrong_etag(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    bucket.store(request, await content_of(request))
    return web.Response(headers={"ETag": _WRONG_ETAG})


async def _stored_flipped(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"ETag": bucket.store(request, flipped(await content_of(request))).etag})


async def _answer_lost(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    await bucket.right(kind_of(request), request)
    return _abort(request)


async def _answer_cut_off(bucket: Bucket, request: web.Request) -> web.StreamResponse:
    answer = await bucket.right(kind_of(request), request)
    if request.transport is None:
        return web.Response()
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    body = answer.body if isinstance(answer.body, bytes) else b""
    whole = f"HTTP/1.1 {answer.status} OK\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
    cut = len(whole) - len(body) // 2 if body else len(whole) // 2
    request.transport.write(whole[:cut])
    request.transport.close()
    return web.Response()


async def _error_as_success(_: Bucket, request: web.Request) -> web.StreamResponse:
    await request.read()
    return document("<Error><Code>InternalError</Code><Message>On purpose.</Message></Error>")


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


UPLOADS = (
    Kinds(name="500", meaning="500 InternalError", hits=_BODIES, answer=_internal_error),
    Kinds(name="SlowDown", meaning="503 SlowDown with Retry-After: 1", hits=_BODIES, answer=_slow_down),
    Kinds(name="reset", meaning="the connection is reset after 64 KiB of the body", hits=_BODIES, answer=_reset),
    Kinds(name="stall", meaning="the server reads 64 KiB of the body, then nothing more", hits=_BODIES, answer=_stall),
    Kinds(name="BadDigest", meaning="400 BadDigest: the bytes came damaged", hits=_BODIES, answer=_bad_digest),
    Kinds(
        name="ExpiredToken",
        meaning="400 ExpiredToken: the credentials have ended",
        hits=_BODIES,
        answer=_expired_token,
    ),
    Kinds(
        name="wrong ETag",
        meaning="the right bytes are stored, the ETag is another",
        hits=_BODIES,
        answer=_wrong_etag,
    ),
    Kinds(
        name="stored flipped",
        meaning="the server stores one bit turned over, and answers the ETag of what it stored",
        hits=_BODIES,
        answer=_stored_flipped,
    ),
    Kinds(
        name="answer lost",
        meaning="the connection is reset after the server did what was asked (small: PUT, large: Complete)",
        hits=_ENDS,
        answer=_answer_lost,
    ),
    Kinds(
        name="answer cut off",
        meaning="the server did what was asked, and its answer ends in the middle (small: PUT, large: Complete)",
        hits=_ENDS,
        answer=_answer_cut_off,
    ),
    Kinds(
        name="error as success",
        meaning="Complete is answered by 200 with an `<Error>` document, and not done",
        hits=frozenset({Kind.COMPLETE}),
        answer=_error_as_success,
        sizes=(Size.LARGE,),
    ),
)
