"""Imported buckets: their credentials are handed out as they are, and the platform signs with them where it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import boto3
import pytest
from azure.storage.blob import ContainerClient
from moto.server import ThreadedMotoServer

from conformance.rigs.azurite import Azurite, running_azurite
from local.rest import Rest, send


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with running_azurite() as azurite:
        yield azurite


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with ContainerClient(azurite.endpoint, f"c{uuid4().hex}", credential=azurite.account_key) as container:
        container.create_container()
        yield container


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _theirs(user: Rest, key: str, content: bytes) -> dict[str, str]:
    """Make a real bucket with a blob; return permanent keys to it."""
    (item,) = user.lasting(user.bucket())["credentials"]
    keys: dict[str, str] = item["credentials"]
    client = boto3.client(
        "s3",
        endpoint_url=keys["endpoint_url"],
        region_name=keys["region_name"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
    client.put_object(Bucket=keys["bucket_name"], Key=key, Body=content)
    client.close()
    return keys


def _refusal(user: Rest, bucket: Mapping[str, Any], key: str = "key") -> str:
    answer = user.call("POST", f"buckets/{bucket['id']}/sign_blob_url", {"key": key})
    assert answer.status == 500
    return str(answer.body["error"])


class TestCredentials:
    @pytest.mark.parametrize("provider", ["aws", "minio", "azure", "gcp", "emc_ecs", "open_stack", "seaweedfs"])
    def test_they_are_handed_out_as_they_were_imported_with_the_real_name(self, user: Rest, provider: str) -> None:
        bucket = user.imported(provider, "theirs", anything="at all", secret="kept")
        answer = user.done("POST", f"buckets/{bucket['id']}/make_tmp_credentials")

        assert answer == {
            "bucket_id": bucket["id"],
            "provider": provider,
            "read_only": False,
            "credentials": {"bucket_name": "theirs", "anything": "at all", "secret": "kept"},
        }

    def test_a_reader_gets_them_too_marked_as_read_only(self, user: Rest, reader: Rest) -> None:
        bucket = user.imported("aws", "theirs", secret_access_key="theirs, too")
        answer = reader.done("POST", f"buckets/{bucket['id']}/make_tmp_credentials")

        assert answer["read_only"] is True
        assert answer["credentials"]["secret_access_key"] == "theirs, too"

    def test_the_bucket_itself_does_not_show_them(self, user: Rest) -> None:
        bucket = user.imported("aws", "theirs", secret_access_key="hidden")

        assert "hidden" not in str(bucket)
        assert "hidden" not in str(user.done("GET", f"buckets/{bucket['id']}"))
        assert "hidden" not in str(user.done("GET", "buckets?org_name=neuro&project_name=demo"))

    def test_its_deletion_leaves_the_real_bucket_alone(self, user: Rest) -> None:
        keys = _theirs(user, "key", b"still there")
        bucket = user.imported("seaweedfs", keys["bucket_name"], **keys)
        user.done("DELETE", f"buckets/{bucket['id']}")

        again = user.imported("seaweedfs", keys["bucket_name"], **keys)
        assert send("GET", user.signed(again, "key")).body == "still there"


class TestSigningForS3:
    @pytest.mark.parametrize("provider", ["aws", "minio", "seaweedfs"])
    def test_the_imported_keys_sign_a_url_that_works(self, user: Rest, provider: str) -> None:
        keys = _theirs(user, "a/b c+d%20é", b"theirs")
        bucket = user.imported(provider, keys["bucket_name"], **keys)
        url = user.signed(bucket, "a/b c+d%20é")

        assert send("GET", url).body == "theirs"
        assert f"X-Amz-Credential={keys['access_key_id']}%2F" in url

    def test_a_bucket_name_among_the_credentials_counts(self, user: Rest) -> None:
        keys = _theirs(user, "key", b"theirs")
        bucket = user.imported("aws", "another-name", **keys)

        assert send("GET", user.signed(bucket, "key")).body == "theirs"

    def test_without_an_address_they_sign_for_aws(self, user: Rest) -> None:
        keys = {"access_key_id": "AKIATHEIRS", "secret_access_key": "secret"}
        url = urlsplit(user.signed(user.imported("aws", "theirs", **keys), "a key"))

        assert (url.scheme, url.netloc, url.path) == ("https", "theirs.s3.amazonaws.com", "/a%20key")
        assert "/us-east-1/s3/" in parse_qs(url.query)["X-Amz-Credential"][0]

    def test_the_region_counts(self, user: Rest) -> None:
        keys = {"access_key_id": "AKIATHEIRS", "secret_access_key": "secret", "region_name": "eu-west-1"}
        url = urlsplit(user.signed(user.imported("aws", "theirs", **keys), "key"))

        assert "/eu-west-1/s3/" in parse_qs(url.query)["X-Amz-Credential"][0]

    @pytest.mark.parametrize("missing", ["access_key_id", "secret_access_key"])
    def test_without_a_key_it_is_a_500_without_the_secret(self, user: Rest, missing: str) -> None:
        keys = {"access_key_id": "AKIATHEIRS", "secret_access_key": "hidden"}
        del keys[missing]
        error = _refusal(user, user.imported("aws", "theirs", **keys))

        assert repr(missing) in error
        assert "hidden" not in error

    def test_not_for_longer_than_a_week(self, user: Rest) -> None:
        bucket = user.imported("aws", "theirs", access_key_id="a", secret_access_key="s")
        body = {"key": "key", "expires_in_sec": 604_801}

        assert user.call("POST", f"buckets/{bucket['id']}/sign_blob_url", body).status == 400


class TestSigningForAzure:
    def test_the_account_key_signs_a_url_that_only_reads_one_blob(
        self, user: Rest, azurite: Azurite, container: ContainerClient
    ) -> None:
        for key in ("a/b c+d%20é?#", "other"):
            container.upload_blob(key, b"theirs")
        imported = {"storage_endpoint": azurite.endpoint, "credential": azurite.account_key}
        bucket = user.imported("azure", container.container_name, **imported)
        url = user.signed(bucket, "a/b c+d%20é?#")

        assert send("GET", url).body == "theirs"
        headers = {"x-ms-blob-type": "BlockBlob"}
        assert send("PUT", url, headers=headers, content=b"new").status == 403
        assert send("GET", f"{azurite.endpoint}/{container.container_name}/other?{urlsplit(url).query}").status == 403

    def test_for_longer_than_a_week_too(self, user: Rest, azurite: Azurite, container: ContainerClient) -> None:
        container.upload_blob("key", b"theirs")
        imported = {"storage_endpoint": f"{azurite.endpoint}/", "credential": azurite.account_key}
        bucket = user.imported("azure", container.container_name, **imported)

        assert send("GET", user.signed(bucket, "key", seconds=31_536_000)).body == "theirs"

    def test_the_account_is_read_from_the_address(self, user: Rest) -> None:
        imported = {"storage_endpoint": "https://theirs.blob.core.windows.net", "credential": "c2VjcmV0"}
        url = urlsplit(user.signed(user.imported("azure", "container", **imported), "key"))

        assert (url.scheme, url.netloc, url.path) == ("https", "theirs.blob.core.windows.net", "/container/key")
        assert {"sig", "se", "sp"} <= parse_qs(url.query).keys()

    def test_an_address_of_no_account_is_a_500(self, user: Rest) -> None:
        imported = {"storage_endpoint": "https://blobs.example", "credential": "c2VjcmV0"}

        error = _refusal(user, user.imported("azure", "container", **imported))
        assert "https://blobs.example: Unable to determine account name" in error

    def test_a_shared_access_signature_alone_is_a_500(self, user: Rest) -> None:
        imported = {"storage_endpoint": "https://theirs.blob.core.windows.net", "sas_token": "sv=1&sig=hidden"}
        error = _refusal(user, user.imported("azure", "container", **imported))

        assert error.startswith("Unexpected exception: ")
        assert "'credential'" in error
        assert "hidden" not in error


class TestOtherProviders:
    @pytest.mark.parametrize("provider", ["open_stack", "emc_ecs"])
    def test_signing_is_a_500(self, user: Rest, provider: str) -> None:
        bucket = user.imported(provider, "theirs", access_key_id="a", secret_access_key="s")

        assert "generator didn't yield" in _refusal(user, bucket)

    def test_signing_for_google_is_a_500(self, user: Rest) -> None:
        assert "gcp" in _refusal(user, user.imported("gcp", "theirs", key_data="e30="))


class TestPublicAccess:
    def test_it_is_opened_and_closed_with_the_imported_keys(self, user: Rest, moto: str) -> None:
        keys = {"access_key_id": "theirs", "secret_access_key": "secret", "endpoint_url": moto}
        client = boto3.client(
            "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        client.create_bucket(Bucket="theirs")
        bucket = user.imported("aws", "theirs", **keys)

        assert user.done("PATCH", f"buckets/{bucket['id']}", {"public": True})["public"] is True
        assert '"Principal": "*"' in client.get_bucket_policy(Bucket="theirs")["Policy"]
        assert user.done("PATCH", f"buckets/{bucket['id']}", {"public": False})["public"] is False
        with pytest.raises(client.exceptions.ClientError, match="NoSuchBucketPolicy"):
            client.get_bucket_policy(Bucket="theirs")
        client.close()

    def test_keys_that_may_not_are_a_500_and_it_stays_as_it_was(self, user: Rest) -> None:
        keys = _theirs(user, "key", b"theirs")
        bucket = user.imported("seaweedfs", keys["bucket_name"], **keys)
        answer = user.call("PATCH", f"buckets/{bucket['id']}", {"public": True})

        assert answer.status == 500
        assert "AccessDenied" in answer.body["error"]
        assert user.done("GET", f"buckets/{bucket['id']}")["public"] is False
