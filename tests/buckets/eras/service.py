"""A buckets service of any era: it answers as the wire protocol says, remembers what it was asked, and fails on demand.

Its own reading of sections 3.4 to 3.8, made without the client, so that it can tell when the client is wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

OWNER, PROJECT, STRICT = "owner", "project", "strict"
ERAS = (OWNER, PROJECT, STRICT)
OLDER = (OWNER, PROJECT)
TOKEN = "token-of-alice"
USER = "alice"
BASE = "/api/v1/buckets"

_TOLERATED = {"owner", "public", "imported", "provider", "created_at"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Trouble:
    """What goes wrong with the next request of this kind.

    :ivar carried_out: whether the server has done what it was asked before it fails.
    :ivar answer: status and body; `None` breaks the connection off.
    """

    method: str
    path: str
    carried_out: bool = False
    answer: tuple[int, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def schema_error(request: web.Request, problems: Mapping[str, list[str]]) -> Refused:
    return Refused(500, {"error": f"Unexpected exception: {dict(problems)}. Path with query: {request.path_qs}"})


class Service:
    """The buckets service of one cluster, used by Alice."""

    def __init__(self, era: str) -> None:
        self.era = era
        self.records: dict[str, dict[str, Any]] = {}
        self.credentials: dict[str, dict[str, Any]] = {}
        self.asked: list[Asked] = []
        self.troubles: list[Trouble] = []
        self.ignores_list_query = False
        self.url = ""

    def add(
        self,
        name: str | None,
        *,
        owner: str = USER,
        org: str | None = "acme",
        project: str | None = "ml",
        **fields: Any,
    ) -> str:
        """Put a bucket there; returns its id."""
        id_ = f"bucket-{uuid.uuid4()}"
        self.records[id_] = {
            "id": id_,
            "name": name,
            "owner": owner,
            "org_name": org,
            "project_name": owner if project is None else project,
            "provider": "aws",
            "created_at": "2025-01-02T03:04:05.678901+00:00",
            "imported": False,
            "public": False,
            **fields,
        }
        return id_

    def made(self) -> list[str | None]:
        """Return the names of all buckets."""
        return [record["name"] for record in self.records.values()]

    def lines(self) -> list[str]:
        """Return what was asked, a line for each request."""
        return [str(asked) for asked in self.asked]

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what this era tells of a bucket."""
        return {key: value for key, value in record.items() if key != "project_name" or self.era != OWNER}

    # The server

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._front])
        buckets, credentials = f"{BASE}/buckets", f"{BASE}/persistent_credentials"
        application.add_routes(
            [
                web.post(buckets, self._create),
                web.post(f"{buckets}/import/external", self._create),
                web.get(buckets, self._list),
                web.get(f"{buckets}/find/by_path", self._by_path),
                web.get(f"{buckets}/{{bucket}}", self._get),
                web.patch(f"{buckets}/{{bucket}}", self._patch),
                web.delete(f"{buckets}/{{bucket}}", self._delete),
                web.post(f"{buckets}/{{bucket}}/make_tmp_credentials", self._tmp),
                web.post(f"{buckets}/{{bucket}}/sign_blob_url", self._sign),
                web.post(credentials, self._create_credentials),
                web.get(credentials, self._list_credentials),
                web.get(f"{credentials}/{{name}}", self._get_credentials),
                web.delete(f"{credentials}/{{name}}", self._delete_credentials),
            ]
        )
        return application

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Serve on a free port of loopback."""
        async with serving(self.application()) as address:
            self.url = address + BASE
            yield self

    @web.middleware
    async def _front(self, request: web.Request, handler: Any) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        asked = Asked(request.method, request.path.removeprefix(f"{BASE}/"), dict(request.query), body)
        self.asked.append(asked)
        trouble = next(
            (it for it in self.troubles if it.method == asked.method and re.search(it.path, asked.path)), None
        )
        if trouble is not None:
            self.troubles.remove(trouble)
            if not trouble.carried_out:
                return await _fail(request, trouble)
        try:
            _authenticate(request)
            answer = await handler(request)
        except Refused as refused:
            answer = _answer(refused.status, refused.body)
        return answer if trouble is None else await _fail(request, trouble)

    # Buckets

    def _find(self, request: web.Request) -> dict[str, Any]:
        wanted, query = request.match_info["bucket"], request.query
        if wanted in self.records:
            return self.records[wanted]
        home = getattr(self, f"_home_{self.era}")(query)
        for project, org in home:
            for record in self.records.values():
                owner = record["owner"] if self.era == OWNER else record["project_name"]
                if record["name"] == wanted and owner == project and org in {"*", record["org_name"]}:
                    return record
        raise Refused(404, f"Bucket {wanted} not found")

    def _home_owner(self, query: Mapping[str, str]) -> list[tuple[str, str | None]]:
        return [(query.get("owner", USER), "*")]

    def _home_project(self, query: Mapping[str, str]) -> list[tuple[str, str | None]]:
        if "owner" in query and "project_name" in query:
            raise Refused(400, {"error": "owner cannot be specified with project_name"})
        if "org_name" in query and "project_name" not in query:
            raise Refused(400, {"error": "org_name cannot be specified without project_name"})
        if "owner" in query:
            return [(query["owner"], None)]
        org = query.get("org_name")
        project = query.get("project_name", USER)
        return [(project, None if org == "NO_ORG" else org), (project, None)]

    def _home_strict(self, query: Mapping[str, str]) -> list[tuple[str, str | None]]:
        if "owner" in query and "project_name" in query:
            raise Refused(400, {"error": "owner cannot be specified with project_name"})
        if "org_name" not in query:
            raise Refused(400, {"error": "org_name must be provided"})
        return [(query.get("project_name", query.get("owner", USER)), query["org_name"])]

    async def _get(self, request: web.Request) -> web.Response:
        return _answer(200, self.shown(self._find(request)))

    async def _patch(self, request: web.Request) -> web.Response:
        record = self._find(request)
        record["public"] = (await request.json())["public"]
        return _answer(200, self.shown(record))

    async def _delete(self, request: web.Request) -> web.Response:
        del self.records[self._find(request)["id"]]
        return web.Response(status=204)

    async def _tmp(self, request: web.Request) -> web.Response:
        record = self._find(request)
        keys = {
            "bucket_name": f"real-{record['name']}",
            "access_key_id": "AK",
            "secret_access_key": "not a real secret",
        }
        answer = {"bucket_id": record["id"], "provider": record["provider"], "read_only": False, "credentials": keys}
        return _answer(200, answer)

    async def _sign(self, request: web.Request) -> web.Response:
        record = self._find(request)
        return _answer(200, {"url": f"https://signed.example/{record['id']}?sig=a%2Fb"})

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        known = set() if self.era == OWNER else {"org_name", "project_name"}
        unknown = set(query) - known
        if unknown and not self.ignores_list_query:
            raise schema_error(request, {name: ["Unknown field."] for name in sorted(unknown)})
        if self.era == STRICT and "org_name" not in query:
            raise Refused(400, {"error": "org_name must be provided"})
        if self.era == PROJECT and "org_name" in query and "project_name" not in query:
            raise Refused(400, {"error": "org_name cannot be specified without project_name"})
        found = [
            self.shown(record)
            for record in self.records.values()
            if self.era == OWNER or all(record[name] == query[name] for name in query)
        ]
        return _answer(200, found)

    async def _by_path(self, request: web.Request) -> web.Response:
        path = request.query["path"]
        for record in self.records.values():
            home = [record["org_name"], record["owner"] if self.era == OWNER else record["project_name"]]
            names = [record["name"]] if self.era == STRICT else [record["name"], record["id"]]
            for name in filter(None, names):
                whole = "/".join([*filter(None, home), name])
                if path == whole or path.startswith(whole + "/"):
                    return _answer(200, self.shown(record))
        text = f"Unexpected exception: Bucket for path {path} not found. Path with query: {request.path_qs}"
        raise Refused(500, {"error": text})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        is_import = request.path.endswith("/external")
        known = {"name", "org_name"} | _TOLERATED | ({"provider_bucket_name", "credentials"} if is_import else set())
        if self.era != OWNER:
            known.add("project_name")
        if unknown := set(body) - known:
            raise schema_error(request, {name: ["Unknown field."] for name in sorted(unknown)})
        org = body.get("org_name")
        if self.era == STRICT and org is None:
            raise schema_error(request, {"org_name": ["Missing data for required field."]})
        project = None if self.era == OWNER else body.get("project_name", USER)
        for record in self.records.values():
            homes = (record["owner"],) if self.era == OWNER else (record["project_name"], record["org_name"])
            mine = (USER,) if self.era == OWNER else (project, org)
            if body["name"] is not None and record["name"] == body["name"] and homes == mine:
                raise Refused(409, {"code": "unique", "description": "Bucket with given name exists"})
        provider = body["provider"] if is_import else "aws"
        now = datetime.now(UTC).isoformat()
        id_ = self.add(body["name"], org=org, project=project, imported=is_import, provider=provider, created_at=now)
        return _answer(201, self.shown(self.records[id_]))

    # Persistent credentials

    async def _create_credentials(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(body["name"] is not None and it["name"] == body["name"] for it in self.credentials.values()):
            problem = f"PersistentCredentials for {USER} with name {body['name']} already exists"
            raise Refused(500, {"error": f"Unexpected exception: {problem}. Path with query: {request.path_qs}"})
        id_ = f"bucket-credentials-{uuid.uuid4()}"
        self.credentials[id_] = {
            "id": id_,
            "name": body["name"],
            "owner": USER,
            "read_only": body["read_only"],
            "credentials": [
                {
                    "bucket_id": bucket_id,
                    "provider": "aws",
                    "read_only": body["read_only"],
                    "credentials": {
                        "bucket_name": "real",
                        "access_key_id": "AK",
                        "secret_access_key": "not a real one",
                    },
                }
                for bucket_id in body["bucket_ids"]
            ],
        }
        return _answer(201, self.credentials[id_])

    async def _list_credentials(self, _: web.Request) -> web.Response:
        return _answer(200, list(self.credentials.values()))

    def _own(self, request: web.Request) -> dict[str, Any]:
        wanted = request.match_info["name"]
        for record in self.credentials.values():
            if wanted in {record["id"], record["name"]}:
                return record
        raise Refused(404, f"PersistentCredentials {wanted} not found")

    async def _get_credentials(self, request: web.Request) -> web.Response:
        return _answer(200, self._own(request))

    async def _delete_credentials(self, request: web.Request) -> web.Response:
        del self.credentials[self._own(request)["id"]]
        return web.Response(status=204)


def _authenticate(request: web.Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise Refused(401, "401: Unauthorized")


def _answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers=headers)
    return web.json_response(body, status=status, headers=headers)


async def _fail(request: web.Request, trouble: Trouble) -> web.Response:
    if trouble.answer is not None:
        return _answer(*trouble.answer, headers=trouble.headers)
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


@asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port of loopback; yields its address."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
