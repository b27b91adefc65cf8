"""What is made is made once, where it was told to, whatever becomes of the answers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import (
    AlreadyExists,
    Bucket,
    Buckets,
    ConfigurationError,
    InvalidAddress,
    NotConnected,
    PersistentBucketCredentials,
    ResourceNotFound,
    Throttled,
    Unavailable,
)
from buckets.eras.conftest import Open
from buckets.eras.service import ERAS, OWNER, PROJECT, STRICT, Service, Trouble

every_era = pytest.mark.parametrize("service", ERAS, indirect=True)
strict = pytest.mark.parametrize("service", [STRICT], indirect=True)
owner = pytest.mark.parametrize("service", [OWNER], indirect=True)

KEYS = {"access_key_id": "AK", "secret_access_key": "not a real secret"}


def home(service: Service) -> dict[str, str | None]:
    return {"org_name": "acme", "project_name": None if service.era == OWNER else "ml"}


def posts(service: Service) -> list[Any]:
    return [asked.body for asked in service.asked if asked.method == "POST"]


async def imported(buckets: Buckets, name: str | None = "fresh") -> Bucket:
    return await buckets.import_external(Bucket.Provider.AWS, "theirs", KEYS, name=name)


# Bodies


@pytest.mark.parametrize("name", ["fresh", None])
@every_era
async def test_a_bucket_is_made_in_the_home_of_the_connection(service: Service, client: Open, name: str | None) -> None:
    async with client(service, **home(service)) as buckets:
        bucket = await buckets.create(name)
    expected = {"name": name, "org_name": "acme"} | ({} if service.era == OWNER else {"project_name": "ml"})
    assert posts(service) == [expected]
    assert (bucket.name, bucket.org_name, bucket.owner) == (name, "acme", "alice")
    assert bucket.uri.path.split("/")[1:] == ["acme", "alice" if service.era == OWNER else "ml", name or bucket.id]


@every_era
async def test_a_bucket_is_imported_with_its_credentials(service: Service, client: Open) -> None:
    async with client(service, **home(service)) as buckets:
        bucket = await imported(buckets)
    (body,) = posts(service)
    assert body.pop("project_name", None) == (None if service.era == OWNER else "ml")
    assert body == {
        "name": "fresh",
        "org_name": "acme",
        "provider": "aws",
        "provider_bucket_name": "theirs",
        "credentials": KEYS,
    }
    assert bucket.imported


@owner
async def test_a_server_without_projects_makes_nothing_in_a_project(service: Service, client: Open) -> None:
    async with client(service, project_name=None) as buckets:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"no projects.*in 'team'.*Leave project_name out"):
                await buckets.create("fresh", project_name="team")
        assert (await buckets.create("fresh")).owner == "alice"
    # That the server knows no projects is asked once; the first refusal tells.
    assert [body.get("project_name") for body in posts(service)] == ["team", None]
    assert service.made() == ["fresh"]


@owner
async def test_the_org_is_null_where_there_is_none(service: Service, client: Open) -> None:
    service.add("data", org=None)
    async with client(service, org_name=None, project_name=None) as buckets:
        await buckets.get("data")
        bucket = await buckets.create("fresh")
    assert posts(service) == [{"name": "fresh", "org_name": None}]
    assert bucket.org_name is None


@pytest.mark.parametrize("name", ["", "ab", "Upper", "1st", "ends-", "ends_", "a" * 41, "dot.ted"])
@strict
async def test_a_bad_name_is_refused_before_anything_is_sent(service: Service, client: Open, name: str) -> None:
    async with client(service) as buckets:
        with pytest.raises(InvalidAddress):
            await buckets.create(name)
        with pytest.raises(InvalidAddress):
            await imported(buckets, name)
        with pytest.raises(InvalidAddress):
            await buckets.persistent_credentials_create(["data"], name=name)
    assert not service.asked


# Lost answers


@pytest.mark.parametrize("answer", [None, (503, "<html>"), (500, {"error": "Unexpected exception: boom"})])
@every_era
async def test_a_bucket_whose_making_was_not_answered_is_found_and_returned(
    service: Service, client: Open, answer: tuple[int, Any] | None
) -> None:
    async with client(service, **home(service)) as buckets:
        for make in (buckets.create("fresh-one"), imported(buckets, "fresh-two")):
            service.troubles.append(Trouble("POST", "^buckets", carried_out=True, answer=answer))
            bucket = await make
            assert bucket.id in service.records
    assert service.made() == ["fresh-one", "fresh-two"]
    assert len(posts(service)) == 2


@pytest.mark.parametrize("answer", [None, (502, "<html>")])
@every_era
async def test_a_bucket_that_was_not_made_is_made_after_a_look(
    service: Service, client: Open, answer: tuple[int, Any] | None
) -> None:
    service.troubles.append(Trouble("POST", "^buckets", answer=answer))
    async with client(service, **home(service)) as buckets:
        await buckets.create("fresh")
    assert service.made() == ["fresh"]
    lines = [line for line in service.lines() if "fresh" in line or line.startswith("POST")]
    assert lines[0] == lines[-1] == "POST buckets"
    assert set(lines[1:-1]) == {"GET buckets/fresh"}


@strict
async def test_a_bucket_that_was_there_before_is_not_taken_for_the_one_just_made(
    service: Service, client: Open
) -> None:
    service.add("fresh")
    service.troubles.append(Trouble("POST", "^buckets", carried_out=True))
    async with client(service) as buckets:
        with pytest.raises(AlreadyExists, match="since 2025-01-02"):
            await buckets.create("fresh")
    assert service.made() == ["fresh"]
    assert len(posts(service)) == 1


@strict
async def test_a_bucket_made_and_a_bucket_imported_are_not_taken_for_each_other(service: Service, client: Open) -> None:
    service.troubles.append(Trouble("POST", "^buckets", answer=None))
    async with client(service) as buckets:
        # While the answer is lost, somebody else imports a bucket of that name.
        service.add("fresh", imported=True, created_at="2126-01-01T00:00:00+00:00")
        with pytest.raises(AlreadyExists):
            await buckets.create("fresh")
    assert service.made() == ["fresh"]


@strict
async def test_a_taken_name_is_told_without_a_look(service: Service, client: Open) -> None:
    service.add("fresh")
    async with client(service) as buckets:
        with pytest.raises(AlreadyExists, match=r"connection 'test'.*fresh"):
            await buckets.create("fresh")
    assert service.lines() == ["POST buckets"]


@strict
async def test_of_a_bucket_without_a_name_nobody_can_tell_and_it_is_not_tried_twice(
    service: Service, client: Open
) -> None:
    service.troubles.append(Trouble("POST", "^buckets", carried_out=True))
    async with client(service) as buckets:
        with pytest.raises(Unavailable, match="nobody knows whether it was made"):
            await buckets.create()
    assert service.lines() == ["POST buckets"]
    assert service.made() == [None]


@strict
async def test_a_server_that_is_down_for_good_ends_the_attempts(service: Service, client: Open) -> None:
    service.troubles += [Trouble("POST", "^buckets", answer=(503, "")) for _ in range(9)]
    async with client(service) as buckets:
        with pytest.raises(Unavailable, match="503"):
            await buckets.create("fresh")
    assert len(posts(service)) == 4
    assert not service.made()


@strict
async def test_a_request_that_was_turned_away_is_sent_again_also_without_a_name(service: Service, client: Open) -> None:
    busy = Trouble("POST", "^buckets", answer=(429, {"error": "slow down"}), headers={"Retry-After": "0"})
    service.troubles += [busy]
    async with client(service) as buckets:
        await buckets.create()
    assert service.lines() == ["POST buckets", "POST buckets"]
    assert service.made() == [None]
    service.troubles += [Trouble("POST", "^buckets", answer=(429, "")) for _ in range(9)]
    async with client(service) as buckets:
        with pytest.raises(Throttled):
            await buckets.create()
    assert service.made() == [None]


async def test_a_request_that_reached_nobody_is_said_to_have_reached_nobody(client: Open) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        service = Service(STRICT)
        service.url = f"http://127.0.0.1:{taken.getsockname()[1]}/api/v1/buckets"
        async with client(service) as buckets:
            with pytest.raises(NotConnected, match="no connection"):
                await buckets.create()


# Persistent credentials


async def lasting(buckets: Buckets, id_: str, *, read_only: bool = False) -> PersistentBucketCredentials:
    return await buckets.persistent_credentials_create([id_], name="keys", read_only=read_only)


@every_era
async def test_credentials_whose_making_was_not_answered_are_found_and_returned(service: Service, client: Open) -> None:
    id_ = service.add("data")
    service.troubles.append(Trouble("POST", "^persistent", carried_out=True))
    async with client(service) as buckets:
        credentials = await lasting(buckets, id_)
    assert credentials.id in service.credentials
    assert credentials.credentials[0].credentials["secret_access_key"] == "not a real one"
    assert len(posts(service)) == 1


@strict
async def test_other_credentials_of_the_name_are_not_taken_for_those_just_made(service: Service, client: Open) -> None:
    id_ = service.add("data")
    async with client(service) as buckets:
        await lasting(buckets, id_, read_only=True)
        service.troubles.append(Trouble("POST", "^persistent", carried_out=True))
        with pytest.raises(AlreadyExists, match="other persistent credentials 'keys'"):
            await lasting(buckets, id_)
        with pytest.raises(AlreadyExists):
            await lasting(buckets, id_, read_only=True)
    assert len(service.credentials) == 1


@strict
async def test_credentials_are_for_ids_whatever_the_buckets_were_called_by(service: Service, client: Open) -> None:
    first, second, third = (service.add(name) for name in ("first", "second", "third"))
    async with client(service) as buckets:
        await buckets.persistent_credentials_create([first, "second", "blob:/ml/third"])
    assert posts(service) == [{"name": None, "bucket_ids": [first, second, third], "read_only": False}]


@strict
async def test_credentials_for_no_bucket_or_a_missing_one_are_not_asked_for(service: Service, client: Open) -> None:
    async with client(service) as buckets:
        with pytest.raises(ConfigurationError, match="no bucket at all"):
            await buckets.persistent_credentials_create([])
        with pytest.raises(ResourceNotFound):
            await buckets.persistent_credentials_create(["nope"])
    assert not posts(service)


# Deletions


@pytest.mark.parametrize("what", ["bucket", "credentials"])
@every_era
async def test_not_found_after_a_lost_answer_is_the_answer_that_was_lost(
    service: Service, client: Open, what: str
) -> None:
    id_ = service.add("data", imported=True)
    async with client(service) as buckets:
        credentials = await lasting(buckets, id_)
        service.troubles.append(Trouble("DELETE", "", carried_out=True, answer=(504, "<html>")))
        if what == "bucket":
            await buckets.rm(id_)
            assert not service.records
        else:
            await buckets.persistent_credentials_rm("keys")
            assert credentials.id not in service.credentials
        with pytest.raises(ResourceNotFound):
            await (buckets.rm(id_) if what == "bucket" else buckets.persistent_credentials_rm("keys"))


@pytest.mark.parametrize("service", [PROJECT, STRICT], indirect=True)
async def test_a_bucket_that_vanishes_between_look_and_deletion_is_not_found(service: Service, client: Open) -> None:
    service.add("data", imported=True)
    service.troubles.append(Trouble("DELETE", "", answer=(404, "Bucket data not found")))
    async with client(service) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.rm("data")


@strict
async def test_a_bucket_of_an_unknown_provider_is_only_deleted_by_force(service: Service, client: Open) -> None:
    service.add("data", provider="tape")
    async with client(service) as buckets:
        with pytest.raises(NotImplementedError, match="nobody can tell whether it is empty"):
            await buckets.rm("data")
        assert service.records
        await buckets.rm("data", force=True)
    assert not service.records


@strict
async def test_a_public_bucket_on_azure_is_not_said_to_be_closed(service: Service, client: Open) -> None:
    id_ = service.add("data", provider="azure", public=True)
    async with client(service) as buckets:
        with pytest.raises(NotImplementedError, match="cannot close"):
            await buckets.set_public_access("data", public_access=False)
        assert service.records[id_]["public"] is True
        service.records[id_]["public"] = False
        assert not (await buckets.set_public_access("data", public_access=False)).public
        assert (await buckets.set_public_access("data", public_access=True)).public
