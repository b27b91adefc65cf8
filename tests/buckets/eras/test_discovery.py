"""From a connection to a cluster, an org and a project: by the platform's own configuration, or without asking it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import (
    AuthenticationError,
    BucketsConfig,
    BucketsError,
    ConfigurationError,
    InvalidAnswer,
    ResourceNotFound,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.client import Buckets
from buckets.eras.service import OWNER, STRICT, TOKEN, Service, serving

UNUSED = "http://127.0.0.1:9/api/v1/buckets"


class Api:
    """The platform's API, as far as ``/config`` goes: says what it is told to say, and counts."""

    def __init__(self) -> None:
        self.answer: Any = {"authorized": True, "clusters": []}
        self.status = 200
        self.tokens: list[str] = []
        self.url = ""

    async def config(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers["Authorization"])
        text = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return web.Response(status=self.status, text=text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Api]:
        application = web.Application()
        application.add_routes([web.get("/api/v1/config", self.config)])
        async with serving(application) as address:
            self.url = f"{address}/api/v1"
            yield self


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Api().running() as api:
        yield api


@pytest.fixture
def connect(api: Api) -> Callable[..., AbstractAsyncContextManager[Buckets]]:
    def connect(**config: Any) -> AbstractAsyncContextManager[Buckets]:
        return Buckets.open(BucketsConfig(**({"api_url": api.url, "token": TOKEN, "name": "connection 'c'"} | config)))

    return connect


def cluster(name: str, url: str = UNUSED, **fields: Any) -> dict[str, Any]:
    return {"name": name, "buckets_url": url, "storage_url": "https://ignored.example", "orgs": ["acme"], **fields}


def project(name: str, *, org: str | None = "acme", cluster: str = "main") -> dict[str, Any]:
    return {"name": name, "role": "owner", "org_name": org, "cluster_name": cluster}


FULL = {
    "authorized": True,
    "orgs": [{"name": "acme", "role": "owner"}, {"name": "zeta", "role": "user"}],
    "projects": [
        project("zoo"),
        project("ml"),
        project("abc", org="zeta"),
        project("aaa", cluster="other"),
        project("old", org=None),
        {"name": None},
        "nonsense",
    ],
    "clusters": [cluster("main", orgs=["acme", "zeta"]), cluster("other", orgs=["acme"])],
}


@pytest.mark.parametrize(
    ("config", "answer", "expected"),
    [
        ({}, FULL, ("main", "acme", "ml")),
        ({"org_name": "zeta"}, FULL, ("main", "zeta", "abc")),
        ({"cluster_name": "other"}, FULL, ("other", "acme", "aaa")),
        ({"cluster_name": "MAIN", "project_name": "zoo"}, FULL, ("main", "acme", "zoo")),
        ({"org_name": "unlisted", "project_name": "p"}, FULL, ("main", "unlisted", "p")),
        ({}, FULL | {"clusters": [cluster("main", orgs=[None, "acme"])]}, ("main", None, "old")),
        ({}, FULL | {"clusters": [cluster("main", orgs=[])]}, ("main", None, "old")),
        ({}, FULL | {"clusters": [cluster("main", orgs=None)]}, ("main", None, "old")),
        ({}, {"clusters": [cluster("main")]}, ("main", "acme", None)),
        ({}, FULL | {"projects": None}, ("main", "acme", None)),
        ({}, FULL | {"clusters": ["nonsense", cluster("main")]}, ("main", "acme", "ml")),
    ],
)
async def test_the_place_is_what_the_connection_says_and_else_the_first(
    api: Api, connect: Callable[..., Any], config: dict[str, Any], answer: Any, expected: tuple[str | None, ...]
) -> None:
    api.answer = answer
    async with connect(**config) as buckets:
        place = await buckets._platform.place()
    assert (place.cluster, place.org, place.project) == expected
    assert api.tokens == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    ("answer", "status", "kind", "text"),
    [
        ({"authorized": False}, 200, AuthenticationError, "connection 'c'.*does not accept the token"),
        ({"authorized": False, "clusters": []}, 200, AuthenticationError, "token"),
        ({}, 200, AuthenticationError, "token"),
        ({"authorized": True, "clusters": []}, 200, ConfigurationError, "no cluster at all.*operators"),
        ({"clusters": [cluster("a"), cluster("b")]}, 200, ConfigurationError, "no cluster 'main'.*one of a, b"),
        (
            {"error": "Current user doesn't have access to any cluster."},
            400,
            ConfigurationError,
            "doesn't have access to any cluster",
        ),
        ({"clusters": [{"name": "main"}]}, 200, InvalidAnswer, "no buckets_url"),
        ({"clusters": [{"name": "main", "buckets_url": "not an address"}]}, 200, InvalidAnswer, "not an address"),
        ({"clusters": [{"name": "main", "buckets_url": "file:///etc/passwd"}]}, 200, InvalidAnswer, "buckets_url"),
        ([], 200, InvalidAnswer, "configuration"),
        ("<html>", 200, ConfigurationError, "not JSON. Set the host to the platform's API"),
        ("404: Not Found", 404, ConfigurationError, "Set the host to the platform's API"),
        ("403", 403, ConfigurationError, "Set the host"),
        ("401: Unauthorized", 401, AuthenticationError, "Check the token"),
        ("", 503, Unavailable, "503"),
        ("", 301, ConfigurationError, "redirects"),
    ],
)
async def test_a_configuration_that_does_not_help_is_told_in_its_own_words(
    api: Api, connect: Callable[..., Any], answer: Any, status: int, kind: type[BucketsError], text: str
) -> None:
    api.answer, api.status = answer, status
    names_clusters = isinstance(answer, dict) and bool(answer.get("clusters"))
    async with connect(cluster_name="main" if names_clusters else None) as buckets:
        with pytest.raises(kind, match=text) as caught:
            await buckets.get("data")
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)


