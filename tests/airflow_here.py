"""What the tests need of Airflow and has moved since 3.0, from wherever this Airflow has it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__


def _from(*places: str) -> Any:
    """Return what is at the first place that there is, each a module or ``module:name``; the newest comes first."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            found = import_module(module)
            return getattr(found, name) if name else found
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"none of {', '.join(places)} is in this Airflow")


def before(*version: int) -> bool:
    """Whether this Airflow is older than that."""
    return tuple(int(part) for part in __version__.split(".")[:2]) < version


def needs(major: int, minor: int, *, reason: str) -> pytest.MarkDecorator:
    """Skip a test on an older Airflow.

    :param reason: what that lacks or does otherwise.
    """
    return pytest.mark.skipif(before(major, minor), reason=f"Airflow before {major}.{minor} {reason}")


serde = _from("airflow.sdk.serde", "airflow.serialization.serde")
import_string = _from("airflow.sdk._shared.module_loading:import_string", "airflow.utils.module_loading:import_string")
DagSerialization = _from(
    "airflow.serialization.serialized_objects:DagSerialization",
    "airflow.serialization.serialized_objects:SerializedDAG",
)
_DagBag = _from("airflow.dag_processing.dagbag:DagBag", "airflow.models.dagbag:DagBag")
BaseHook = _from("airflow.sdk.bases.hook:BaseHook", "airflow.hooks.base:BaseHook")
lineage = _from("airflow.sdk.lineage", "airflow.lineage.hook")
get_fs = _from("airflow.sdk.io:get_fs", "airflow.io:get_fs")
attach = _from("airflow.sdk.io:attach", "airflow.io.store:attach")
AssetsOfProviders = _from(
    "airflow.sdk.providers_manager_runtime:ProvidersManagerTaskRuntime", "airflow.providers_manager:ProvidersManager"
)
AirflowRescheduleException = _from(
    "airflow.sdk.exceptions:AirflowRescheduleException", "airflow.exceptions:AirflowRescheduleException"
)
_masker = _from(
    "airflow.sdk._shared.secrets_masker:_secrets_masker", "airflow.sdk.execution_time.secrets_masker:_secrets_masker"
)


def dags_in(path: Path) -> Any:
    """Return the bag of the DAGs in a file or folder; since Airflow 3.1 each is of a bundle."""
    return _DagBag(path) if before(3, 1) else _DagBag(path, bundle_name="any")


def keep_dags() -> None:
    """Let Airflow 3.0 know the DAGs of its bundles: without, it runs no task with an asset. Later ones see to it."""
    if not before(3, 1):
        return
    manager = import_module("airflow.dag_processing.bundles.manager").DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        _DagBag(bundle.path, include_examples=False).sync_to_db(bundle.name, bundle_version=None)


def run_here(dag: Any, **conf: Any) -> Any:
    """Run a DAG in this process; return its run. In Airflow 3.0.0 only the scheduler's kind of DAG can."""
    if hasattr(dag, "test"):
        return dag.test(run_conf=conf)
    runnable = import_module("airflow.models.dag").DAG.from_sdk_dag(dag)
    nothing = import_module("airflow.sdk.definitions._internal.expandinput").EXPAND_INPUT_EMPTY
    for task in runnable.tasks:  # of mapped functions; Airflow copies what it then knows by its identity
        if getattr(task, "expand_input", None) == nothing:
            task.expand_input = nothing
    return runnable.test(run_conf=conf, logical_date=datetime.now(UTC))  # without it, templates have no `ds` there


def masked_texts() -> set[str]:
    """Return what Airflow's masker knows to be secret, as regular expressions."""
    return set(_masker().patterns)
