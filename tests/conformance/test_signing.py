from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, UnsupportedProvider
from airflow_provider_neuro_buckets.buckets.stores.base import LONGEST_SIGNED_SECONDS, Capability
from conformance.rigs.base import Rig


async def ask(url: str, method: str = "GET") -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as http, http.request(method, URL(url, encoded=True)) as answer:
        return answer.status, await answer.read()


@pytest.mark.needs(Capability.SIGN)
async def test_whoever_has_the_signed_url_gets_the_blob(rig: Rig) -> None:
    await rig.put("folder/a b+c.bin", b"content")
    url = await rig.store.sign("folder/a b+c.bin", expires_in_seconds=60)
    assert await ask(url) == (200, b"content")


@pytest.mark.needs(Capability.SIGN)
async def test_a_signed_url_is_for_one_blob_only(rig: Rig) -> None:
    if rig.provider == "aws":
        pytest.skip("moto checks no signature")
    await rig.put("mine", b"content")
    await rig.put("other", b"secret")
    url = await rig.store.sign("mine", expires_in_seconds=60)
    status, content = await ask(url.replace("/mine?", "/other?"))
    assert status in {400, 401, 403}
    assert b"secret" not in content


@pytest.mark.needs(Capability.SIGN)
async def test_a_signed_url_is_for_reading_only(rig: Rig) -> None:
    if rig.provider == "aws":
        pytest.skip("moto checks no signature")
    await rig.put("blob", b"content")
    url = await rig.store.sign("blob", expires_in_seconds=60)
    status, _ = await ask(url, "DELETE")
    assert status in {400, 401, 403}
    assert await rig.get("blob") == b"content"


@pytest.mark.needs(Capability.SIGN)
async def test_a_blob_need_not_exist_to_be_signed(rig: Rig) -> None:
    status, _ = await ask(await rig.store.sign("missing", expires_in_seconds=60))
    assert status == 404


@pytest.mark.needs(Capability.SIGN)
async def test_no_secret_key_is_in_a_signed_url(rig: Rig) -> None:
    url = await rig.store.sign("blob", expires_in_seconds=LONGEST_SIGNED_SECONDS)
    secrets = [
        value for name, value in rig.keys.credentials.items() if name in {"secret_access_key", "credential", "key_data"}
    ]
    assert urlsplit(url).query
    assert not [secret for secret in secrets if secret in url]


@pytest.mark.needs(Capability.SIGN)
@pytest.mark.parametrize("seconds", [-1, 0, LONGEST_SIGNED_SECONDS + 1])
async def test_a_life_that_no_provider_grants_is_refused(rig: Rig, seconds: int) -> None:
    with pytest.raises(ConfigurationError, match=str(seconds)):
        await rig.store.sign("blob", expires_in_seconds=seconds)


async def test_a_store_that_cannot_sign_says_so(rig: Rig) -> None:
    if Capability.SIGN in rig.store.capabilities:
        pytest.skip(f"the store of {rig.provider} signs")
    with pytest.raises(UnsupportedProvider):
        await rig.store.sign("blob", expires_in_seconds=60)
