"""A name, an id or an address finds exactly the bucket that it means, on servers of every era, or none."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_neuro_buckets.buckets import ConfigurationError, InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.eras import NOBODYS_ID
from buckets.eras.conftest import Open
from buckets.eras.service import ERAS, OLDER, OWNER, PROJECT, STRICT, Service, Trouble

PROBE = f"GET buckets/{NOBODYS_ID}"
ROBOT = "alice/service-accounts/ci"

every_era = pytest.mark.parametrize("service", ERAS, indirect=True)
older_eras = pytest.mark.parametrize("service", OLDER, indirect=True)


def era(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", [name], indirect=True)


def home(service: Service) -> dict[str, str | None]:
    """Return what a connection says of Alice's home in this era."""
    return {"org_name": "acme", "project_name": None if service.era == OWNER else "ml"}


# By name


@every_era
async def test_a_name_finds_the_own_bucket_with_a_single_request(service: Service, client: Open) -> None:
    id_ = service.add("data")
    async with client(service, **home(service)) as buckets:
        bucket = await buckets.get("data")
    assert (bucket.id, bucket.cluster_name, bucket.org_name) == (id_, "main", "acme")
    assert bucket.project_name == (None if service.era == OWNER else "ml")
    assert service.lines() == ["GET buckets/data"]


@every_era
async def test_a_name_that_nobody_has_is_not_found_and_the_era_is_found_out_at_most_once(
    service: Service, client: Open
) -> None:
    service.add("data")
    async with client(service, **home(service)) as buckets:
        for name in ("nope", "nope-again"):
            with pytest.raises(ResourceNotFound, match=name):
                await buckets.get(name)
    assert service.lines().count(PROBE) <= 1
    assert service.lines().count("GET buckets") <= 1


@every_era
async def test_a_bucket_owner_finds_the_bucket_of_a_colleague(service: Service, client: Open) -> None:
    service.add("data")
    org = "acme" if service.era == STRICT else None
    theirs = service.add("data", owner="bob", project="bob", org=org)
    async with client(service, **home(service)) as buckets:
        assert (await buckets.get("data", bucket_owner="bob")).id == theirs
        with pytest.raises(ResourceNotFound):
            await buckets.get("data", bucket_owner="carol")


@era(PROJECT)
async def test_a_bucket_owner_has_buckets_in_the_org_of_the_connection_too(service: Service, client: Open) -> None:
    theirs = service.add("data", owner="bob", project="bob", org="acme")
    async with client(service) as buckets:
        assert (await buckets.get("data", bucket_owner="bob")).id == theirs


@era(OWNER)
async def test_a_project_that_an_old_server_ignores_never_leads_to_the_callers_own_bucket(
    service: Service, client: Open
) -> None:
    mine = service.add("data", project=None, imported=True)
    async with client(service, project_name=None) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.get("data", project_name="team")
        with pytest.raises(ResourceNotFound):
            await buckets.rm("data", project_name="team")
    assert mine in service.records
    assert not [asked for asked in service.asked if asked.method == "DELETE"]


@era(OWNER)
async def test_a_project_means_an_owner_where_there_are_no_projects(service: Service, client: Open) -> None:
    mine = service.add("data", project=None, imported=True)
    theirs = service.add("data", owner="team", project=None, imported=True)
    async with client(service, project_name=None) as buckets:
        assert (await buckets.get("data", project_name="team")).id == theirs
        await buckets.rm("data", project_name="team")
    assert list(service.records) == [mine]


@era(OWNER)
async def test_an_org_that_an_old_server_ignores_is_compared(service: Service, client: Open) -> None:
    service.add("data", org=None)
    async with client(service, org_name=None, project_name=None) as buckets:
        with pytest.raises(ResourceNotFound, match="blob://main/alice/data"):
            await buckets.get("data", org_name="acme")
        assert (await buckets.get("data")).org_name is None


@era(PROJECT)
async def test_a_bucket_without_an_org_does_not_stand_in_for_one_of_the_org(service: Service, client: Open) -> None:
    service.add("data", org=None)
    async with client(service) as buckets:
        with pytest.raises(ResourceNotFound, match="blob://main/ml/data"):
            await buckets.get("data")


