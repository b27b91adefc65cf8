"""Decisions 1 to 6: names and addresses."""

from __future__ import annotations

import ast
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets import Bucket, Buckets, BucketsConfig, ResourceNotFound, UnsupportedProvider
from buckets.eras.service import OWNER, STRICT, TOKEN, Service
from buckets.eras.test_discovery import Api, cluster, project
from conformance.rigs.base import Rig
from promises.scene import ManyKeys, alice, at, every_era, keys_in, owner_era, strict_era
from reference.derive import TABLE

METHODS: dict[str, Any] = json.loads(TABLE.read_text())["Buckets"]["methods"]


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(Buckets, name)).parameters)


@pytest.mark.parametrize("name", METHODS)
def test_decision_01_a_name_of_the_reference_keeps_its_parameters_and_their_defaults(name: str) -> None:
    ours = parameters(name)
    for documented in METHODS[name]["parameters"]:
        parameter, has_default, default = documented.partition("=")
        if parameter != "*":
            assert parameter in ours
            expected = frozenset() if default == "frozenset()" else ast.literal_eval(default or "None")
            assert not has_default or ours[parameter].default == expected
    positional = [it for it in ours.values() if it.kind is it.POSITIONAL_OR_KEYWORD and it.name != "self"]
    assert len(positional) <= (3 if {"body", "credentials"} & set(ours) else 2)
    for beside in {"org_name", "project_name"} if "bucket_owner" in ours else ():
        assert (ours[beside].kind, ours[beside].default) == (inspect.Parameter.KEYWORD_ONLY, None)