async def test_a_cluster_that_is_asked_is_the_cluster_that_is_used(api: Api, connect: Callable[..., Any]) -> None:
    async with Service(STRICT).running() as new, Service(OWNER).running() as old:
        here, there = new.add("data"), old.add("data", owner="ml", project=None)
        api.answer = {"clusters": [cluster("main", new.url), cluster("other", old.url)], "projects": [project("ml")]}
        async with connect(project_name="ml") as buckets:
            assert (await buckets.get("data")).cluster_name == "main"
            bucket = await buckets.get("data", cluster_name="other")
            assert (bucket.id, bucket.cluster_name, str(bucket.uri)) == (there, "other", "blob://other/acme/ml/data")
            await buckets.request_tmp_credentials("data", cluster_name="other")
            await buckets.make_signed_url("blob://other/ml/data/key")
            await buckets.make_signed_url("blob://main/acme/ml/data/key")
            with pytest.raises(ConfigurationError, match="another cluster"):
                await buckets.persistent_credentials_create(["blob://other/acme/ml/data"])
            with pytest.raises(ConfigurationError, match="no cluster 'third'"):
                await buckets.get("data", cluster_name="third")
        assert len(api.tokens) == 1
        assert [line for line in old.lines() if line.startswith("POST")] == [
            f"POST buckets/{there}/make_tmp_credentials",
            f"POST buckets/{there}/sign_blob_url",
        ]
        assert [line for line in new.lines() if line.startswith("POST")] == [f"POST buckets/{here}/sign_blob_url"]


async def test_with_a_buckets_url_nothing_is_discovered(api: Api, connect: Callable[..., Any]) -> None:
    async with Service(STRICT).running() as service:
        service.add("data")
        async with connect(
            buckets_url=service.url + "/", cluster_name="main", org_name="acme", project_name="ml"
        ) as buckets:
            assert (await buckets.get("data")).cluster_name == "main"
            assert await buckets.check() == "cluster main, org acme, project ml: 1 bucket to read"
            assert not api.tokens
            api.answer = {"clusters": [cluster("main"), cluster("other", service.url)]}
            assert (await buckets.get("data", cluster_name="other")).cluster_name == "other"
            assert len(api.tokens) == 1


async def test_a_buckets_url_alone_knows_its_own_cluster_only() -> None:
    config = BucketsConfig(buckets_url=UNUSED, token=TOKEN, cluster_name="main")
    async with Buckets.open(config) as buckets:
        with pytest.raises(ConfigurationError, match="knows the cluster 'main' only, not 'other'"):
            await buckets.get("data", cluster_name="other")
    async with Buckets.open(BucketsConfig(buckets_url=UNUSED, token=TOKEN)) as buckets:
        with pytest.raises(ConfigurationError, match="Set cluster_name beside it"):
            await buckets.get("data")


async def test_the_token_is_told_to_the_surroundings_before_anything_is_asked(
    api: Api, connect: Callable[..., Any]
) -> None:
    seen: list[str] = []

    async def mask(secret: str) -> None:
        seen.append(secret)
        assert not api.tokens

    async with connect(on_secret=mask):
        assert seen == [TOKEN]


async def test_a_rejected_token_is_not_sent_again(api: Api, connect: Callable[..., Any]) -> None:
    async with Service(STRICT).running() as service:
        api.answer = {"clusters": [cluster("main", service.url)]}
        async with connect(token="stale", project_name="ml") as buckets:
            with pytest.raises(AuthenticationError, match=r"connection 'c': cannot find bucket 'data'.*401"):
                await buckets.get("data")
            with pytest.raises(AuthenticationError):
                await buckets.check()
        assert len(service.asked) == 2


async def test_nothing_but_the_bucket_is_missing(api: Api, connect: Callable[..., Any]) -> None:
    async with Service(STRICT).running() as service:
        api.answer = FULL | {"clusters": [cluster("main", service.url)]}
        async with connect() as buckets:
            with pytest.raises(ResourceNotFound, match="cannot find bucket 'nope' in main/acme/ml"):
                await buckets.get("nope")
