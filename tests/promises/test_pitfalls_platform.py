"""Pitfalls 1 to 11 and 20 of the wire protocol (section 7): the platform and what it hands out."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets import (
    AlreadyExists,
    AuthenticationError,
    BadRequest,
    Bucket,
    BucketNotEmpty,
    Buckets,
    BucketsConfig,
    BucketsError,
    ConfigurationError,
    ResourceNotFound,
    Unavailable,
)
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.eras.service import OWNER, STRICT, TOKEN, Service, Trouble
from buckets.eras.test_discovery import Api, cluster, project
from conformance.rigs.base import Rig
from promises.scene import Granting, alice, content_of, every_era, older_eras, owner_era, strict_era

MISSING = "bucket-11111111-2222-4333-8444-555555555555"
ROBOT = "alice/service-accounts/ci"
Ask = Callable[[Buckets], Awaitable[Any]]


def sign(address: str) -> Ask:
    return lambda buckets: buckets.make_signed_url(address)


REFUSALS: list[tuple[str, Ask, str, type[BucketsError]]] = [
    ("POST", lambda buckets: buckets.create("fresh"), "{'name': ['Invalid name.']}", BadRequest),
    (
        "POST",
        lambda buckets: buckets.persistent_credentials_create(["data"], name="keys"),
        "PersistentCredentials for alice with name keys already exists",
        AlreadyExists,
    ),
    ("GET", lambda buckets: buckets.get("data"), "Bucket for path acme/ml/data not found", ResourceNotFound),
    ("DELETE", lambda buckets: buckets.rm("data"), "An error occurred (BucketNotEmpty)", BucketNotEmpty),
]


@strict_era
async def test_pitfall_01_a_500_is_told_by_its_text_and_only_a_broken_server_is_asked_again(service: Service) -> None:
    service.add("data", imported=True)
    async with alice(service) as buckets:
        for method, ask, text, kind in REFUSALS:
            said = {"error": f"Unexpected exception: {text}. Path with query: /api/v1/buckets/buckets?x=already exists"}
            service.troubles = [Trouble(method, "", answer=(500, said)), Trouble(method, "", answer=(500, "second"))]
            with pytest.raises(kind) as caught:
                await ask(buckets)
            assert type(caught.value) is kind
            assert len(service.troubles) == 1
        service.troubles = [Trouble("GET", "", answer=(500, {"error": "Unexpected exception: boom"}))]
        assert (await buckets.get("data")).name == "data"
        service.troubles = [Trouble("GET", "", answer=(500, "boom")) for _ in range(9)]
        with pytest.raises(Unavailable):
            await buckets.get("data")


@pytest.mark.parametrize("org", ["acme", None])
@every_era
async def test_pitfall_02_a_missing_id_is_not_found_also_where_the_server_says_400(
    service: Service, org: str | None
) -> None:
    async with alice(service, org_name=org) as buckets:
        for ask in (buckets.get(MISSING), buckets.make_signed_url(f"blob:{MISSING}/key")):
            with pytest.raises(ResourceNotFound, match=MISSING):
                await ask


@every_era
async def test_pitfall_03_an_id_in_an_address_is_asked_for_by_id_and_never_by_path(service: Service) -> None:
    id_ = service.add(None, owner="ml")
    async with alice(service) as buckets:
        for address in (f"blob:{id_}/k", f"blob:/ml/{id_}/k", f"blob://main/acme/ml/{id_}/k"):
            await buckets.make_signed_url(address)
            assert service.asked[-1].body["key"] == "k"
        (bucket,) = [bucket async for bucket in buckets.list()]
        await buckets.make_signed_url(f"{bucket.uri}/k")  # that of a bucket without a name ends with its id
    assert not [asked for asked in service.asked if "by_path" in asked.path]


@every_era
async def test_pitfall_04_a_new_bucket_says_its_project_where_there_are_projects_and_nowhere_else(
    service: Service,
) -> None:
    async with alice(service, project_name=None if service.era == OWNER else "ml") as buckets:
        made = await buckets.create("fresh")
        assert (made.org_name, made.project_name) == ("acme", None if service.era == OWNER else "ml")
        await buckets.import_external("aws", "theirs", {}, name="imported")
    assert service.made() == ["fresh", "imported"]
    (fresh, imported) = [asked.body for asked in service.asked if asked.method == "POST"][-2:]
    for body in (fresh, imported):
        assert body.get("project_name") == (None if service.era == OWNER else "ml")
        assert ("project_name" in body) is (service.era != OWNER)


@owner_era
async def test_pitfall_04_a_project_that_an_old_server_does_not_have_makes_no_bucket_elsewhere(
    service: Service,
) -> None:
    async with alice(service) as buckets:
        with pytest.raises(ConfigurationError, match="no projects"):
            await buckets.create("fresh")
    assert service.made() == []


@owner_era
async def test_pitfall_05_selectors_that_an_old_server_ignores_never_lead_to_the_callers_own_bucket(
    service: Service,
) -> None:
    service.add("data", imported=True)
    async with alice(service, project_name=None) as buckets:
        where: Any = {"project_name": "team"}
        for ask in (
            buckets.get("data", **where),
            buckets.rm("data", **where),
            buckets.set_public_access("data", public_access=True, **where),
            buckets.request_tmp_credentials("data", **where),
            buckets.put_blob("data", "key", b"", **where),
            buckets.make_signed_url("blob:/team/data/key"),
        ):
            with pytest.raises(ResourceNotFound):
                await ask
    assert {asked.method for asked in service.asked} == {"GET"}
    assert service.made() == ["data"]


@every_era
async def test_pitfall_06_a_list_asks_with_org_and_project_and_nothing_else(service: Service) -> None:
    service.add("data", owner="ml")
    async with alice(service) as buckets:
        assert [bucket.name async for bucket in buckets.list()] == ["data"]
        assert [bucket.name async for bucket in buckets.list()] == ["data"]
    queries = [asked.query for asked in service.asked if asked.path == "buckets"]
    if service.era == STRICT:
        assert queries == [{"org_name": "acme", "project_name": "ml"}] * 2
    assert all(set(query) <= {"org_name", "project_name"} for query in queries)


async def test_pitfall_07_the_platform_drops_everybodys_credentials_before_it_notices_and_the_client_does_not(
    local: Buckets, made: Bucket, neuro_buckets_local: RunningPlatform
) -> None:
    await local.put_blob(made.id, "key", b"content")
    lasting = await local.persistent_credentials_create([made.id])
    with pytest.raises(BucketNotEmpty):
        await local.rm(made.id)
    assert await local.persistent_credentials_get(lasting.id) == lasting
    # What would have happened.
    url = URL(neuro_buckets_local.buckets_url) / "buckets" / made.id
    headers = {"Authorization": f"Bearer {neuro_buckets_local.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        query = {"org_name": str(made.org_name), "project_name": str(made.project_name)}
        async with http.delete(url, params=query) as answer:
            assert answer.status == 500
    with pytest.raises(ResourceNotFound):
        await local.persistent_credentials_get(lasting.id)


@pytest.mark.parametrize("org", ["acme", None])
@older_eras
async def test_pitfall_08_the_bucket_of_a_service_account_whose_name_has_slashes_is_found(
    service: Service, org: str | None
) -> None:
    id_ = service.add("data", owner=ROBOT, project=ROBOT, org=org)
    async with alice(service) as buckets:
        uri = (await buckets.get(id_)).uri
        assert str(uri) == "/".join(filter(None, ["blob://main", org, ROBOT, "data"]))
        assert (await buckets.get(str(uri))).id == id_
        await buckets.make_signed_url(f"{uri}/a/b%20c")
        assert (service.asked[-1].path, service.asked[-1].body["key"]) == (f"buckets/{id_}/sign_blob_url", "a/b c")


async def test_pitfall_09_the_bucket_inside_the_provider_has_the_name_that_its_credentials_say(rig: Rig) -> None:
    assert rig.keys.credentials["bucket_name"] not in {"data", rig.bucket.name}
    async with Granting(rig).running() as service, alice(service) as buckets:
        await buckets.put_blob("data", "key", b"content")
    assert await rig.get("key") == b"content"


async def test_pitfall_10_credentials_that_do_not_say_when_they_end_are_taken_as_lasting(rig: Rig) -> None:
    words = {"expiration", "expiry", "expire_time"}
    lasting = {name: value for name, value in rig.keys.credentials.items() if name not in words}
    async with Granting(rig, lasting).running() as service:
        assert isinstance(service, Granting)
        async with alice(service) as buckets:
            for number in range(5):
                await buckets.put_blob("data", f"key-{number}", b"content")
                assert await content_of(buckets, "data", f"key-{number}") == b"content"
        assert service.granted == 1


async def test_pitfall_11_the_read_only_flag_of_an_imported_bucket_is_not_believed_and_no_credentials_show(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="airflow_provider_neuro_buckets")
    async with Granting(rig, imported=True).running() as service:
        assert isinstance(service, Granting)
        service.read_only = True
        async with alice(service) as buckets:
            await buckets.put_blob("data", "key", b"content")  # the storage decides
            tmp = await buckets.request_tmp_credentials("data")
            lasting = await buckets.persistent_credentials_create(["data"], name="keys")
            listed = [item async for item in buckets.persistent_credentials_list()]
    assert (tmp.read_only, await rig.names()) == (True, ["key"])
    words = {"secret_access_key", "session_token", "sas_token", "key_data", "access_token"}
    secrets = [value for name, value in rig.keys.credentials.items() if name in words]
    shown = f"{tmp!r} {lasting!r} {listed!r} {caplog.text}"
    assert secrets
    assert not [secret for secret in [*secrets, "not a real one"] if secret in shown]


@pytest.mark.parametrize("answer", [{"authorized": False}, {"authorized": True}, {}], ids=json.dumps)
async def test_pitfall_20_a_configuration_with_a_200_for_a_bad_token_is_an_authentication_error(
    answer: dict[str, Any],
) -> None:
    async with Api().running() as api:
        api.answer = answer
        async with Buckets.open(BucketsConfig(api_url=api.url, token=TOKEN, name="connection 'c'")) as buckets:
            with pytest.raises(AuthenticationError, match=r"connection 'c'.*does not accept the token"):
                await buckets.check()


async def test_pitfall_20_what_the_connection_pins_does_not_depend_on_the_order_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = base64.b64encode(json.dumps({"token": "t", "cluster": "trap", "url": "http://127.0.0.1:9"}).encode())
    for name in ("APOLO_PASSED_CONFIG", "NEURO_PASSED_CONFIG"):
        monkeypatch.setenv(name, passed.decode())
    async with Service(STRICT).running() as wanted, Service(STRICT).running() as other, Api().running() as api:
        wanted.add("data", project="zoo")
        clusters = [cluster("main", wanted.url, orgs=["acme", None]), cluster("a", other.url, orgs=[]), {"name": None}]
        projects = [project("abc"), project("zoo"), project("old", org=None)]
        for at in range(3):
            api.answer = {"clusters": clusters[at:] + clusters[:at], "projects": projects[at:] + projects[:at]}
            pinned = BucketsConfig(
                api_url=api.url, token=TOKEN, cluster_name="main", org_name="acme", project_name="zoo"
            )
            async with Buckets.open(pinned) as buckets:
                assert str((await buckets.get("data")).uri) == "blob://main/acme/zoo/data"
    assert not other.asked
