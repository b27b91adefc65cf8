"""A small S3 server in memory, one bucket, that answers rightly unless a fault steps in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import Protocol

from aiohttp import web

BUCKET = "matrix"
KEY = "folder/blob.bin"
_LARGEST_BODY = 256 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_NUMBER = re.compile(rb"<PartNumber>(\d+)</PartNumber>")
_MODIFIED = "Tue, 24 Nov 2026 13:48:15 GMT"


class Kind(Enum):
    """What a request asks for."""

    HEAD = auto()
    GET = auto()
    LIST = auto()
    PUT = auto()
    BEGIN = auto()
    PART = auto()
    COMPLETE = auto()
    ABORT = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob, and the ETag that is told for it."""

    content: bytes = field(repr=False)
    etag: str

    @classmethod
    def of(cls, content: bytes) -> Blob:
        """Return a blob as one PUT makes it."""
        return cls(content, f'"{_md5(content).hex()}"')


class Fault(Protocol):
    """What goes wrong at a server."""

    async def meet(self, bucket: Bucket, kind: Kind, request: web.Request) -> web.StreamResponse | None:
        """Answer a request wrongly; `None` lets the server do right."""
        ...


class NoFault:
    """Nothing goes wrong."""

    async def meet(self, _bucket: Bucket, _kind: Kind, _request: web.Request) -> web.StreamResponse | None:
        """Let the server do right."""
        return None


