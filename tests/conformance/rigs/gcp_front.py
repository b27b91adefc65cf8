"""What fake-gcs-server lacks of Google Cloud Storage, in front of it: who may ask, uploads in parts, pages.

All content and its metadata is the server's own; every other request goes through as it comes. The release of the
server that the wheel has knows no part uploads, copies everything at once, and ignores tokens, signatures,
`maxResults`, `ifGenerationMatch` and `ifSourceGenerationMatch`.
`test_gcs_front.py` holds this to what Google's own SDK sends and expects.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import aiohttp
import google_crc32c
from aiohttp import web
from google.auth import jwt
from google.auth.crypt import RSAVerifier
from yarl import URL

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
"""Whom Google's own libraries address, wherever they then go."""
SMALLEST_PART = 5 * 1024**2
_PASSED_ON = ("Accept-Encoding", "Content-Type", "Range")
_DROPPED = frozenset({"Content-Length", "Transfer-Encoding", "Connection", "Date"})


class Front:
    """Answers for Google in front of a running fake-gcs-server.

    :param upstream: address of that server.
    :param public_keys: public key of each service account, as PEM, by its email.
    :ivar tokens: what is accepted now; take one out, and it has ended.
    :ivar uploads: key and parts of each upload in parts that is neither completed nor aborted.
    :ivar calls_of_a_rewrite: how often it has to be asked for a copy until that is done.
    """

    def __init__(self, upstream: str, public_keys: Mapping[str, str]) -> None:
        self._upstream = upstream
        self._public_keys = public_keys
        self.tokens: set[str] = set()
        self.assertions: list[Mapping[str, Any]] = []
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.calls_of_a_rewrite = 1
        self._rewriting: dict[str, int] = {}
        self.endpoint = ""
        self._http: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Front]:
        """Serve on a free port of loopback."""
        app = web.Application(client_max_size=1024**3)
        app.router.add_post("/token", self._token)
        app.router.add_route("*", "/{path:.*}", self._any)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("Accept-Encoding",)) as self._http:
            await site.start()
            self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()

    def issue(self) -> str:
        """Return a new access token."""
        token = f"ya29.{uuid4().hex}"
        self.tokens.add(token)
        return token

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assertion = str(form.get("assertion", ""))
        try:
            email = jwt.decode(assertion, verify=False)["iss"]
            audiences = [f"{self.endpoint}/token", GOOGLE_TOKEN_URI]
            claims = jwt.decode(assertion, certs=self._public_keys[email], audience=audiences)
        except (ValueError, KeyError):
            refusal = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return web.json_response(refusal, status=400)
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" or claims.get("scope") != SCOPE:
            return web.json_response({"error": "invalid_scope"}, status=400)
        self.assertions.append(claims)
        return web.json_response({"access_token": self.issue(), "expires_in": 3599, "token_type": "Bearer"})

    async def _any(self, request: web.Request) -> web.Response:
        is_xml = not re.match("/(storage|upload|download|batch)/", request.raw_path)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens and not (
            request.method == "GET" and self._is_signed(request)
        ):
            return _refuse(401, "AuthenticationRequired" if is_xml else "authError", "Invalid Credentials", xml=is_xml)
        if is_xml and request.method != "GET":
            return await self._parts(request)
        if re.fullmatch("/storage/v1/b/[^/]+/o", request.path) and request.method == "GET":
            return await self._page(request)
        if rewrite := re.fullmatch("(/storage/v1/b/[^/]+/o/[^/]+)/rewriteTo/b/.*", request.raw_path.partition("?")[0]):
            return await self._rewrite(request, rewrite[1])
        answer = await self._forward(request)
        wanted = request.query.get("ifGenerationMatch")
        if wanted is not None and answer.headers.get("X-Goog-Generation", wanted) != wanted:
            return _refuse(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        return answer

    async def _rewrite(self, request: web.Request, source: str) -> web.Response:
        """Copy when asked often enough, and only the version that is asked for."""
        there = await self._ask("GET", source, {})
        if there.status != 200:
            return there
        assert isinstance(there.body, bytes)
        found = json.loads(there.body)
        if request.query.get("ifSourceGenerationMatch", found["generation"]) != found["generation"]:
            return _refuse(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        token = request.query.get("rewriteToken")
        if token is not None and token not in self._rewriting:
            return _refuse(400, "invalid", "The rewrite token is not valid.")
        calls = self._rewriting.pop(token, 0) + 1 if token else 1
        if calls >= self.calls_of_a_rewrite:
            return await self._forward(request)
        self._rewriting[following := uuid4().hex] = calls
        done = int(found["size"]) * calls // self.calls_of_a_rewrite
        body = {"kind": "storage#rewriteResponse", "done": False, "rewriteToken": following}
        return web.json_response(body | {"totalBytesRewritten": str(done), "objectSize": found["size"]})

    def _is_signed(self, request: web.Request) -> bool:
        """Whether the URL has a V4 signature that is good now."""
        path, _, query = request.raw_path.partition("?")
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&"))
        signature = pairs.pop("X-Goog-Signature", "")
        try:
            email, _, scope = unquote(pairs["X-Goog-Credential"]).partition("/")
            begun = datetime.strptime(pairs["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            life = timedelta(seconds=int(pairs["X-Goog-Expires"]))
            verifier = RSAVerifier.from_string(self._public_keys[email])
            sent = bytes.fromhex(signature)
        except (KeyError, ValueError):
            return False
        canonical_query = "&".join(f"{name}={value}" for name, value in sorted(pairs.items()))
        canonical = f"GET\n{path}\n{canonical_query}\nhost:{request.host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"GOOG4-RSA-SHA256\n{pairs['X-Goog-Date']}\n{scope}\n{digest}"
        return datetime.now(UTC) < begun + life and bool(verifier.verify(to_sign, sent))

    async def _forward(self, request: web.Request) -> web.Response:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        return await self._ask(request.method, request.raw_path, headers, await request.read())

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> web.Response:
        url = URL(self._upstream + path, encoded=True)
        data = io.BytesIO(body) if body else None
        async with self._http.request(method, url, headers=headers, data=data, allow_redirects=False) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.title() not in _DROPPED]
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def _page(self, request: web.Request) -> web.Response:
        """Cut the server's whole listing into pages, with the key after which the next begins as token."""
        asked = {name: request.query[name] for name in ("prefix", "delimiter") if name in request.query}
        path = str(URL(request.path).with_query(asked))
        answer = await self._ask("GET", path, {})
        if answer.status != 200:
            return answer
        assert isinstance(answer.body, bytes)
        listing = json.loads(answer.body)
        entries = [(blob["name"], blob) for blob in listing.get("items", [])]
        entries += [(prefix, None) for prefix in listing.get("prefixes", [])]
        token = base64.urlsafe_b64decode(request.query.get("pageToken", "")).decode()
        left = sorted((entry for entry in entries if entry[0] > token), key=lambda entry: entry[0].encode())
        page = left[: int(request.query.get("maxResults", 1000))]
        body: dict[str, Any] = {"kind": "storage#objects"}
        if items := [blob for _, blob in page if blob is not None]:
            body["items"] = items
        if prefixes := [prefix for prefix, blob in page if blob is None]:
            body["prefixes"] = prefixes
        if len(page) < len(left):
            body["nextPageToken"] = base64.urlsafe_b64encode(page[-1][0].encode()).decode()
        return web.json_response(body)

    async def _parts(self, request: web.Request) -> web.Response:
        path, _, _ = request.raw_path.partition("?")
        key = unquote(path.split("/", 2)[2])
        if "uploads" in request.query and request.method == "POST":
            upload_id = f"ABPnz{uuid4().hex}"
            self.uploads[upload_id] = key, {}
            return _xml("InitiateMultipartUploadResult", UploadId=upload_id)
        upload_id = request.query.get("uploadId", "")
        if self.uploads.get(upload_id, ("",))[0] != key:
            return _refuse(404, "NoSuchUpload", "The requested upload was not found.", xml=True)
        if request.method == "DELETE":
            del self.uploads[upload_id]
            return web.Response(status=204)
        if request.method == "PUT":
            return self._part(request, upload_id, await request.read())
        return await self._complete(upload_id, path, await request.text())

    def _part(self, request: web.Request, upload_id: str, body: bytes) -> web.Response:
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        if request.headers.get("Content-MD5", digest) != digest:
            return _refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.", xml=True)
        number = int(request.query["partNumber"])
        if not 1 <= number <= 10_000:
            return _refuse(400, "InvalidArgument", "The part number is out of range.", xml=True)
        self.uploads[upload_id][1][number] = body
        return web.Response(headers=[("ETag", _etag(body)), *_hashes(body, with_md5=True)])

    async def _complete(self, upload_id: str, path: str, document: str) -> web.Response:
        key, parts = self.uploads[upload_id]
        told = [
            (int(number), etag.replace("&quot;", '"'))
            for number, etag in re.findall("<PartNumber>(.*?)</PartNumber><ETag>(.*?)</ETag>", document)
        ]
        numbers = [number for number, _ in told]
        if not told or numbers != sorted(set(numbers)):
            return _refuse(400, "InvalidPartOrder", "The list of parts was not in ascending order.", xml=True)
        if any(number not in parts or etag != _etag(parts[number]) for number, etag in told):
            return _refuse(400, "InvalidPart", "One or more of the parts could not be found.", xml=True)
        if any(len(parts[number]) < SMALLEST_PART for number in numbers[:-1]):
            return _refuse(400, "EntityTooSmall", "A part is smaller than the minimum allowed size.", xml=True)
        whole = b"".join(parts[number] for number in numbers)
        bucket, name = path.split("/", 2)[1:]
        made = await self._ask(
            "POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", {"Content-Type": "x/y"}, whole
        )
        if made.status != 200:
            return _refuse(made.status, "NoSuchBucket", "The specified bucket does not exist.", xml=True)
        del self.uploads[upload_id]
        assert isinstance(made.body, bytes)
        answer = _xml("CompleteMultipartUploadResult", Key=key, ETag='"an-etag-that-is-no-md5"')
        answer.headers.extend([("X-Goog-Generation", json.loads(made.body)["generation"]), *_hashes(whole)])
        return answer


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _hashes(body: bytes, *, with_md5: bool = False) -> list[tuple[str, str]]:
    crc32c = base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return [("X-Goog-Hash", f"crc32c={crc32c}"), *([("X-Goog-Hash", f"md5={md5}")] if with_md5 else [])]


def _xml(root: str, *, status: int = 200, **texts: str) -> web.Response:
    inner = "".join(
        f"<{name}>{text.replace('&', '&amp;').replace('<', '&lt;')}</{name}>" for name, text in texts.items()
    )
    namespace = "" if root == "Error" else ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    text = f"<?xml version='1.0' encoding='UTF-8'?><{root}{namespace}>{inner}</{root}>"
    return web.Response(status=status, text=text, content_type="application/xml")


def _refuse(status: int, reason: str, message: str, *, xml: bool = False) -> web.Response:
    if xml:
        return _xml("Error", status=status, Code=reason, Message=message)
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return web.json_response({"error": {"code": status, "message": message, "errors": errors}}, status=status)
