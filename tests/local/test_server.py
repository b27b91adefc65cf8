"""The state of a platform: what is kept in its data folder, and who may read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from local.processes import PROGRAM, Desk, ready
from local.rest import Rest, allowed, s3, send


def _terminate(process: Any) -> None:
    process.terminate()
    assert process.wait(60) == 0


def _kill(process: Any) -> None:
    process.kill()
    process.wait()


@pytest.mark.parametrize("stop", [_terminate, _kill])
def test_everything_acknowledged_is_there_after_a_restart(desk: Desk, stop: Callable[[Any], None]) -> None:
    command = [*PROGRAM, "--json", "--data-dir", str(desk.folder / "data")]
    content = {f"folder/{number}": bytes([number]) * (number * 4_000 + 1) for number in range(30)}
    with desk.start(command) as process:
        first = ready(process)
        user = Rest(buckets_url=first["buckets_url"], token=first["token"])
        bucket, public, dropped = user.bucket("kept"), user.bucket(), user.bucket()
        imported = user.imported("aws", "theirs", access_key_id="a", secret_access_key="s")
        user.done("PATCH", f"buckets/{public['id']}", {"public": True})
        lasting, read_only = user.lasting(bucket, public), user.lasting(bucket, read_only=True)
        revoked = user.lasting(bucket)
        user.done("DELETE", f"persistent_credentials/{revoked['id']}")
        user.done("DELETE", f"buckets/{dropped['id']}")
        temporary = user.temporary(bucket)
        with s3(temporary) as client:
            for key, blob in content.items():
                client.put_object(Bucket=temporary["bucket_name"], Key=key, Body=blob)
        stop(process)

    with desk.start(command) as process:
        second = ready(process)
        user = Rest(buckets_url=second["buckets_url"], token=second["token"])
        assert (second["token"], second["readonly_token"]) == (first["token"], first["readonly_token"])
        listed = user.done("GET", "buckets?org_name=neuro&project_name=demo")
        assert listed == [bucket, {**public, "public": True}, imported]
        assert user.temporary(imported) == {"bucket_name": "theirs", "access_key_id": "a", "secret_access_key": "s"}
        temporary = user.temporary(bucket)
        with s3(temporary) as client:
            for key, blob in content.items():
                assert client.get_object(Bucket=temporary["bucket_name"], Key=key)["Body"].read() == blob
        keys, reading, old = (_moved(item, temporary) for item in (lasting, read_only, revoked))
        assert user.done("GET", f"persistent_credentials/{lasting['id']}")["credentials"][0]["credentials"] == keys
        assert allowed(keys) == {"put", "get", "list", "delete"}
        assert allowed(reading) == {"get", "list"}
        assert allowed(old) == set()
        open_to_all = user.temporary(public)
        assert send("GET", f"{open_to_all['endpoint_url']}/{open_to_all['bucket_name']}").status == 200
        user.bucket("another")
        _kill(process)


def _moved(persistent: Any, now: dict[str, str]) -> dict[str, str]:
    """Return the keys of persistent credentials with the address that the storage has after a restart."""
    return {**persistent["credentials"][0]["credentials"], "endpoint_url": now["endpoint_url"]}


def test_blobs_written_after_a_restart_disturb_none_from_before(desk: Desk) -> None:
    command = [*PROGRAM, "--json", "--data-dir", str(desk.folder / "data")]
    for run in range(3):
        with desk.start(command) as process:
            said = ready(process)
            user = Rest(buckets_url=said["buckets_url"], token=said["token"])
            bucket = (
                user.bucket("kept") if run == 0 else user.done("GET", "buckets/kept?org_name=neuro&project_name=demo")
            )
            keys = user.temporary(bucket)
            with s3(keys) as client:
                for number in range(20):
                    client.put_object(Bucket=keys["bucket_name"], Key=f"{run}/{number}", Body=b"%d" % run * 30_000)
                for before in range(run + 1):
                    for number in range(20):
                        found = client.get_object(Bucket=keys["bucket_name"], Key=f"{before}/{number}")["Body"].read()
                        assert found == b"%d" % before * 30_000
            _kill(process)

    assert len(list((desk.folder / "data" / "storage").glob("m[0-9]*"))) == 1


class TestTheDataFolder:
    def test_a_second_platform_on_it_is_refused_in_one_sentence(self, desk: Desk) -> None:
        data = desk.folder / "data"
        with desk.start([*PROGRAM, "--json", "--data-dir", str(data)]) as process:
            said = ready(process)
            second = desk.run(*PROGRAM, "--json", "--data-dir", str(data))
            user = Rest(buckets_url=said["buckets_url"], token=said["token"])
            assert allowed(user.temporary(user.bucket())) == {"put", "get", "list", "delete"}

        assert second.stderr == f"Another platform uses {data}. Stop it, or choose another --data-dir.\n"
        assert (second.stdout, second.returncode) == ("", 1)

    def test_its_files_are_readable_by_their_owner_alone(self, desk: Desk) -> None:
        data = desk.folder / "deep" / "data"
        with desk.start([*PROGRAM, "--json", "--data-dir", str(data)]) as process:
            said = ready(process)
            user = Rest(buckets_url=said["buckets_url"], token=said["token"])
            allowed(user.temporary(user.bucket()))
            runtime = [folder for folder in desk.folder.iterdir() if folder.name.startswith("neuro-buckets-")]

            top = [data, *data.iterdir(), *runtime]
            assert sorted(item.name for item in data.iterdir()) == ["lock", "platform.json", "storage"]
            assert len(runtime) == 1
            assert {item.name: oct(item.stat().st_mode & 0o077) for item in top if item.stat().st_mode & 0o077} == {}

    def test_an_existing_folder_keeps_its_own_rights_and_content(self, desk: Desk) -> None:
        data = desk.folder / "data"
        data.mkdir(mode=0o755)
        (data / "mine").write_text("mine")
        with local_platform(["--data-dir", str(data)]):
            pass

        assert data.stat().st_mode & 0o777 == 0o755
        assert (data / "mine").read_text() == "mine"
        assert (data / "storage").stat().st_mode & 0o777 == 0o700

    def test_a_file_in_its_place_is_refused_in_one_sentence(self, desk: Desk) -> None:
        data = desk.folder / "file"
        data.touch()
        done = desk.run(*PROGRAM, "--json", "--data-dir", str(data))

        assert done.stderr == f"{data} cannot keep the data (File exists). Choose another --data-dir.\n"
        assert (done.stdout, done.returncode) == ("", 1)

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "{}", json.dumps({"buckets": [{}], "credentials": [], "secrets": {}})]
    )
    def test_records_of_something_else_are_refused_in_one_sentence_and_kept(self, desk: Desk, content: str) -> None:
        data = desk.folder / "data"
        data.mkdir()
        (data / "platform.json").write_text(content)
        done = desk.run(*PROGRAM, "--json", "--data-dir", str(data))

        assert done.stderr.startswith(f"{data / 'platform.json'} cannot be used (")
        assert done.stderr.count("\n") == 1
        assert (done.stdout, done.returncode) == ("", 1)
        assert (data / "platform.json").read_text() == content


class TestRequests:
    def test_a_token_of_strange_bytes_is_unauthorised(self, neuro_buckets_local: RunningPlatform) -> None:
        url = f"{neuro_buckets_local.buckets_url}/buckets?org_name=neuro&project_name=demo"

        assert send("GET", url, headers={"Authorization": "Bearer \xff\xfe"}).status == 401

    def test_the_addresses_of_the_configuration_follow_the_host_that_was_asked(
        self, neuro_buckets_local: RunningPlatform
    ) -> None:
        url = neuro_buckets_local.api_url.replace("127.0.0.1", "localhost")
        headers = {"Authorization": f"Bearer {neuro_buckets_local.token}"}

        (cluster,) = send("GET", f"{url}/config", headers=headers).body["clusters"]
        assert cluster["buckets_url"] == f"{url}/buckets"

    def test_an_unexpected_failure_is_the_500_of_the_platform(self, user: Rest) -> None:
        answer = user.call("POST", "persistent_credentials", {"bucket_ids": [["a list"]]})

        assert answer.status == 500
        assert answer.body["error"].startswith("Unexpected exception: TypeError: ")
        assert answer.body["error"].endswith(". Path with query: /api/v1/buckets/persistent_credentials")
