from __future__ import annotations

import hashlib
import re
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ConfigurationError, NotConnected, Unavailable
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.session import open_session
from buckets.http.scripted import OF_MACHINES
from buckets.stores.s3_scripts import blob, store_at, stored
from conformance.asking import content_of
from faults.crafted import Answer, Asked, by_method, crafted, in_turn, reply

CONTENT = b"content"


def certificate(folder: Path, address: str, *, days: int = 1) -> tuple[ssl.SSLContext, str]:
    """Make a certificate of our own for an IP address; return it for a server, and its path for who trusts it.

    :param days: how long it is good from now on; it was made two days ago.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "storage.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle = folder / "ca.pem"
    bundle.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle, folder / "key.pem")
    return context, str(bundle)


def config(*, verify: bool | str = True) -> BucketsConfig:
    return BucketsConfig(buckets_url="http://127.0.0.1/unused", name="connection 'mine'", verify=verify)


async def test_a_certificate_of_nobodys_is_refused_at_once_and_the_remedy_named_f13(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path, "127.0.0.1")
    async with crafted(in_turn(blob(CONTENT)), tls=tls) as server, store_at(server) as store:
        with pytest.raises(ConfigurationError, match="Set verify"):
            await content_of(store, "key")
        assert server.asked == []


async def test_a_bundle_of_ones_own_is_trusted_by_every_verb_uploads_in_parts_included(tmp_path: Path) -> None:
    tls, bundle = certificate(tmp_path, "127.0.0.1")
    part = hashlib.md5(CONTENT, usedforsecurity=False).digest()
    etag = f"{hashlib.md5(part, usedforsecurity=False).hexdigest()}-1"

    def begun_or_made(asked: Asked) -> Answer:
        if asked.query.startswith("uploads"):
            return reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        made = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        return reply(200, made.encode())

    choose = by_method(GET=in_turn(blob(CONTENT)), PUT=stored(), POST=begun_or_made)
    async with crafted(choose, tls=tls) as server, store_at(server, verify=bundle) as store:
        assert await content_of(store, "key") == CONTENT
        async with store.multipart("key") as upload:
            await upload.put_part(1, CONTENT)
            assert (await upload.complete()).etag == etag


@pytest.mark.parametrize(
    ("address", "days", "reason"),
    [("127.0.0.2", 1, "not valid for '127.0.0.1'"), ("127.0.0.1", -1, "has expired")],
    ids=["of another host", "expired"],
)
async def test_a_certificate_of_another_host_or_time_is_refused_with_no_retry_f13(
    tmp_path: Path, address: str, days: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    tls, bundle = certificate(tmp_path, address, days=days)
    async with crafted(in_turn(blob(CONTENT)), tls=tls) as server, store_at(server, verify=bundle) as store:
        with pytest.raises(ConfigurationError, match=f"TLS certificate is not trusted .*{reason}"):
            await content_of(store, "key")
        assert server.asked == []
    assert "attempt" not in caplog.text


async def test_a_port_that_speaks_no_tls_is_refused() -> None:
    async with crafted(in_turn(blob(CONTENT))) as server:
        server.url = server.url.replace("http:", "https:")
        async with store_at(server) as store:
            with pytest.raises(ConfigurationError, match=r"TLS handshake fails \(.*(WRONG_VERSION|RECORD)"):
                await content_of(store, "key")


async def test_certificate_checks_cannot_be_switched_off() -> None:
    with pytest.raises(ConfigurationError, match="connection 'mine'"):
        async with open_session(config(verify=False)):
            pytest.fail("a session was opened")


@pytest.mark.parametrize("content", [None, "", "not a certificate"])
async def test_a_bundle_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        async with open_session(config(verify=str(bundle))):
            pytest.fail("a session was opened")


async def test_no_proxy_is_taken_from_the_environment_f15(monkeypatch: pytest.MonkeyPatch) -> None:
    async with crafted(in_turn(blob(b"the proxy's"))) as proxy, crafted(in_turn(blob(CONTENT))) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with store_at(server) as store:
            assert await content_of(store, "key") == CONTENT
        assert proxy.asked == []


async def test_no_cookie_is_kept() -> None:
    async with crafted(in_turn(blob(CONTENT, Set_Cookie="session=1; Path=/"))) as server:
        server.url = server.url.replace("127.0.0.1", "localhost")  # no client keeps cookies of a bare IP address
        async with store_at(server) as store:
            await content_of(store, "key")
            await content_of(store, "key")
        assert not [asked for asked in server.asked if "Cookie" in asked.headers]


async def test_a_host_that_does_not_exist_is_an_unavailable_service_named_without_a_secret() -> None:
    async with open_session(config()) as http:
        with pytest.raises(Unavailable, match="cannot ask: no connection") as caught, network_errors("cannot ask"):
            await http.get("http://no-such-host.invalid/?sig=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", [*OF_MACHINES, "http://[fe80::1%25lo]/"])
async def test_no_address_leads_to_where_a_machine_tells_its_credentials(address: str) -> None:
    async with open_session(config()) as http:
        with pytest.raises((NotConnected, ConfigurationError)) as refused, network_errors("cannot ask"):
            await http.get(address)
    assert re.search(r"for themselves|not an address", str(refused.value))


@pytest.mark.parametrize("address", ["not an address", "http://", "http://[::1/"])
async def test_what_is_no_address_is_an_error_of_ours(address: str) -> None:
    async with open_session(config()) as http:
        with pytest.raises(BucketsError), network_errors("cannot ask"):
            await http.get(address)


async def test_an_error_of_the_network_has_no_cause_that_shows_a_header() -> None:
    with pytest.raises(Unavailable) as caught, network_errors("cannot ask"):
        raise aiohttp.ClientPayloadError("Authorization: Bearer secret")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)