@era(PROJECT)
async def test_without_a_project_the_callers_own_is_meant(service: Service, client: Open) -> None:
    mine = service.add("data", project="alice")
    async with client(service, project_name=None, org_name=None) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.get("nope")
        service.records[mine]["org_name"] = None
        assert (await buckets.get("data")).id == mine


@era(STRICT)
async def test_a_strict_server_without_an_org_asks_for_one_in_the_connection(service: Service, client: Open) -> None:
    service.add("data")
    async with client(service, org_name=None) as buckets:
        with pytest.raises(ConfigurationError, match=r"connection 'test' names no org.*Set org_name"):
            await buckets.get("data")
        with pytest.raises(ConfigurationError, match="Set org_name"):
            _ = [bucket async for bucket in buckets.list()]
        with pytest.raises(ConfigurationError, match="Set org_name"):
            await buckets.create("fresh")


@every_era
async def test_a_name_is_resolved_once_and_then_the_id_is_used(service: Service, client: Open) -> None:
    id_ = service.add("data", imported=True)
    async with client(service, **home(service)) as buckets:
        await buckets.make_signed_url("blob:data/key")
        await buckets.make_signed_url("blob:data/key2")
        await buckets.request_tmp_credentials("data")
        await buckets.set_public_access("data", public_access=True)
        await buckets.rm("data")
    assert service.lines()[:4] == [
        "GET buckets/data",
        f"POST buckets/{id_}/sign_blob_url",
        f"POST buckets/{id_}/sign_blob_url",
        f"POST buckets/{id_}/make_tmp_credentials",
    ]
    changing = [str(asked) for asked in service.asked if asked.method != "GET"]
    assert all(id_ in line for line in changing)
    assert not service.records


@pytest.mark.parametrize("address", ["data", "blob:data", "blob:/ml/data", "blob://main/acme/ml/data"])
@era(STRICT)
async def test_however_many_ask_at_once_the_platform_is_asked_once(
    service: Service, client: Open, address: str
) -> None:
    id_ = service.add("data")
    async with client(service) as buckets:
        await asyncio.gather(*(buckets.request_tmp_credentials(address) for _ in range(20)))
    assert service.lines().count("GET buckets/data") == 1
    assert service.lines().count(f"POST buckets/{id_}/make_tmp_credentials") == 20


@pytest.mark.parametrize("bucket", ["..", ".", "", "a/b", "a?b", "a%2Fb", "a b", "x\n"])
@era(STRICT)
async def test_what_would_mean_something_in_the_path_of_a_request_is_no_name(
    service: Service, client: Open, bucket: str
) -> None:
    async with client(service) as buckets:
        with pytest.raises(InvalidAddress):
            await buckets.get(bucket)
        with pytest.raises(InvalidAddress):
            await buckets.persistent_credentials_rm(bucket)
    assert not service.asked


# By id


@every_era
async def test_an_id_finds_its_bucket_in_whatever_project_it_is(service: Service, client: Open) -> None:
    id_ = service.add(None, owner="bob", project="other", org="elsewhere")
    async with client(service, **home(service)) as buckets:
        assert (await buckets.get(id_)).id == id_
        assert (await buckets.get(id_, bucket_owner="nobody")).id == id_
        with pytest.raises(ResourceNotFound, match="offers"):
            await buckets.get(id_, project_name="ml")


@pytest.mark.parametrize("org", ["acme", None])
@every_era
async def test_a_missing_id_is_not_found(service: Service, client: Open, org: str | None) -> None:
    async with client(service, org_name=org) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.get("bucket-11111111-2222-4333-8444-555555555555")
    assert len(service.asked) == 1


# By address


@pytest.mark.parametrize(
    "address",
    ["blob:data/k", "blob:/ml/data/k", "blob://main/acme/ml/data/k", "blob:{id}/k", "blob://main/acme/ml/{id}/k"],
)
@every_era
async def test_every_form_of_an_address_leads_to_the_bucket(service: Service, client: Open, address: str) -> None:
    id_ = service.add("data", owner="ml", project="ml")
    async with client(service) as buckets:
        url = await buckets.make_signed_url(address.format(id=id_))
    assert url.path == f"/{id_}"
    assert service.asked[-1].body["key"] == "k"