async def test_decision_01_a_listing_cut_by_the_default_logs_one_warning_and_none_is_unlimited(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert parameters("list_blobs")["limit"].default == 10_000
    async with ManyKeys(10_001).running() as buckets:
        assert len([entry async for entry in buckets.list_blobs("blob:models/", recursive=True)]) == 10_000
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "ends at the default limit of 10000" in caplog.text
        assert len(await keys_in(buckets, "blob:models/")) == 10_001
        assert len(caplog.records) == 1
    async with ManyKeys(10_000).running() as buckets:
        assert len([entry async for entry in buckets.list_blobs("blob:models/", recursive=True)]) == 10_000
        assert len(caplog.records) == 1


async def test_decision_02_the_address_of_an_entry_leads_back_to_its_key(rig: Rig, lone: Buckets) -> None:
    keys = ["a b", "a%20b", "100%", "q?x=1#f", "a+b&c=d", "[é]", "a:b@c", "./dot", "../up", "d/..", "/lead", "e//f"]
    possible = [key for key in keys if not rig.refuses(key)]
    for key in possible:
        await rig.put(key, key.encode())
    entries = [entry async for entry in lone.list_blobs(at(rig), recursive=True)]
    assert sorted(entry.key for entry in entries) == sorted(possible)
    for entry in entries:
        path = str(entry.uri).removeprefix("blob://").split("/")
        assert not {".", ".."} & set(path)
        assert not set("?#[] ") & set("".join(path))
        for uri in (entry.uri, str(entry.uri), URL(str(entry.uri), encoded=True)):
            assert (await lone.stat_blob(uri)).key == entry.key
    # Decoded exactly once, as text and as URL.
    for address, key in (("a%20b", "a b"), ("a b", "a b"), ("a%2520b", "a%20b"), ("100%25", "100%")):
        assert (await lone.stat_blob(at(rig, address))).key == key
        assert (await lone.stat_blob(URL(at(rig, address)))).key == key


@every_era
async def test_decision_02_a_bucket_never_answers_for_one_whose_name_begins_with_its_own(service: Service) -> None:
    service.add("bkt", project="ml", owner="ml")
    async with alice(service) as buckets:
        for address in ("blob:bkt2/x", "blob:/ml/bkt2/x", "blob://main/acme/ml/bkt2/x"):
            with pytest.raises(ResourceNotFound):
                await buckets.make_signed_url(address)
    assert not [asked for asked in service.asked if asked.method == "POST"]


@every_era
async def test_decision_03_every_form_of_an_address_resolves_by_name_and_by_id(service: Service) -> None:
    id_ = service.add("data", owner="ml")
    forms = ["blob:{}/d/key", "blob:/ml/{}/d/key", "blob://main/acme/ml/{}/d/key"]
    if service.era != STRICT:  # which reads a complete address as org/project/bucket only
        service.add("old", owner="bob", project="bob", org=None)
    async with alice(service) as buckets:
        for form in forms:
            for bucket in ("data", id_):
                assert (await buckets.make_signed_url(form.format(bucket))).path == f"/{id_}"
                assert service.asked[-1].body["key"] == "d/key"
        if service.era != STRICT:
            await buckets.make_signed_url("blob://main/bob/old/key")
            assert service.asked[-1].body["key"] == "key"


@every_era
async def test_decision_03_a_name_is_resolved_once_and_addressed_by_id_from_then_on(service: Service) -> None:
    id_ = service.add("data", owner="ml", imported=True)
    async with alice(service) as buckets:
        for _ in range(3):
            await buckets.request_tmp_credentials("data")
        await buckets.rm("data")
    assert [asked.path for asked in service.asked if asked.method == "POST"] == [
        f"buckets/{id_}/make_tmp_credentials"
    ] * 3
    assert [asked.path for asked in service.asked if asked.method == "DELETE"] == [f"buckets/{id_}"]
    assert not service.records


@owner_era
async def test_decision_03_an_older_server_that_ignores_a_selector_deletes_no_other_bucket(service: Service) -> None:
    mine = service.add("data", imported=True)
    selectors: list[dict[str, Any]] = [{"project_name": "team"}, {"bucket_owner": "team"}, {"org_name": "other"}]
    async with alice(service, project_name=None) as buckets:
        for selector in selectors:
            with pytest.raises(ResourceNotFound):
                await buckets.rm("data", force=True, **selector)
    assert list(service.records) == [mine]
    assert not [asked for asked in service.asked if asked.method == "DELETE"]


Ask = Callable[[Buckets, str], Awaitable[Any]]


async def all_of(stream: Any) -> list[Any]:
    return [item async for item in stream]


BY_BUCKET: dict[str, Ask] = {
    "get": lambda buckets, bucket: buckets.get(bucket),
    "request_tmp_credentials": lambda buckets, bucket: buckets.request_tmp_credentials(bucket),
    "set_public_access": lambda buckets, bucket: buckets.set_public_access(bucket, public_access=False),
    "put_blob": lambda buckets, bucket: buckets.put_blob(bucket, "key", b"content"),
    "head_blob": lambda buckets, bucket: buckets.head_blob(bucket, "key"),
    "fetch_blob": lambda buckets, bucket: all_of(buckets.fetch_blob(bucket, "key")),
    "get_disk_usage": lambda buckets, bucket: all_of(buckets.get_disk_usage(bucket)),
    "persistent_credentials_create": lambda buckets, bucket: buckets.persistent_credentials_create([bucket]),
    "delete_blob": lambda buckets, bucket: buckets.delete_blob(bucket, "key"),
    "rm": lambda buckets, bucket: buckets.rm(bucket),
}
"""How to ask each method that names a bucket; the one that deletes it comes last."""


@pytest.mark.parametrize("form", ["{0.name}", "{0.id}", "{0.uri}", "blob:{0.name}", "blob:{0.id}"])
async def test_decision_04_whatever_names_a_bucket_takes_its_name_its_id_and_its_uri(
    local: Buckets, made: Bucket, form: str
) -> None:
    naming = {name for name in METHODS if {"bucket_id_or_name", "bucket_ids"} & set(parameters(name))}
    assert naming == set(BY_BUCKET)
    for name, ask in BY_BUCKET.items():
        answer = await ask(local, form.format(made))
        assert name != "get" or answer == made
    with pytest.raises(ResourceNotFound):
        await local.get(made.id)


async def test_decision_05_the_cluster_that_was_asked_is_the_cluster_that_answers_and_gives_the_credentials() -> None:
    async with Api().running() as api, Service(STRICT).running() as here, Service(OWNER).running() as there:
        here.add("data")
        theirs = there.add("data", owner="ml")
        api.answer = {"clusters": [cluster("main", here.url), cluster("other", there.url)], "projects": [project("ml")]}
        async with Buckets.open(BucketsConfig(api_url=api.url, token=TOKEN, project_name="ml")) as buckets:
            bucket = await buckets.get("data", cluster_name="other")
            assert (bucket.id, bucket.cluster_name, bucket.uri.host) == (theirs, "other", "other")
            await buckets.request_tmp_credentials("data", cluster_name="other")
            await buckets.request_tmp_credentials(str(bucket.uri))
    granted = f"POST buckets/{theirs}/make_tmp_credentials"
    assert [line for line in there.lines() if line.startswith("POST")] == [granted, granted]
    assert not here.asked


@strict_era
async def test_decision_06_a_bucket_of_an_unknown_provider_lists_and_shows_and_only_its_blobs_are_out_of_reach(
    service: Service,
) -> None:
    service.add("data", provider="tape")
    async with alice(service) as buckets:
        assert [bucket.provider for bucket in await all_of(buckets.list())] == ["tape"]
        assert (await buckets.get("data")).provider == "tape"
        assert (await buckets.make_signed_url("blob:data/key")).scheme == "https"
        for reading in (
            buckets.head_blob("data", "key"),
            buckets.put_blob("data", "key", b""),
            all_of(buckets.list_blobs("blob:data/")),
            buckets.rm("data"),
        ):
            with pytest.raises(UnsupportedProvider) as caught:
                await reading
            assert "'tape'" in caught.value.problem
            assert caught.value.remedy
        await buckets.rm("data", force=True)
    assert not service.records
