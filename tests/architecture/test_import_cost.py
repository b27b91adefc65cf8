"""What an import loads: the DAG processor imports operators every few seconds, and every process the provider info."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from airflow_here import needs
from airflow_provider_neuro_buckets import get_provider_info

NAME = "airflow_provider_neuro_buckets"
HEAVY = {
    "aiobotocore",
    "aiohttp",
    "azure",
    "boto3",
    "botocore",
    "fsspec",
    "google",
    "multidict",
    "pathspec",
    "ssl",
    "tenacity",
    "yarl",
}
PARSED = [
    f"{NAME}.operators.base",
    f"{NAME}.operators.groups",
    *(
        module
        for integration in get_provider_info()["operators"] + get_provider_info()["sensors"]
        for module in integration["python-modules"]
    ),
]
"""What DAG files import."""

SCRIPT = """
import importlib, json, os, sys, time
base, *modules = sys.argv[1:]
importlib.import_module(base)
before = set(sys.modules)
for module in modules:
    if child := os.fork():  # each module in a process that has loaded nothing but `base`
        assert os.waitpid(child, 0)[1] == 0, module
        continue
    begun = time.perf_counter()
    importlib.import_module(module)
    milliseconds = (time.perf_counter() - begun) * 1000
    print(json.dumps({"module": module, "milliseconds": milliseconds, "new": sorted(set(sys.modules) - before)}))
    sys.stdout.flush()
    os._exit(0)
"""


def fresh(base: str, *modules: str) -> dict[str, dict[str, Any]]:
    """Import each module after `base` in a fresh process; return what that loaded."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, base, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"module"')]
    return {item["module"]: item for item in found}


def tops(names: Sequence[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.fixture(scope="module")
def beside_airflow() -> dict[str, dict[str, Any]]:
    return fresh("airflow.sdk", *PARSED, f"{NAME}.hooks.buckets", f"{NAME}.triggers.blobs")


@needs(3, 1, reason="loads libraries with any operator: templates, filesystems and more")
@pytest.mark.parametrize("module", PARSED)
def test_a_module_that_dag_files_import_loads_a_few_of_ours_and_no_library(
    beside_airflow: dict[str, dict[str, Any]], module: str, record_property: Callable[[str, object], None]
) -> None:
    found = beside_airflow[module]
    record_property("milliseconds over airflow.sdk", round(found["milliseconds"], 1))
    ours = [name for name in found["new"] if name.startswith(NAME)]
    assert len(ours) < 12, ours
    assert tops(found["new"]) <= {NAME, "airflow"}, found["new"]


@pytest.mark.parametrize("module", [f"{NAME}.hooks.buckets", f"{NAME}.triggers.blobs"])
def test_the_hook_and_the_triggers_load_no_http_client_and_no_cloud_library(
    beside_airflow: dict[str, dict[str, Any]], module: str, record_property: Callable[[str, object], None]
) -> None:
    found = beside_airflow[module]
    record_property("milliseconds over airflow.sdk", round(found["milliseconds"], 1))
    # The hook's client has addresses in its signatures: yarl, and what yarl needs.
    assert not tops(found["new"]) & (HEAVY - {"yarl", "multidict"})


def test_the_provider_info_loads_the_standard_library_only() -> None:
    found = fresh("json", NAME, f"{NAME}.get_provider_info")
    for module in (NAME, f"{NAME}.get_provider_info"):
        assert tops(found[module]["new"]) <= {NAME, *sys.stdlib_module_names}
        assert set(found[module]["new"]) & {NAME, f"{NAME}.get_provider_info"}
        ours = {name for name in found[module]["new"] if name.startswith(NAME)}
        assert ours == {NAME, f"{NAME}.get_provider_info"}


def test_an_error_class_loads_no_http_client() -> None:
    (found,) = fresh("json", f"{NAME}.buckets.errors").values()
    assert tops(found["new"]) <= {NAME, *sys.stdlib_module_names}
