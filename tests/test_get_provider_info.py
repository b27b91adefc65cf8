"""What Airflow reads of the provider at start-up: one mistake in it would stop every `airflow` command."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]  # Airflow brings it, without types
import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.triggers.base import BaseTrigger
from packaging.utils import canonicalize_name

from airflow_here import BaseHook, needs
from airflow_provider_neuro_buckets import get_provider_info
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.hooks.connection import read_config

PACKAGE = Path(inspect.getfile(NeuroBucketsHook)).parents[1]
INFO = get_provider_info()
CONNECTION_TYPE = INFO["connection-types"][0]
BASES = {
    "hooks": BaseHook,
    "operators": BaseOperator,
    "sensors": BaseSensorOperator,
    "triggers": BaseTrigger,
}


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(airflow.__file__).parent / name).read_text())
    return loaded


def modules(room: str) -> list[str]:
    return [module for integration in INFO[room] for module in integration["python-modules"]]


def test_airflow_accepts_the_provider_info() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_connection_type_follows_the_strict_schema_too() -> None:
    """The schema that is used at start-up lets misspelt keys of the form pass, and Airflow then ignores them."""
    strict = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(INFO["connection-types"], strict)


@needs(3, 2, reason="takes the fields of a form from the hook alone")
def test_a_misspelt_key_of_the_form_would_be_noticed() -> None:
    strict = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    broken = {**CONNECTION_TYPE, "ui-field-behaviour": {"hidden_fields": ["port"]}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([broken], strict)


def test_the_package_name_is_that_of_the_distribution() -> None:
    name = distribution("airflow-provider-neuro-buckets").metadata["Name"]
    assert INFO["package-name"] == canonicalize_name(name)


def test_the_entry_point_leads_to_the_provider_info() -> None:
    (entry,) = [
        entry
        for entry in distribution("airflow-provider-neuro-buckets").entry_points
        if entry.group == "apache_airflow_provider"
    ]
    assert entry.load()() == INFO


@pytest.mark.parametrize("room", BASES)
def test_each_listed_module_has_what_it_is_listed_for(room: str) -> None:
    for module in modules(room):
        found = [
            kind
            for kind in vars(importlib.import_module(module)).values()
            if inspect.isclass(kind) and issubclass(kind, BASES[room]) and kind.__module__ == module
        ]
        assert found, module


@pytest.mark.parametrize("room", BASES)
def test_each_module_of_a_room_that_holds_public_classes_is_listed(room: str) -> None:
    suffix = {"hooks": "Hook", "operators": "Operator", "sensors": "Sensor", "triggers": "Trigger"}[room]
    with_classes = {
        f"airflow_provider_neuro_buckets.{room}.{path.stem}"
        for path in (PACKAGE / room).glob("*.py")
        if path.stem not in {"base", "ends", "lineage"}  # what operators are made of
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith(suffix)
    }
    assert with_classes == set(modules(room))


def test_airflow_finds_the_provider_and_its_hook() -> None:
    manager = ProvidersManager()  # type: ignore[no-untyped-call]  # as it is in Airflow
    assert "airflow-provider-neuro-buckets" in manager.providers
    assert manager.providers["airflow-provider-neuro-buckets"].data["name"] == "Neuro Buckets"


def test_the_hook_is_the_one_that_the_connection_type_names() -> None:
    assert CONNECTION_TYPE["hook-class-name"] == f"{NeuroBucketsHook.__module__}.{NeuroBucketsHook.__qualname__}"
    assert CONNECTION_TYPE["connection-type"] == NeuroBucketsHook.conn_type
    assert CONNECTION_TYPE["hook-name"] == NeuroBucketsHook.hook_name


def form() -> Any:
    (ours,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "neuro_buckets"]
    return ours


@needs(3, 2, reason="takes the fields of a form from the hook alone")
def test_the_form_in_the_browser_shows_host_and_token_under_names_that_people_know() -> None:
    fields = form().standard_fields
    assert (fields.host.title, fields.password.title) == ("Platform API URL", "Token")
    assert fields.host.placeholder.startswith("https://")
    assert [fields.url_schema.hidden, fields.login.hidden, fields.port.hidden] == [True, True, True]
    assert not fields.host.hidden
    assert not fields.password.hidden


@needs(3, 2, reason="takes the fields of a form from the hook alone")
def test_the_form_in_the_browser_has_every_field_of_the_extra_with_label_and_help() -> None:
    fields = form().extra_fields
    assert set(fields) == set(CONNECTION_TYPE["conn-fields"])
    for name, field in fields.items():
        assert field["schema"]["title"] == CONNECTION_TYPE["conn-fields"][name]["label"]
        assert field["description"] == CONNECTION_TYPE["conn-fields"][name]["description"]
        assert "null" in field["schema"]["type"], f"{name} could not be left empty"
        assert field["value"] is None, f"{name} would be filled in, and then saved"
    assert fields["persistent_credentials_secret"]["schema"]["format"] == "password"


def test_the_form_in_the_browser_names_the_type_as_people_do() -> None:
    assert form().hook_name == "Neuro Buckets"


def test_the_form_offers_exactly_the_fields_that_the_hook_reads() -> None:
    """A field of the form that the hook refuses would make the connection unusable; one it lacks could not be set."""

    connection = Connection(
        conn_id="c", conn_type="neuro_buckets", host="https://api.example.org/api/v1", password="token"
    )
    values = {"verify": "true", "persistent_credentials_secret": "{}"}
    for name, field in CONNECTION_TYPE["conn-fields"].items():
        is_number = {"integer", "number"} & set(field["schema"]["type"])
        value = values.get(name, 1 if is_number else "https://buckets.example.org")
        config = read_config(connection, {name: value}, overrides={})
        assert isinstance(config, BucketsConfig)
    with pytest.raises(ValueError, match="unknown field") as error:
        read_config(connection, {"no_such_field": "x"}, overrides={})
    assert str(error.value).endswith(f"Known are {', '.join(CONNECTION_TYPE['conn-fields'])}.")