@pytest.mark.parametrize("last", ["data", "{id}"])
@older_eras
async def test_an_address_with_an_owner_and_no_org_leads_to_the_bucket(
    service: Service, client: Open, last: str
) -> None:
    id_ = service.add("data", owner="bob", project="bob", org=None)
    address = f"blob://main/bob/{last.format(id=id_)}/dir/file name"
    async with client(service) as buckets:
        await buckets.make_signed_url(address)
        assert service.asked[-1].path == f"buckets/{id_}/sign_blob_url"
        assert service.asked[-1].body["key"] == "dir/file name"
        before = len(service.asked)
        await buckets.make_signed_url(address + "2")
        # An older reading is taken only after the newer one, whatever is known already.
        assert service.lines()[before:] == ["GET buckets/dir", f"POST buckets/{id_}/sign_blob_url"]


@era(STRICT)
async def test_a_strict_server_reads_a_complete_address_in_one_way_only(service: Service, client: Open) -> None:
    service.add("data", project="bob")
    async with client(service) as buckets:
        with pytest.raises(ResourceNotFound, match="'dir' in main/bob/data"):
            await buckets.make_signed_url("blob://main/bob/data/dir/file")
    assert service.lines() == ["GET buckets/dir", PROBE]


@pytest.mark.parametrize("org", ["acme", None])
@pytest.mark.parametrize("last", ["data", "{id}"])
@older_eras
async def test_the_bucket_of_a_service_account_is_found_by_its_path(
    service: Service, client: Open, last: str, org: str | None
) -> None:
    id_ = service.add("data", owner=ROBOT, project=ROBOT, org=org)
    where = "/".join(filter(None, ["blob://main", org, ROBOT, last.format(id=id_)]))
    async with client(service) as buckets:
        await buckets.make_signed_url(f"{where}/a/b%20c")
        assert service.asked[-1].path == f"buckets/{id_}/sign_blob_url"
        assert service.asked[-1].body["key"] == "a/b c"
        assert (await buckets.get(where)).id == id_


@older_eras
async def test_the_bucket_of_a_service_account_is_found_without_naming_the_cluster(
    service: Service, client: Open
) -> None:
    id_ = service.add("data", owner=ROBOT, project=ROBOT)
    async with client(service) as buckets:
        await buckets.make_signed_url(f"blob:/{ROBOT}/data/key")
    assert service.asked[-1].path == f"buckets/{id_}/sign_blob_url"
    assert service.asked[-1].body["key"] == "key"


@older_eras
async def test_a_bucket_in_another_org_that_a_path_is_said_to_lead_to_is_not_taken(
    service: Service, client: Open
) -> None:
    theirs = service.add("data", owner=ROBOT, project=ROBOT, org="elsewhere")
    service.troubles.append(Trouble("GET", "by_path", answer=(200, service.shown(service.records[theirs]))))
    async with client(service) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.make_signed_url(f"blob:/{ROBOT}/data/key")
    assert not service.troubles


@older_eras
async def test_what_an_address_means_does_not_depend_on_what_was_asked_before(service: Service, client: Open) -> None:
    service.add("data", owner="bob", project="bob", org=None)
    inner = service.add("inner", owner="data", project="data", org="bob")
    async with client(service) as buckets:
        await buckets.make_signed_url("blob://main/bob/data/k")
        assert (await buckets.request_tmp_credentials("blob://main/bob/data/inner")).bucket_id == inner
        await buckets.make_signed_url("blob://main/bob/data/inner/k")
        assert service.asked[-1].path == f"buckets/{inner}/sign_blob_url"


@era(OWNER)
async def test_a_path_that_leads_nowhere_is_told_by_its_first_reading(service: Service, client: Open) -> None:
    service.add("bkt2", org=None)
    async with client(service, project_name=None) as buckets:
        with pytest.raises(ResourceNotFound, match="'x' in main/alice/bkt"):
            await buckets.make_signed_url("blob://main/alice/bkt/x/y")


