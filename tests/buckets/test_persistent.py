"""Persistent credentials in the configuration: which bucket an address means, and what is said when it means none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import (
    Bucket,
    BucketCredentials,
    Buckets,
    BucketsConfig,
    ConfigurationError,
    InvalidAddress,
    PersistentBucketCredentials,
    persistent_secret,
)
from airflow_provider_neuro_buckets.buckets.persistent import UNKNOWN_TIME, PersistentBuckets
from buckets.eras.service import OWNER, STRICT, TOKEN, USER, Service

CANARY = "canary-of-a-secret"
FIRST = "bucket-11111111-1111-4111-8111-111111111111"
SECOND = "bucket-22222222-2222-4222-8222-222222222222"
THIRD = "bucket-33333333-3333-4333-8333-333333333333"


def item(uri: str, id_: str = FIRST, **fields: Any) -> dict[str, Any]:
    keys = {"bucket_name": "real", "access_key_id": "AK", "secret_access_key": CANARY}
    return {"bucket_id": id_, "provider": "aws", "credentials": keys, "uri": uri, **fields}


def secret(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"credentials": list(items)}


TWO_PROJECTS = secret(
    item("blob://main/acme/ml/data"),
    item("blob://main/acme/web/data", SECOND),
    item(f"blob://other/acme/ml/{THIRD}", THIRD),
)


async def found(secret: Mapping[str, Any], address: str, **config: Any) -> tuple[str, str]:
    """Return id and key that an address leads to."""
    async with Buckets.open(BucketsConfig(persistent_credentials=secret, **config)) as buckets:
        bucket, key = await buckets._finder.address(address)
    return bucket.id, key


@pytest.mark.parametrize(
    ("address", "config", "expected"),
    [
        ("blob://main/acme/ml/data/k", {}, (FIRST, "k")),
        ("blob://MAIN/acme/web/data/k", {}, (SECOND, "k")),
        (f"blob://main/acme/web/{SECOND}/k", {}, (SECOND, "k")),
        (f"blob://other/acme/ml/{THIRD}/a%20b/", {}, (THIRD, "a b/")),
        ("blob:/ml/data/k", {}, (FIRST, "k")),
        ("blob:/web/data/k", {"org_name": "acme"}, (SECOND, "k")),
        ("blob:data/k", {"project_name": "web"}, (SECOND, "k")),
        ("blob:data/k", {"cluster_name": "main", "org_name": "acme", "project_name": "ml"}, (FIRST, "k")),
        (f"blob:{THIRD}/k", {}, (THIRD, "k")),
        (f"blob:{THIRD}/k", {"cluster_name": "main", "project_name": "web"}, (THIRD, "k")),
    ],
)
async def test_every_form_of_an_address_finds_its_bucket(
    address: str, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert await found(TWO_PROJECTS, address, **config) == expected


async def test_a_name_that_several_buckets_have_is_not_guessed_at() -> None:
    with pytest.raises(InvalidAddress, match=r"several buckets 'data': blob://main/acme/ml/data, blob://main/acme/web"):
        await found(TWO_PROJECTS, "blob:data/k")


@pytest.mark.parametrize(
    ("address", "config"),
    [
        ("blob:nope/k", {}),
        ("blob:dat/k", {}),
        ("blob:data2/k", {}),
        ("blob:data/k", {"project_name": "third"}),
        ("blob://main/acme/third/data/k", {}),
        ("blob://third/acme/ml/data/k", {}),
        ("blob:/third/data/k", {}),
        ("blob:/ml/data/k", {"org_name": "other"}),
        (f"blob://main/acme/ml/{SECOND}/k", {}),
    ],
)
async def test_a_bucket_without_credentials_needs_the_platform_and_that_is_said(
    address: str, config: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=r"has persistent credentials only.*Set a host and a token"):
        await found(TWO_PROJECTS, address, **config)


@pytest.mark.parametrize(
    ("uri", "org", "home", "name"),
    [
        ("blob://main/acme/ml/data", "acme", "ml", "data"),
        ("blob://main/bob/data", None, "bob", "data"),
        ("blob://main/bob/data/", None, "bob", "data"),
        ("blob://main/bob/service-accounts/ci/data", None, "bob/service-accounts/ci", "data"),
        ("blob://main/acme/bob/service-accounts/ci/data", "acme", "bob/service-accounts/ci", "data"),
        (f"blob://main/acme/ml/{FIRST}", "acme", "ml", None),
    ],
)
async def test_the_address_of_a_bucket_tells_org_owner_and_name(
    uri: str, org: str | None, home: str, name: str | None
) -> None:
    (bucket,) = PersistentBuckets.read(secret(item(uri)), name="c")
    assert (bucket.cluster_name, bucket.org_name, bucket.project_name, bucket.owner) == ("main", org, home, home)
    assert (bucket.name, str(bucket.uri)) == (name, uri.rstrip("/"))
    assert await found(secret(item(uri)), uri.rstrip("/") + "/a/b") == (FIRST, "a/b")


async def test_of_two_buckets_on_the_way_the_nearer_to_the_key_is_meant() -> None:
    nested = secret(item("blob://main/bob/data"), item("blob://main/bob/data/inner", SECOND))
    assert await found(nested, "blob://main/bob/data/inner/k") == (SECOND, "k")
    assert await found(nested, "blob://main/bob/data/other/k") == (FIRST, "other/k")


def test_what_the_platform_told_of_a_bucket_is_kept_and_what_it_did_not_tell_is_told_apart() -> None:
    told = item("blob://main/acme/ml/data", owner="bob", created_at="2026-01-02T03:04:05+00:00")
    (bucket,) = PersistentBuckets.read(secret(told), name="c")
    assert (bucket.owner, bucket.created_at) == ("bob", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    (bucket,) = PersistentBuckets.read(secret(item("blob://main/acme/ml/data")), name="c")
    assert (bucket.owner, bucket.created_at) == ("ml", UNKNOWN_TIME)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({}, "no list 'credentials'"),
        (secret(), "no list 'credentials'"),
        ({"credentials": {CANARY: CANARY}}, "no list 'credentials'"),
        (secret(item("blob://main/acme/ml/data"), {"credentials": CANARY}), "number 2 of connection 'c'.*no bucket_id"),
        ({"credentials": [CANARY]}, "number 1 of connection 'c'"),
        (secret(item("")), "no uri"),
        (secret(item("blob:data")), "'uri' is not the address of a bucket"),
        (secret(item("blob://main/data")), "'uri' is not the address of a bucket"),
        (secret(item(f"https://x/{CANARY}")), "not the address of a bucket"),
        (secret(item("blob://main/acme//data")), "'uri' is not the address of a bucket"),
        (secret(item("blob://main/acme/ml/data", created_at=CANARY)), "time"),
        (secret(item("blob://main/acme/ml/data", credentials=[CANARY])), "not bucket credentials"),
        (secret(item("blob://main/acme/ml/data", "../x")), "'../x' is not the name or id"),
    ],
)
async def test_a_secret_that_cannot_be_read_is_told_by_its_place_and_never_shown(
    broken: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        async with Buckets.open(BucketsConfig(persistent_credentials=broken, name="connection 'c'")):
            pass
    assert CANARY not in repr(caught.value)


async def test_every_secret_is_told_to_the_surroundings_when_the_client_opens() -> None:
    seen: list[str] = []

    async def mask(text: str) -> None:
        seen.append(text)

    async with Buckets.open(BucketsConfig(persistent_credentials=TWO_PROJECTS, on_secret=mask)) as buckets:
        assert set(seen) == {CANARY}
        assert CANARY not in repr(buckets.config)


async def test_a_list_shows_the_buckets_of_the_credentials_within_what_is_asked() -> None:
    async with Buckets.open(BucketsConfig(persistent_credentials=TWO_PROJECTS)) as buckets:
        assert [bucket.id async for bucket in buckets.list()] == [FIRST, SECOND, THIRD]
        assert [bucket.id async for bucket in buckets.list("main")] == [FIRST, SECOND]
        assert [bucket.id async for bucket in buckets.list(project_name="ml")] == [FIRST, THIRD]
    async with Buckets.open(BucketsConfig(persistent_credentials=TWO_PROJECTS, project_name="web")) as buckets:
        assert [bucket.id async for bucket in buckets.list()] == [SECOND]
        assert (await buckets.get("data")).id == SECOND
        assert (await buckets.get("data", project_name="ml")).id == FIRST
        assert (await buckets.get("data", bucket_owner="ml")).id == FIRST


NEEDS_THE_PLATFORM = {
    "create": lambda buckets: buckets.create("fresh"),
    "import_external": lambda buckets: buckets.import_external("aws", "theirs", {}),
    "rm": lambda buckets: buckets.rm(FIRST),
    "request_tmp_credentials": lambda buckets: buckets.request_tmp_credentials(FIRST),
    "set_public_access": lambda buckets: buckets.set_public_access(FIRST, public_access=True),
    "persistent_credentials_create": lambda buckets: buckets.persistent_credentials_create([FIRST]),
    "persistent_credentials_get": lambda buckets: buckets.persistent_credentials_get("keys"),
    "persistent_credentials_rm": lambda buckets: buckets.persistent_credentials_rm("keys"),
    "persistent_credentials_list": lambda buckets: anext(aiter(buckets.persistent_credentials_list())),
}


@pytest.mark.parametrize("ask", NEEDS_THE_PLATFORM.values(), ids=NEEDS_THE_PLATFORM)
async def test_what_needs_the_platform_says_so(ask: Any) -> None:
    config = BucketsConfig(
        persistent_credentials=TWO_PROJECTS, name="connection 'c'", api_url="https://api.example/api/v1"
    )
    async with Buckets.open(config) as buckets:
        with pytest.raises(
            ConfigurationError, match=r"connection 'c' has persistent credentials only.*host and a token"
        ):
            await ask(buckets)


# With both a token and persistent credentials


@pytest.fixture(params=[STRICT, OWNER])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with Service(request.param).running() as service:
        yield service


def both(service: Service, lasting: Mapping[str, Any], **config: Any) -> BucketsConfig:
    return BucketsConfig(
        buckets_url=service.url,
        token=TOKEN,
        cluster_name="main",
        org_name="acme",
        project_name=USER,
        persistent_credentials=lasting,
        **config,
    )


async def test_with_a_token_blobs_of_these_buckets_use_the_credentials_and_all_else_asks_the_platform(
    service: Service,
) -> None:
    mine = service.add("data", project=None)
    other = service.add("other", project=None)
    lasting = secret(item(f"blob://main/acme/{USER}/data", mine))
    async with Buckets.open(both(service, lasting)) as buckets:
        for address in ("blob:data/k", f"blob:{mine}/k", f"blob:/{USER}/data/k", f"blob://main/acme/{USER}/data/k"):
            assert await buckets._finder.address(address) == ((await buckets._finder.address(address))[0], "k")
            listing, _ = await buckets._located(address)
            assert (await buckets.opener._credentials(listing.bucket)).credentials["secret_access_key"] == CANARY
        assert not service.asked
        await buckets.opener._credentials(await buckets.get("other"))
        assert service.lines()[-1] == f"POST buckets/{other}/make_tmp_credentials"
        await buckets.make_signed_url("blob:data/k")
        assert service.lines()[-1] == f"POST buckets/{mine}/sign_blob_url"
        assert (await buckets.get("data")).created_at != UNKNOWN_TIME
        assert (await buckets.request_tmp_credentials("data")).credentials["secret_access_key"] != CANARY
        assert [bucket.name async for bucket in buckets.list()] == ["data", "other"]


async def test_with_a_token_a_name_means_the_bucket_of_the_place_and_not_one_elsewhere(service: Service) -> None:
    mine = service.add("data", project=None)
    lasting = secret(item("blob://main/acme/elsewhere/data", SECOND))
    async with Buckets.open(both(service, lasting)) as buckets:
        assert (await buckets._finder.address("blob:data/k"))[0].id == mine
        assert (await buckets._finder.address("blob:/elsewhere/data/k"))[0].id == SECOND


# The secret itself


def lasting_for(*buckets: Bucket, read_only: bool = False) -> PersistentBucketCredentials:
    return PersistentBucketCredentials(
        id="bucket-credentials-1",
        owner="alice",
        name="keys",
        read_only=read_only,
        cluster_name="main",
        credentials=[
            BucketCredentials(bucket_id=bucket.id, provider=bucket.provider, credentials={"account_key": CANARY})
            for bucket in buckets
        ],
    )


def test_the_secret_is_json_that_reads_back_to_the_same_buckets_and_keys() -> None:
    buckets = list(PersistentBuckets.read(TWO_PROJECTS, name="c"))
    lasting = lasting_for(*buckets)
    again = PersistentBuckets.read(json.loads(json.dumps(persistent_secret(lasting, buckets))), name="c")
    assert list(again) == buckets
    assert list(again.all_credentials()) == lasting.credentials


def test_a_secret_of_read_only_credentials_says_so_for_each_bucket() -> None:
    buckets = list(PersistentBuckets.read(TWO_PROJECTS, name="c"))
    written = persistent_secret(lasting_for(*buckets, read_only=True), buckets)
    assert all(keys.read_only for keys in PersistentBuckets.read(written, name="c").all_credentials())


def test_a_secret_with_a_bucket_missing_is_not_written() -> None:
    buckets = list(PersistentBuckets.read(TWO_PROJECTS, name="c"))
    with pytest.raises(ConfigurationError, match=f"'?keys'? are also for bucket {THIRD}"):
        persistent_secret(lasting_for(*buckets), buckets[:2])


def test_credentials_show_no_secret_f114() -> None:
    (bucket, *_) = PersistentBuckets.read(TWO_PROJECTS, name="c")
    assert CANARY not in repr(lasting_for(bucket))
    assert CANARY not in str(lasting_for(bucket).credentials[0])
