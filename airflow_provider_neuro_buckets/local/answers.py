"""How the platform refuses: the statuses and bodies of the wire protocol, section 3.4, oddities included."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

_NAME = re.compile(r"[a-z][a-z0-9_-]{2,39}")


class Refusal(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, body: Mapping[str, Any] | str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body

    def answer(self, request: web.Request) -> web.Response:
        """Return the HTTP answer."""
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        body = dict(self.body)
        if self.status == 500:  # noqa: PLR2004 - the one status that echoes the request
            body["error"] = f"Unexpected exception: {body['error']}. Path with query: {request.path_qs}"
        return web.json_response(body, status=self.status)


def unexpected(text: str) -> Refusal:
    """Return the 500 that stands for schema errors, duplicates of credentials, unknown paths and full buckets."""
    return Refusal(500, {"error": text})


def bad_request(text: str) -> Refusal:
    """Return a 400."""
    return Refusal(400, {"error": text})


def not_found(what: str) -> Refusal:
    """Return a 404, in plain text."""
    return Refusal(404, f"{what} not found")


def forbidden(uris: Collection[str], action: str) -> Refusal:
    """Return a 403 that names what is missing."""
    return Refusal(403, {"missing": [{"uri": uri, "action": action} for uri in uris]})


def schema_error(field: str, problem: str) -> Refusal:
    """Return the 500 of a body or query that does not fit, with a Python dictionary as its text."""
    return unexpected(str({field: [problem]}))


async def read_object(request: web.Request, *, known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of a request; other keys than `known` are refused."""
    text = await request.text()
    try:
        body = json.loads(text)
    except ValueError as error:
        raise bad_request(str(error)) from None
    if not isinstance(body, dict):
        raise unexpected("'list' object has no attribute 'get'")
    for field in body:
        if field not in known:
            raise schema_error(field, "Unknown field.")
    return body


def read_query(request: web.Request, *, known: Collection[str]) -> dict[str, str]:
    """Return the query; unknown and repeated keys are refused."""
    for field in request.query:
        if field not in known or len(request.query.getall(field)) > 1:
            raise schema_error(field, "Unknown field.")
    return dict(request.query)


def read_name(body: Mapping[str, Any]) -> str | None:
    """Return the optional name of a new bucket or of new credentials."""
    name = body.get("name")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise schema_error("name", "Invalid name.")
    return name


def read_text(body: Mapping[str, Any], field: str, default: str | None = None) -> str:
    """Return a text field of a body."""
    value = body.get(field, default)
    if not isinstance(value, str) or not value:
        raise schema_error(field, "Missing data for required field." if value is None else "Not a valid string.")
    return value


def read_bool(body: Mapping[str, Any], field: str, default: Any = None) -> bool | None:
    """Return an optional boolean field of a body."""
    value = body.get(field, default)
    if value is not None and not isinstance(value, bool):
        raise schema_error(field, "Not a valid boolean.")
    return value
