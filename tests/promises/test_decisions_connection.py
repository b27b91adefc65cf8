"""Decisions 20 to 22: credentials and the connection."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import AccessPolicy, generate_container_sas

from airflow_provider_neuro_buckets.buckets import (
    AuthenticationError,
    Bucket,
    BucketCredentials,
    Buckets,
    BucketsConfig,
    ConfigurationError,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.hooks.connection import read_config
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.eras.service import TOKEN, Service
from buckets.transfer.trees import plant
from conformance.rigs.azure import AzureRig, AzureServer
from conformance.rigs.azurite import ACCOUNT
from conformance.rigs.base import Rig
from conformance.rigs.gcp import GcsRig
from conformance.rigs.registry import RIGS, Servers
from platform_rig import Platform
from promises.scene import Granting, alice, on, secret_of, strict_era

TRAPS = [
    *(".apolo/db", ".neuro/db", ".apolo.toml", ".neuro.toml", ".netrc", ".boto", ".aws/config", ".aws/credentials"),
    *(".config/gcloud/application_default_credentials.json", ".azure/config", ".s3cfg", ".env", "pyproject.toml"),
]

WORKING = """
import asyncio, json, os, sys
opened = []
def hear(event, arguments):
    if event in {"open", "sqlite3.connect", "os.listdir", "os.scandir"} and isinstance(arguments[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(sys.argv[1]):
            opened.append(os.path.relpath(path, sys.argv[1]))
sys.addaudithook(hear)
from types import SimpleNamespace
from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.hooks.connection import read_config
async def chunks():
    for _ in range(9):
        yield bytes(1024 * 1024)
async def work(fields, bucket):
    extra = fields["extra"]
    connection = SimpleNamespace(conn_id="c", host=fields.get("host"), password=fields.get("password"), extra="{}")
    async with Buckets.open(read_config(connection, extra, overrides={})) as buckets:
        found = await buckets.get(bucket)
        await buckets.put_blob(bucket, "key", chunks())
        assert [entry.size async for entry in buckets.list_blobs(f"blob:{bucket}/")] == [9 * 1024 * 1024]
        await buckets.make_signed_url(f"{found.uri}/key")
        await buckets.upload_dir(sys.argv[2], f"blob:{bucket}/d", ignore_file_names={".ignored"})
        await buckets.blob_rm(f"blob:{bucket}/d", recursive=True)
for fields, bucket in json.load(sys.stdin):
    asyncio.run(work(fields, bucket))
open("proof that this is heard", "w").close()
print(json.dumps(opened))
"""


def trapped(trap: Path) -> dict[str, str]:
    """Return an environment in which everything that could be inherited leads to a wrong place."""
    passed = {"token": "trap", "cluster": "trap", "url": "http://127.0.0.1:9/api/v1", "org_name": "trap"}
    blob = base64.b64encode(json.dumps(passed).encode()).decode()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(trap),
        **dict.fromkeys(("APOLO_PASSED_CONFIG", "NEURO_PASSED_CONFIG"), blob),
        **dict.fromkeys(("APOLO_CONFIG", "NEUROMATION_CONFIG"), str(trap / ".apolo")),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9"),
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"), "http://127.0.0.1:9"),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"), "trap"),
        "AWS_CONFIG_FILE": str(trap / ".aws/config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(trap / ".aws/credentials"),
        "AZURE_STORAGE_CONNECTION_STRING": "AccountName=trap;AccountKey=dHJhcA==",
        "GOOGLE_APPLICATION_CREDENTIALS": str(trap / ".config/gcloud/application_default_credentials.json"),
        "NETRC": str(trap / ".netrc"),
    }


async def test_decision_20_no_file_of_the_home_or_the_working_directory_is_read_and_no_environment_followed(
    servers: Servers, neuro_buckets_local: RunningPlatform, made: Bucket, tmp_path: Path
) -> None:
    trap = plant(tmp_path / "home", dict.fromkeys(TRAPS, b"[job]\ncluster-name = 'trap'\n"))
    source = plant(tmp_path / "source", {"file": b"content", ".ignored": b"nothing\n"})
    work: list[tuple[dict[str, Any], str]] = [(json.loads(neuro_buckets_local.connection), made.id)]
    async with AsyncExitStack() as stack:
        for provider in sorted(RIGS):
            rig = await stack.enter_async_context(servers.running(provider).rig())
            if "sas_token" not in rig.keys.credentials:  # whose holder cannot sign
                secret = dict(secret_of(rig.bucket, **rig.keys.credentials))
                work.append(({"extra": {"persistent_credentials_secret": secret}}, rig.bucket.id))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", WORKING, str(trap), str(source)),
            cwd=trap,
            env=trapped(trap),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(json.dumps(work).encode())
    assert process.returncode == 0
    assert json.loads(output) == ["proof that this is heard"]


def connection(**fields: str | None) -> Any:
    return SimpleNamespace(**{"conn_id": "c", "host": None, "password": None, "extra": None} | fields)


async def test_decision_20_a_passed_config_counts_where_it_is_pasted_and_nowhere_else(
    neuro_buckets_local: RunningPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = neuro_buckets_local
    passed = {
        "token": running.token,
        "url": running.api_url,
        "cluster": running.cluster_name,
        "org_name": running.org_name,
        "project_name": running.project_name,
    }
    blob = base64.b64encode(json.dumps(passed).encode()).decode()
    config = read_config(connection(password=blob), {}, overrides={})
    async with Buckets.open(config) as buckets:
        assert await buckets.check()
    for name in ("APOLO_PASSED_CONFIG", "NEURO_PASSED_CONFIG"):
        monkeypatch.setenv(name, blob)
    with pytest.raises(ConfigurationError, match="connection 'c' has no token"):
        read_config(connection(host=running.api_url), {}, overrides={})


def ending(keys: dict[str, str], provider: str, moment: datetime) -> dict[str, str]:
    """Return credentials that say in the provider's words when they end."""
    word = {"azure": "expiry", "gcp": "expire_time"}.get(provider, "expiration")
    return {**keys, word: moment.isoformat()}


def temporary(rig: Rig) -> dict[str, str]:
    """Return temporary credentials that are good."""
    if isinstance(rig, GcsRig):
        keys = {name: rig.keys.credentials[name] for name in ("bucket_name", "project", "endpoint_url")}
        return {**keys, "access_token": rig.front.issue()}
    return dict(rig.keys.credentials)


async def rejected(rig: Rig, servers: Servers) -> dict[str, str]:
    """Return temporary credentials that the storage takes for ended."""
    keys = temporary(rig)
    if isinstance(rig, GcsRig):
        rig.front.tokens.remove(keys["access_token"])
        return keys
    if rig.provider == "azure":
        server = servers.running("azure")
        assert isinstance(server, AzureServer)
        return {**keys, "sas_token": server.sas(keys["bucket_name"], life=timedelta(hours=-1))}
    return {**keys, "access_key_id": "AKIAUNKNOWN"}


@on("azure", "gcp", "seaweedfs")
async def test_decision_21_rejected_credentials_are_renewed_once_however_many_ask(rig: Rig, servers: Servers) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    old, new = await rejected(rig, servers), temporary(rig)
    async with Granting(rig, *(ending(keys, rig.provider, later) for keys in (old, new))).running() as service:
        assert isinstance(service, Granting)
        async with alice(service) as buckets:
            await asyncio.gather(*(buckets.put_blob("data", f"key-{number}", b"content") for number in range(20)))
            assert (await buckets.head_blob("data", "key-7")).size == 7
        assert service.granted == 2
    assert len(await rig.names()) == 20


@on("azure", "gcp", "seaweedfs")
async def test_decision_21_credentials_are_cached_and_renewed_before_they_end(rig: Rig) -> None:
    begun = now = datetime.now(UTC)
    fetched = 0

    async def fetch() -> BucketCredentials:
        nonlocal fetched
        fetched += 1
        return replace(rig.keys, credentials=ending(temporary(rig), rig.provider, now + timedelta(hours=1)))

    source = CredentialSource(fetch, now=lambda: now)
    for minutes, expected in ((0, 1), (50, 1), (58, 2), (58 + 50, 2), (58 + 58, 3)):
        now = begun + timedelta(minutes=minutes)
        assert len({id(keys) for keys in await asyncio.gather(*(source.current() for _ in range(20)))}) == 1
        assert fetched == expected


Revoke = Callable[[], Awaitable[object]]


async def revocable(rig: Rig, servers: Servers, local: Buckets) -> tuple[dict[str, str], Revoke]:
    """Return credentials that are good, and what ends them."""
    if isinstance(rig, GcsRig):
        keys, front = temporary(rig), rig.front

        async def revoke() -> None:
            front.tokens.remove(keys["access_token"])

        return keys, revoke
    if isinstance(rig, AzureRig):
        server = servers.running("azure")
        assert isinstance(server, AzureServer)
        policy = AccessPolicy(permission="rwdl", expiry=datetime.now(UTC) + timedelta(hours=1))
        await rig.client.set_container_access_policy(signed_identifiers={"policy": policy})
        sas = generate_container_sas(
            ACCOUNT, rig.client.container_name, account_key=server.azurite.account_key, policy_id="policy"
        )
        no_policy = partial(rig.client.set_container_access_policy, signed_identifiers={})
        return {**temporary(rig), "sas_token": sas}, no_policy
    lasting = await local.persistent_credentials_create([rig.bucket.id])
    return dict(lasting.credentials[0].credentials), partial(local.persistent_credentials_rm, lasting.id)


@on("azure", "gcp", "seaweedfs")
async def test_decision_21_a_running_transfer_goes_on_across_a_renewal(
    rig: Rig, servers: Servers, local: Buckets, tmp_path: Path
) -> None:
    first, revoke = await revocable(rig, servers, local)
    files = {f"{number:03}": b"content" for number in range(60)}

    async def halfway(path: str) -> bool:
        if path == "030":
            await revoke()
        return True

    async with Granting(rig, first, temporary(rig)).running() as service:
        assert isinstance(service, Granting)
        async with alice(service) as buckets:
            report = await buckets.upload_dir(plant(tmp_path, files), "blob:data/up", filter=halfway)
        assert (report.files, report.failed, service.granted) == (60, {}, 2)
    assert len(await rig.names()) == 60


def test_decision_22_no_secret_is_in_a_log_an_error_a_repr_an_xcom_a_template_or_a_trigger_f101(
    platform: Platform, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow is slow to load, and the other promises have nothing to do with it.
    from airflow.providers.common.compat.sdk import AirflowFailException, redact  # noqa: PLC0415 - as said

    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as said
    from airflow_provider_neuro_buckets.operators.blobs import BucketMakeSignedUrlOperator  # noqa: PLC0415 - as said
    from airflow_provider_neuro_buckets.operators.credentials import PersistentCredentialsCreateOperator  # noqa: PLC0415 - as said
    from airflow_provider_neuro_buckets.operators.transfers import BucketUploadDirOperator  # noqa: PLC0415 - as said
    from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor  # noqa: PLC0415 - as said

    caplog.set_level(logging.DEBUG)
    saved: list[str] = []
    upload = BucketUploadDirOperator(task_id="up", src=str(plant(tmp_path, {"f": b"x"})), dst=f"blob:{bucket}/d")
    mint = PersistentCredentialsCreateOperator(
        task_id="mint", bucket_ids=[bucket], name=f"c-{uuid4().hex[:9]}", save_connection=saved.append
    )
    sign = BucketMakeSignedUrlOperator(task_id="sign", uri=f"blob:{bucket}/d/f")
    sensor = BucketBlobSensor(task_id="wait", uri=f"blob:{bucket}/d/f")
    with NeuroBucketsHook() as hook:
        temporary = hook.request_tmp_credentials(bucket)
        shown = [repr(hook), repr(hook.get_config()), repr(temporary)]
        shown += [json.dumps(upload.execute({})), json.dumps(mint.execute({})), repr(sensor.poke({}))]
        lasting = hook.persistent_credentials_get(mint.name)
        shown += [repr(lasting), json.dumps(sensor.trigger().serialize())]
        with pytest.raises(ResourceNotFound) as missing:
            hook.head_blob(bucket, "missing")
        hook.persistent_credentials_rm(lasting.id)
    for operator in (upload, mint, sign, sensor):
        shown += [repr(operator), *(repr(getattr(operator, name)) for name in operator.template_fields)]
    wrong = json.dumps({**json.loads(platform.running.connection), "password": "stale-and-wrong"})
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", wrong)
    with pytest.raises(AirflowFailException) as refused:
        BucketMakeSignedUrlOperator(task_id="sign", uri=sign.uri, neuro_buckets_conn_id="wrong").execute({})
    shown += [repr(missing.value), str(missing.value), repr(refused.value), repr(refused.value.__cause__)]
    keys = [item.credentials for item in (temporary, *lasting.credentials)]
    secrets = {item[name] for item in keys for name in item if name in {"secret_access_key", "session_token"}}
    for secret in {platform.running.token, "stale-and-wrong", *secrets}:
        assert secret not in "".join(shown)
        assert secret not in "".join(
            record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider")
        )
        assert secret not in str(redact(f"somebody prints {secret}"))
    # The one exception, and its operator says so.
    assert "X-Amz-Signature" in sign.execute({})
    assert "secret" in str(BucketMakeSignedUrlOperator.__doc__)


@strict_era
async def test_decision_22_a_token_is_in_no_url_and_no_error(service: Service) -> None:
    async with alice(service) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.get("nope")
        _ = [bucket async for bucket in buckets.list()]
    assert service.asked
    assert not [asked for asked in service.asked if TOKEN in f"{asked.path} {asked.query}"]
    stale = BucketsConfig(buckets_url=service.url, token="stale-and-wrong", cluster_name="main", org_name="acme")
    seen: list[str] = []

    async def mask(secret: str) -> None:
        seen.append(secret)

    async with Buckets.open(replace(stale, on_secret=mask)) as buckets:
        assert seen == ["stale-and-wrong"]
        with pytest.raises(AuthenticationError) as caught:
            await buckets.get("data")
    assert "stale" not in f"{caught.value!r} {caught.value} {stale!r}"
