"""What a server of each era is asked (wire protocol 3.5 to 3.8), and which answers give an era away."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets import BadRequest, BucketsError, ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.answers import read_bucket
from airflow_provider_neuro_buckets.buckets.eras import (
    ANY_ERA,
    Era,
    Place,
    Wanted,
    bucket_query,
    eras_of_bucket,
    eras_of_probe,
    id_query,
    list_query,
    new_bucket,
    path_nouns,
)
from airflow_provider_neuro_buckets.buckets.target import Selector, Target

ID = "bucket-11111111-2222-4333-8444-555555555555"
NOTHING: dict[str, str] = {}
HOME = {"org_name": "acme", "project_name": "ml"}


def wanted(bucket: str = "data", *, org: str | None = "acme", project: str | None = "ml", **given: str) -> Wanted:
    place = Place(cluster="main", buckets_url=URL("http://main.example"), org=org, project=project)
    return Wanted.of(Target(bucket=bucket, selector=Selector(**given)), place)


@pytest.mark.parametrize(
    ("asked", "owner", "project", "strict"),
    [
        (wanted(), {"owner": "ml"}, HOME, HOME),
        (wanted(project="web"), {"owner": "web"}, HOME | {"project_name": "web"}, HOME | {"project_name": "web"}),
        (wanted(project=None), NOTHING, NOTHING, {"org_name": "acme"}),
        (wanted(org=None), {"owner": "ml"}, {"project_name": "ml"}, {"project_name": "ml"}),
        (
            wanted(owner="bob"),
            {"owner": "bob"},
            {"org_name": "acme", "project_name": "bob"},
            {"org_name": "acme", "owner": "bob"},
        ),
        (wanted(org=None, owner="bob"), {"owner": "bob"}, {"owner": "bob"}, {"owner": "bob"}),
        (wanted(ID), HOME, HOME, HOME),
        (wanted(ID, org=None), NOTHING, NOTHING, NOTHING),
        (wanted(ID, project=None), NOTHING, NOTHING, NOTHING),
    ],
)
def test_a_bucket_is_asked_for_in_the_words_of_each_era(
    asked: Wanted, owner: dict[str, str], project: dict[str, str], strict: dict[str, str]
) -> None:
    assert bucket_query(Era.OWNER, asked) == owner
    assert bucket_query(Era.PROJECT, asked) == project
    assert bucket_query(Era.STRICT, asked) == strict


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize("org", ["acme", None])
@pytest.mark.parametrize("project", ["ml", None])
@pytest.mark.parametrize("given", [{}, {"owner": "bob"}, {"project": "web"}])
def test_no_question_names_an_owner_and_a_project_or_an_org_alone(
    era: Era, org: str | None, project: str | None, given: dict[str, str]
) -> None:
    query = bucket_query(era, wanted(org=org, project=project) if not given else wanted(org=org, **given))
    assert not {"owner", "project_name"} <= set(query)
    assert era is Era.STRICT or "org_name" not in query or "project_name" in query


def test_a_list_takes_no_parameters_where_there_are_no_projects() -> None:
    assert list_query(Era.OWNER, wanted("")) == {}
    assert list_query(Era.PROJECT, wanted("")) == list_query(Era.STRICT, wanted("")) == HOME
    assert list_query(Era.PROJECT, wanted("", project=None)) == {}
    assert list_query(Era.STRICT, wanted("", project=None)) == {"org_name": "acme"}


def test_a_new_bucket_names_its_home_as_each_era_knows_it() -> None:
    assert new_bucket(Era.STRICT, wanted("")) == new_bucket(Era.PROJECT, wanted("")) == HOME
    assert new_bucket(Era.OWNER, wanted("", project=None)) == {"org_name": "acme"}
    assert new_bucket(Era.OWNER, wanted("", org=None, project=None)) == {"org_name": None}
    with pytest.raises(ConfigurationError, match="no projects"):
        new_bucket(Era.OWNER, wanted(""))


def bucket(**fields: Any) -> Any:
    told = {"id": ID, "name": "data", "owner": "alice", "org_name": None, "provider": "aws", "created_at": "2026-01-02"}
    return read_bucket(told | fields, "main")


@pytest.mark.parametrize("told", ["ml", "", None])
def test_a_bucket_with_a_project_is_of_a_newer_server_even_if_the_project_is_empty(told: str | None) -> None:
    assert eras_of_bucket(bucket(project_name=told)) == {Era.PROJECT, Era.STRICT}
    assert eras_of_bucket(bucket()) == {Era.OWNER}


@pytest.mark.parametrize(
    ("refusal", "eras"),
    [
        (BadRequest("the service answered 400 (org_name must be provided)"), {Era.STRICT}),
        (ResourceNotFound("the service answered 404"), {Era.OWNER, Era.PROJECT}),
        (BadRequest("the service answered 400"), ANY_ERA),
    ],
)
def test_the_probe_tells_strict_servers_from_older_ones(refusal: BucketsError, eras: set[Era]) -> None:
    assert eras_of_probe(refusal) == eras


def test_a_request_by_id_names_the_home_of_the_bucket_where_there_are_projects() -> None:
    assert id_query(bucket()) == {}
    assert id_query(bucket(project_name="ml")) == {"project_name": "ml"}
    assert id_query(bucket(project_name="ml", org_name="acme")) == HOME


def test_a_path_goes_through_every_part_of_an_owner_to_the_name_or_the_id() -> None:
    robot = bucket(owner="alice/service-accounts/ci", org_name="acme", name=None)
    assert path_nouns(robot) == [["acme", "alice", "service-accounts", "ci", ID]]
    assert path_nouns(bucket(project_name="ml")) == [["ml", "data"], ["ml", ID]]