@every_era
async def test_an_id_in_an_address_of_another_project_is_not_found(service: Service, client: Open) -> None:
    id_ = service.add("data", owner="bob", project="bob")
    async with client(service) as buckets:
        with pytest.raises(ResourceNotFound):
            await buckets.make_signed_url(f"blob://main/acme/other/{id_}/k")
        with pytest.raises(ResourceNotFound):
            await buckets.make_signed_url(f"blob://main/elsewhere/bob/{id_}/k")


@era(STRICT)
async def test_a_bucket_parameter_takes_an_address(service: Service, client: Open) -> None:
    id_ = service.add("data")
    async with client(service) as buckets:
        for address in (
            "blob:data",
            "blob:data/",
            "BLOB:/ml/data",
            f"blob://main/acme/ml/{id_}",
            "blob://main/acme/ml/data/",
        ):
            assert (await buckets.get(address)).id == id_
        assert (await buckets.get("blob:data", project_name="ml", org_name="acme")).id == id_
        for blob in ("blob:data/key", "blob://main/acme/ml/data/key"):
            with pytest.raises(InvalidAddress, match="is a blob, not a bucket"):
                await buckets.get(blob)
        with pytest.raises(InvalidAddress, match="another place"):
            await buckets.get("blob:/ml/data", project_name="other")
        with pytest.raises(InvalidAddress, match="cannot both be meant"):
            await buckets.get("data", project_name="ml", bucket_owner="bob")


@older_eras
async def test_a_glob_finds_its_bucket_in_the_reading_that_has_no_wildcard(service: Service, client: Open) -> None:
    id_ = service.add("data", owner="bob", project="bob", org=None, provider="unknown-yet")
    async with client(service) as buckets:
        with pytest.raises(NotImplementedError, match="unknown-yet"):
            _ = [entry async for entry in buckets.glob_blobs("blob://main/bob/data/*.csv")]
    assert not [asked for asked in service.asked if "*" in asked.path]
    assert id_ in service.records


# Lists


@every_era
async def test_a_list_shows_the_buckets_of_the_project(service: Service, client: Open) -> None:
    service.add("data", owner="ml")
    service.add("their-data", owner="bob", project="bob")
    async with client(service) as buckets:
        shown = [bucket.name async for bucket in buckets.list()]
        narrowed = [bucket.name async for bucket in buckets.list(project_name="bob")]
    # Without projects the list is that of the cluster, as the reference has it.
    assert shown == (["data", "their-data"] if service.era == OWNER else ["data"])
    assert narrowed == ["their-data"]


@era(OWNER)
async def test_a_server_that_ignores_the_selectors_of_a_list_is_not_taken_at_its_word(
    service: Service, client: Open
) -> None:
    service.ignores_list_query = True
    service.add("data", project=None)
    service.add("their-data", owner="bob", project=None)
    async with client(service, project_name=None) as buckets:
        assert [bucket.name async for bucket in buckets.list(project_name="bob")] == ["their-data"]
        assert [bucket.name async for bucket in buckets.list(org_name="other")] == []


@every_era
async def test_a_list_of_nothing_is_empty(service: Service, client: Open) -> None:
    async with client(service) as buckets:
        assert [bucket async for bucket in buckets.list()] == []


@era(PROJECT)
async def test_a_list_of_an_org_alone_is_narrowed_here(service: Service, client: Open) -> None:
    service.add("data")
    service.add("elsewhere", org="other")
    async with client(service, project_name=None) as buckets:
        assert [bucket.name async for bucket in buckets.list()] == ["data"]


@era(STRICT)
async def test_unknown_providers_and_a_public_of_null_are_data(service: Service, client: Open) -> None:
    service.add("data", provider="tape", public=None)
    async with client(service) as buckets:
        (bucket,) = [bucket async for bucket in buckets.list()]
        assert (bucket.provider, bucket.public) == ("tape", False)
        with pytest.raises(NotImplementedError, match=r"blob://main/acme/ml/data is a bucket of 'tape'.*Upgrade"):
            await buckets.head_blob("data", "key")
