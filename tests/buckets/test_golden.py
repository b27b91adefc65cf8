"""The client against the transcripts of the local platform: what it sends, reads, and takes refusals for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets import (
    AlreadyExists,
    AuthenticationError,
    BadRequest,
    BucketNotEmpty,
    Buckets,
    BucketsConfig,
    BucketsError,
    PermissionDenied,
    ResourceNotFound,
    Unavailable,
    UnsupportedProvider,
    wire,
)
from airflow_provider_neuro_buckets.buckets.answers import read_bucket, read_credentials, read_persistent
from airflow_provider_neuro_buckets.buckets.session import open_session
from buckets.eras.service import serving

FOLDER = Path(__file__).parents[1] / "golden" / "platform"
TRANSCRIPTS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
REFUSALS = sorted(name for name, it in TRANSCRIPTS.items() if it["status"] >= 400)
BUCKET = "bucket-00000000-0000-4000-8000-000000000001"

MEANINGS: dict[type[BucketsError], set[str]] = {
    AlreadyExists: {"create_with_a_taken_name", "import_with_a_taken_name", "persistent_create_taken_name"},
    AuthenticationError: {"no_token", "unknown_token"},
    BucketNotEmpty: {"delete_a_full_bucket"},
    PermissionDenied: {name for name in REFUSALS if TRANSCRIPTS[name]["status"] == 403},
    ResourceNotFound: {
        *(name for name in REFUSALS if TRANSCRIPTS[name]["status"] == 404),
        "find_by_path_of_another_project",
        "find_by_path_of_nothing",
        "find_by_path_too_short",
        "find_by_path_with_a_slash_in_front",
        "find_by_path_with_an_id",
        "persistent_create_bucket_by_name",
        "persistent_create_unknown_bucket",
    },
    # A body that is an array: nothing tells this 500 from a broken server, and the client sends none.
    Unavailable: {"create_from_an_array"},
    UnsupportedProvider: {name for name in REFUSALS if "generator didn't yield" in str(TRANSCRIPTS[name]["body"])},
}


class Replay:
    """A platform that has said everything already: it answers each request as a transcript does, and remembers."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.config = BucketsConfig(api_url="http://unused.example")

    def says(self, name: str) -> None:
        """Answer as the transcript does, whatever the query is."""
        request = TRANSCRIPTS[name]["request"]
        self.answers[request["method"], request["path"].partition("?")[0]] = TRANSCRIPTS[name]

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        path = request.path.removeprefix("/api/v1/")
        self.asked.append((request.method, path, dict(request.query), json.loads(text) if text else None))
        said = self.answers[request.method, path]
        kind = said["headers"].get("Content-Type", "")
        body = json.dumps(said["body"]) if kind.startswith("application/json") else said["body"]
        return web.Response(status=said["status"], body=body.encode(), headers=said["headers"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Replay]:
        application = web.Application()
        application.add_routes([web.route("*", "/{path:.*}", self.answer)])
        async with serving(application) as address:
            self.config = BucketsConfig(
                buckets_url=f"{address}/api/v1/buckets",
                token="TOKEN",
                cluster_name="local",
                org_name="neuro",
                project_name="demo",
            )
            yield self


@pytest.fixture
async def replay(impatient: None) -> AsyncIterator[Replay]:  # noqa: ARG001 - some refusals are asked for again
    async with Replay().running() as replay:
        yield replay


def meaning(name: str) -> type[BucketsError]:
    return next((kind for kind, names in MEANINGS.items() if name in names), BadRequest)


def test_every_transcript_named_here_exists() -> None:
    assert set().union(*MEANINGS.values()) <= set(REFUSALS)
    assert len(REFUSALS) > 50


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_of_the_platform_becomes_its_error_and_is_not_asked_for_again(
    replay: Replay, name: str
) -> None:
    replay.says(name)
    request = TRANSCRIPTS[name]["request"]
    url = URL(str(replay.config.buckets_url)).parent / request["path"].partition("?")[0]
    async with open_session(replay.config) as http:
        with pytest.raises(BucketsError) as caught:
            await wire.Wire(http, replay.config).request(request["method"], url, what="cannot do it")
    assert type(caught.value) is meaning(name)
    assert len(replay.asked) == (4 if meaning(name) is Unavailable else 1)


def bucket_of(name: str) -> dict[str, Any] | None:
    body = TRANSCRIPTS[name]["body"]
    return body if isinstance(body, dict) and "created_at" in body else None


@pytest.mark.parametrize("name", sorted(filter(bucket_of, TRANSCRIPTS)))
def test_a_bucket_is_read_as_the_platform_tells_it(name: str) -> None:
    told = bucket_of(name)
    assert told is not None
    bucket = read_bucket(told, "local")
    for field in ("id", "name", "owner", "org_name", "project_name", "provider", "imported"):
        assert getattr(bucket, field) == told[field]
    assert bucket.created_at.isoformat() == told["created_at"]
    assert bucket.public is bool(told["public"])
    assert str(bucket.uri) == f"blob://local/neuro/{told['project_name']}/{told['name'] or told['id']}"


@pytest.mark.parametrize("name", sorted(name for name in TRANSCRIPTS if name.startswith("temporary_credentials")))
def test_credentials_are_read_as_the_platform_tells_them(name: str) -> None:
    told = TRANSCRIPTS[name]["body"]
    if TRANSCRIPTS[name]["status"] == 200:
        credentials = read_credentials(told)
        assert (credentials.bucket_id, credentials.provider) == (told["bucket_id"], told["provider"])
        assert (credentials.read_only, credentials.credentials) == (told["read_only"], told["credentials"])
    else:
        assert name in REFUSALS


@pytest.mark.parametrize("name", ["persistent_create", "persistent_create_unnamed", "persistent_get_by_id"])
def test_persistent_credentials_are_read_as_the_platform_tells_them(name: str) -> None:
    told = TRANSCRIPTS[name]["body"]
    lasting = read_persistent(told, "local")
    assert (lasting.id, lasting.name, lasting.owner) == (told["id"], told["name"], told["owner"])
    assert lasting.read_only is bool(told["read_only"])
    assert [it.credentials for it in lasting.credentials] == [it["credentials"] for it in told["credentials"]]


async def listed(buckets: Buckets) -> list[str | None]:
    return [bucket.name async for bucket in buckets.list()]


async def lasting(buckets: Buckets) -> list[str | None]:
    return [item.name async for item in buckets.persistent_credentials_list()]


#: Which transcript the client repeats when it is asked for what.
CALLS: dict[str, Callable[[Buckets], Awaitable[Any]]] = {
    "get_by_name": lambda it: it.get("data"),
    "get_by_id": lambda it: it.get(BUCKET),
    "list_buckets": listed,
    "create": lambda it: it.create("data"),
    "create_without_a_name": lambda it: it.create(),
    "import_bucket": lambda it: it.import_external(
        TRANSCRIPTS["import_bucket"]["request"]["body"]["provider"],
        TRANSCRIPTS["import_bucket"]["request"]["body"]["provider_bucket_name"],
        TRANSCRIPTS["import_bucket"]["request"]["body"]["credentials"],
        name="import-bucket",
    ),
    "make_public": lambda it: it.set_public_access(BUCKET, public_access=True),
    "make_private": lambda it: it.set_public_access(BUCKET, public_access=False),
    "temporary_credentials": lambda it: it.request_tmp_credentials("data"),
    "sign": lambda it: it.make_signed_url("blob:data/a/b c+d%2520\u00e9.txt"),
    "persistent_create_read_only": lambda it: it.persistent_credentials_create(
        [BUCKET], name="ro-keys", read_only=True
    ),
    "persistent_list": lasting,
    "persistent_get_by_name": lambda it: it.persistent_credentials_get("keys"),
    "persistent_delete": lambda it: it.persistent_credentials_rm("ro-keys"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_client_asks_what_the_transcript_asks(replay: Replay, name: str) -> None:
    replay.says("get_by_name")
    replay.says("get_by_id")
    replay.says(name)
    async with Buckets.open(replay.config) as buckets:
        await CALLS[name](buckets)
    request = TRANSCRIPTS[name]["request"]
    method, path, query, body = replay.asked[-1]
    wanted, _, asked = request["path"].partition("?")
    assert (method, path) == (request["method"], wanted)
    # Defaults are spelt out, and strict servers want the home of an id as well.
    assert query in ({"org_name": "neuro", "project_name": "demo"}, dict(URL(f"?{asked}").query))
    assert body == request.get("body") or {**(request.get("body") or {}), **(body or {})} == body
    assert set(body or {}) - set(request.get("body") or {}) <= {"expires_in_sec", "read_only", "name"}