@dataclass(slots=True)
class Bucket:
    """A running server.

    :ivar blobs: what it holds, by key.
    :ivar uploads: parts of uploads that were begun and neither completed nor aborted, by id and number.
    :ivar seen: what was asked, in order.
    :ivar closing: set when the server stops; who is silent on purpose waits for it.
    """

    fault: Fault
    url: str = ""
    blobs: dict[str, Blob] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    seen: list[Kind] = field(default_factory=list)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: count[int] = field(default_factory=lambda: count(1))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        kind = kind_of(request)
        self.seen.append(kind)
        answer = await self.fault.meet(self, kind, request)
        return answer if answer is not None else await self.right(kind, request)

    async def right(self, kind: Kind, request: web.Request) -> web.Response:
        """Do what is asked, and answer as S3 does."""
        answers: Mapping[Kind, Callable[[web.Request], Awaitable[web.Response]]] = {
            Kind.HEAD: self._get,
            Kind.GET: self._get,
            Kind.LIST: self._list,
            Kind.PUT: self._put,
            Kind.BEGIN: self._begin,
            Kind.PART: self._part,
            Kind.COMPLETE: self._complete,
            Kind.ABORT: self._abort,
        }
        if kind not in answers:
            return error(400, "InvalidRequest")
        return await answers[kind](request)

    def found(self, request: web.Request) -> Blob | None:
        """Return the blob that a request is about."""
        return self.blobs.get(key_of(request))

    def store(self, request: web.Request, content: bytes) -> Blob:
        """Keep the content of a PUT or of a part; return it with its ETag."""
        blob = Blob.of(content)
        if upload := request.query.get("uploadId"):
            self.uploads.get(upload, {})[int(request.query["partNumber"])] = content
        else:
            self.blobs[key_of(request)] = blob
        return blob

    async def _get(self, request: web.Request) -> web.Response:
        blob = self.found(request)
        if blob is None:
            return error(404, "NoSuchKey")
        if refused := pin_fails(request, blob):
            return refused
        start, stop = range_of(request, blob)
        headers = headers_of(request, blob, start, stop)
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(stop - start)})
        return web.Response(status=status_of(request), headers=headers, body=blob.content[start:stop])

    async def _list(self, request: web.Request) -> web.Response:
        prefix = request.query.get("prefix", "")
        items = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(blob.content)}</Size><ETag>{blob.etag}</ETag>"
            f"<LastModified>2026-11-24T13:48:15.000Z</LastModified></Contents>"
            for key, blob in sorted(self.blobs.items())
            if key.startswith(prefix)
        )
        return document(f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>")

    async def _put(self, request: web.Request) -> web.Response:
        content = await content_of(request)
        told = request.headers.get("Content-MD5")
        if told is not None and told != base64.b64encode(_md5(content)).decode():
            return error(400, "BadDigest")
        return web.Response(headers={"ETag": self.store(request, content).etag})

    async def _begin(self, request: web.Request) -> web.Response:
        await request.read()
        upload = f"upload-{next(self._ids)}"
        self.uploads[upload] = {}
        where = f"<Bucket>{BUCKET}</Bucket><Key>{key_of(request)}</Key><UploadId>{upload}</UploadId>"
        return document(f"<InitiateMultipartUploadResult>{where}</InitiateMultipartUploadResult>")

    async def _part(self, request: web.Request) -> web.Response:
        return await self._put(request) if request.query["uploadId"] in self.uploads else error(404, "NoSuchUpload")

    async def _complete(self, request: web.Request) -> web.Response:
        wanted = [int(number) for number in _NUMBER.findall(await request.read())]
        parts = self.uploads.pop(request.query["uploadId"], None)
        if parts is None:
            return error(404, "NoSuchUpload")
        contents = [parts[number] for number in wanted]
        etag = f'"{_md5(b"".join(map(_md5, contents))).hex()}-{len(contents)}"'
        self.blobs[key_of(request)] = Blob(b"".join(contents), etag)
        where = f"<Bucket>{BUCKET}</Bucket><Key>{key_of(request)}</Key><ETag>{etag}</ETag>"
        return document(f"<CompleteMultipartUploadResult>{where}</CompleteMultipartUploadResult>")

    async def _abort(self, request: web.Request) -> web.Response:
        if upload := request.query.get("uploadId"):
            return (
                web.Response(status=204) if self.uploads.pop(upload, None) is not None else error(404, "NoSuchUpload")
            )
        self.blobs.pop(key_of(request), None)
        return web.Response(status=204)


@asynccontextmanager
async def serving(fault: Fault, blobs: Mapping[str, Blob]) -> AsyncIterator[Bucket]:
    """Run a server on a free port of loopback."""
    bucket = Bucket(fault, blobs=dict(blobs))
    application = web.Application(client_max_size=_LARGEST_BODY)
    application.router.add_route("*", r"/{path:.*}", bucket.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        bucket.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield bucket
    finally:
        bucket.closing.set()
        await runner.cleanup()


# What a request says


def key_of(request: web.Request) -> str:
    """Return the key that a request is about; empty for the bucket."""
    return request.path.removeprefix(f"/{BUCKET}").removeprefix("/")


def kind_of(request: web.Request) -> Kind:
    """Return what a request asks for."""
    key, query = key_of(request), request.query
    match request.method:
        case "HEAD":
            return Kind.HEAD if key else Kind.OTHER
        case "GET":
            return Kind.GET if key else Kind.LIST
        case "PUT":
            return Kind.PART if "uploadId" in query else Kind.PUT
        case "POST" if "uploads" in query:
            return Kind.BEGIN
        case "POST" if "uploadId" in query:
            return Kind.COMPLETE
        case "DELETE":
            return Kind.ABORT
    return Kind.OTHER


async def content_of(request: web.Request) -> bytes:
    """Return the content that a request carries, without the chunks and trailers that an SDK may wrap it in."""
    body = await request.read()
    if "aws-chunked" not in request.headers.get("Content-Encoding", ""):
        return body
    content, at = bytearray(), 0
    while True:
        head, _, _ = body[at:].partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            return bytes(content)
        at += len(head) + 2
        content += body[at : at + size]
        at += size + 2


def pin_fails(request: web.Request, blob: Blob) -> web.Response | None:
    """Return the refusal of a request for another version than there is."""
    pinned = request.headers.get("If-Match")
    return error(412, "PreconditionFailed") if pinned not in {None, blob.etag, blob.etag.strip('"')} else None


def range_of(request: web.Request, blob: Blob) -> tuple[int, int]:
    """Return where what is asked of a blob starts and stops."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None:
        return 0, len(blob.content)
    last = int(found[2]) if found[2] else len(blob.content) - 1
    return int(found[1]), min(last + 1, len(blob.content))


def status_of(request: web.Request) -> int:
    """Return the status of a right answer to a GET."""
    return 206 if "Range" in request.headers else 200


def headers_of(request: web.Request, blob: Blob, start: int, stop: int) -> dict[str, str]:
    """Return what the answer to a GET says of a blob, or of a range of it."""
    headers = {"ETag": blob.etag, "Last-Modified": _MODIFIED, "Accept-Ranges": "bytes"}
    if "Range" in request.headers:
        return {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(blob.content)}"}
    if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and request.method == "GET":
        crc = base64.b64encode(zlib.crc32(blob.content).to_bytes(4, "big")).decode()
        return {**headers, "x-amz-checksum-crc32": crc, "x-amz-checksum-type": "FULL_OBJECT"}
    return headers


# What an answer is made of


def document(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with XML."""
    declared = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
    return web.Response(status=status, text=declared, content_type="application/xml", headers=headers)


def error(status: int, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with an error, as S3 words it."""
    return document(f"<Error><Code>{code}</Code><Message>On purpose.</Message></Error>", status, headers)


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
