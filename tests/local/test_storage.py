"""The storage itself enforces what the platform grants: nothing here trusts an answer of the platform alone."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_provider_neuro_buckets.local.child import local_platform
from local.rest import Rest, allowed, s3, send

EVERYTHING = {"put", "get", "list", "delete"}
READING = {"get", "list"}


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 400
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _put(user: Rest, bucket: Mapping[str, Any], key: str = "key", content: bytes = b"content") -> None:
    credentials = user.temporary(bucket)
    with s3(credentials) as client:
        client.put_object(Bucket=credentials["bucket_name"], Key=key, Body=content)


def _public_url(credentials: Mapping[str, str], key: str = "") -> str:
    return f"{credentials['endpoint_url']}/{credentials['bucket_name']}/{key}"


def _error_code(credentials: Mapping[str, str]) -> str:
    with s3(credentials) as client:
        try:
            client.list_objects_v2(Bucket=credentials["bucket_name"])
        except ClientError as error:
            return str(error.response["Error"]["Code"])
    return ""


class TestTemporaryCredentials:
    def test_those_of_the_user_may_read_and_write(self, user: Rest) -> None:
        assert allowed(user.temporary(user.bucket())) == EVERYTHING

    def test_those_of_the_reader_may_only_read(self, user: Rest, reader: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)

        assert allowed(reader.temporary(bucket)) == READING

    def test_they_open_one_bucket_alone(self, user: Rest) -> None:
        bucket, other = user.bucket(), user.bucket()
        _put(user, other)

        assert allowed(user.temporary(bucket), bucket=user.temporary(other)["bucket_name"]) == set()

    def test_they_neither_make_nor_delete_nor_open_buckets_to_the_public(self, user: Rest) -> None:
        credentials = user.temporary(user.bucket())
        name = credentials["bucket_name"]
        with s3(credentials) as client:
            calls: list[tuple[Any, dict[str, str]]] = [
                (client.create_bucket, {"Bucket": "made-with-temporary-credentials"}),
                (client.delete_bucket, {"Bucket": name}),
                (client.put_bucket_policy, {"Bucket": name, "Policy": "{}"}),
                (client.put_bucket_acl, {"Bucket": name, "ACL": "public-read"}),
            ]
            for call, arguments in calls:
                with pytest.raises(ClientError, match="AccessDenied"):
                    call(**arguments)

    def test_they_upload_in_parts_and_give_up_such_an_upload(self, user: Rest) -> None:
        credentials = user.temporary(user.bucket())
        name = credentials["bucket_name"]
        with s3(credentials) as client:
            upload = client.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
            client.upload_part(Bucket=name, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
            client.abort_multipart_upload(Bucket=name, Key="parts", UploadId=upload)

            with pytest.raises(ClientError, match="NoSuchUpload"):
                client.list_parts(Bucket=name, Key="parts", UploadId=upload)

    def test_a_changed_secret_is_refused(self, user: Rest) -> None:
        credentials = user.temporary(user.bucket())

        assert _error_code({**credentials, "secret_access_key": "wrong"}) == "SignatureDoesNotMatch"

    def test_a_token_changed_to_live_longer_is_refused(self, user: Rest) -> None:
        credentials = user.temporary(user.bucket())
        head, payload, signature = credentials["session_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        longer = json.dumps({**claims, "exp": claims["exp"] + 3600}).encode()
        forged = f"{head}.{base64.urlsafe_b64encode(longer).decode().rstrip('=')}.{signature}"

        assert allowed({**credentials, "session_token": forged}) == set()

    def test_nobody_without_credentials_gets_in(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)
        credentials = user.temporary(bucket)

        assert send("GET", _public_url(credentials)).status == 403
        assert send("GET", _public_url(credentials, "key")).status == 403
        assert send("PUT", _public_url(credentials, "new"), content=b"x").status == 403


def test_short_lived_credentials_work_then_end_by_themselves_and_new_ones_work_again() -> None:
    assert any(_work_end_and_work_again(seconds) for seconds in (3, 30, 300))


def _work_end_and_work_again(seconds: int) -> bool:
    """Return whether credentials do that which live for so long: a busy machine may need longer to use them."""
    with local_platform(["--credentials-seconds", str(seconds)]) as platform:
        hasty = Rest.user(platform)
        bucket = hasty.bucket()
        given = hasty.temporary(bucket)
        if allowed(given) != EVERYTHING:
            return False
        _until(lambda: allowed(given) == set())
        assert datetime.now(UTC) >= datetime.fromisoformat(given["expiration"])
        return allowed(hasty.temporary(bucket)) == EVERYTHING


class TestPersistentCredentials:
    @staticmethod
    def keys(credentials: Mapping[str, Any], number: int = 0) -> dict[str, str]:
        keys: dict[str, str] = credentials["credentials"][number]["credentials"]
        return keys

    def test_they_read_and_write_each_of_their_buckets_and_no_other(self, user: Rest) -> None:
        first, second, other = user.bucket(), user.bucket(), user.bucket()
        created = user.lasting(first, second)

        assert allowed(self.keys(created, 0)) == EVERYTHING
        assert allowed(self.keys(created, 1)) == EVERYTHING
        assert allowed(self.keys(created), bucket=user.temporary(other)["bucket_name"]) == set()

    def test_read_only_ones_only_read(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)

        assert allowed(self.keys(user.lasting(bucket, read_only=True))) == READING

    def test_they_work_at_once_and_never_again_after_their_deletion(self, user: Rest) -> None:
        bucket = user.bucket()
        for _ in range(5):
            created = user.lasting(bucket)
            assert allowed(self.keys(created)) == EVERYTHING
            user.done("DELETE", f"persistent_credentials/{created['id']}")
            assert allowed(self.keys(created)) == set()

    def test_a_deleted_bucket_is_taken_out_of_them_and_the_others_stay(self, user: Rest, reader: Rest) -> None:
        gone, stays = user.bucket(), user.bucket()
        both, only = user.lasting(gone, stays), user.lasting(gone)
        readers = reader.lasting(gone, stays, read_only=True)
        user.done("DELETE", f"buckets/{gone['id']}")

        left = user.done("GET", f"persistent_credentials/{both['id']}")
        assert [item["bucket_id"] for item in left["credentials"]] == [stays["id"]]
        assert allowed(self.keys(left)) == EVERYTHING
        assert allowed(self.keys(only)) == set()
        assert user.call("GET", f"persistent_credentials/{only['id']}").status == 404
        theirs = reader.done("GET", f"persistent_credentials/{readers['id']}")
        assert [item["bucket_id"] for item in theirs["credentials"]] == [stays["id"]]

    def test_they_are_revoked_even_when_the_bucket_is_not_empty_and_stays(self, user: Rest, reader: Rest) -> None:
        full, other = user.bucket(), user.bucket()
        _put(user, full)
        both, only = user.lasting(full, other), user.lasting(full)
        readers = reader.lasting(full, read_only=True)

        answer = user.call("DELETE", f"buckets/{full['id']}")

        assert answer.status == 500
        assert "BucketNotEmpty" in answer.body["error"]
        assert user.done("GET", f"buckets/{full['id']}") == full
        assert allowed(self.keys(both, 0)) == set()
        assert allowed(self.keys(both, 1)) == EVERYTHING
        assert allowed(self.keys(only)) == set()
        assert allowed(self.keys(readers)) == set()
        assert allowed(user.temporary(full)) == EVERYTHING


class TestSignedUrls:
    @pytest.mark.parametrize("key", ["plain", "a/b c+d%20e.txt", "ü/日本", "?query#fragment", "a&b=c;d'e\"(f)"])
    def test_one_gives_the_blob_to_anybody(self, user: Rest, key: str) -> None:
        bucket = user.bucket()
        _put(user, bucket, key, b"for anybody")

        assert send("GET", user.signed(bucket, key)).body == "for anybody"

    def test_the_reader_may_ask_for_one_too(self, user: Rest, reader: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)

        assert send("GET", reader.signed(bucket, "key")).body == "content"

    def test_one_may_be_made_before_its_blob(self, user: Rest) -> None:
        bucket = user.bucket()
        url = user.signed(bucket, "key")

        assert send("GET", url).status == 404
        _put(user, bucket)
        assert send("GET", url).status == 200

    def test_one_neither_writes_nor_reads_another_blob(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket, "key")
        _put(user, bucket, "other")
        url = user.signed(bucket, "key")

        assert send("PUT", url, content=b"new").status == 403
        assert send("DELETE", url).status == 403
        assert send("GET", url.replace("/key?", "/other?")).status == 403

    def test_one_ends_by_itself(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)
        url = user.signed(bucket, "key", seconds=1)

        _until(lambda: send("GET", url).status == 403)

    def test_one_outlives_the_temporary_credentials_asked_for_beside_it(self, user: Rest) -> None:
        assert "X-Amz-Expires=604800&" in user.signed(user.bucket(), "key", seconds=604_800)


class TestPublicBuckets:
    def test_anybody_lists_and_reads_one_until_it_is_private_again(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)
        credentials = user.temporary(bucket)
        for _ in range(3):
            user.done("PATCH", f"buckets/{bucket['id']}", {"public": True})
            assert "<Key>key</Key>" in send("GET", f"{_public_url(credentials)}?list-type=2").body
            assert send("GET", _public_url(credentials, "key")).body == "content"

            user.done("PATCH", f"buckets/{bucket['id']}", {"public": False})
            assert send("GET", f"{_public_url(credentials)}?list-type=2").status == 403
            assert send("GET", _public_url(credentials, "key")).status == 403

    def test_nobody_writes_to_one_without_credentials(self, user: Rest) -> None:
        bucket = user.bucket()
        _put(user, bucket)
        user.done("PATCH", f"buckets/{bucket['id']}", {"public": True})
        credentials = user.temporary(bucket)

        assert send("PUT", _public_url(credentials, "key"), content=b"new").status == 403
        assert send("DELETE", _public_url(credentials, "key")).status == 403
        assert send("GET", _public_url(credentials, "key")).body == "content"

    def test_only_one_bucket_is_opened(self, user: Rest) -> None:
        bucket, other = user.bucket(), user.bucket()
        _put(user, other)
        user.done("PATCH", f"buckets/{bucket['id']}", {"public": True})

        assert send("GET", _public_url(user.temporary(other), "key")).status == 403


class TestChangesAtTheSameTime:
    def test_of_two_buckets_of_one_name_one_is_made(self, user: Rest) -> None:
        body = {"name": "wanted-by-many", "org_name": "neuro", "project_name": "demo"}
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(user.call, "POST", "buckets", body) for _ in range(8)]

        assert sorted(answer.result().status for answer in answers) == [201] + [409] * 7

    def test_of_two_credentials_of_one_name_one_is_made(self, user: Rest) -> None:
        body = {"name": "wanted-by-many", "bucket_ids": [user.bucket()["id"]]}
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(user.call, "POST", "persistent_credentials", body) for _ in range(8)]

        assert sorted(answer.result().status for answer in answers) == [201] + [500] * 7

    def test_no_credentials_are_left_for_a_bucket_that_is_deleted_meanwhile(self, user: Rest) -> None:
        bucket = user.bucket()
        body = {"bucket_ids": [bucket["id"]]}
        with ThreadPoolExecutor(8) as pool:
            created = [pool.submit(user.call, "POST", "persistent_credentials", body) for _ in range(4)]
            pool.submit(user.done, "DELETE", f"buckets/{bucket['id']}").result()
            statuses = {item.result().status for item in created}

        assert statuses <= {201, 500}
        listed = user.done("GET", "persistent_credentials")
        assert not [item for item in listed for part in item["credentials"] if part["bucket_id"] == bucket["id"]]
