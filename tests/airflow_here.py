"""What the tests need of Airflow and has moved since 3.0, from wherever this Airflow has it."""

from __future__ import annotations

try:
    from airflow.sdk import serde
except ImportError:
    from airflow.serialization import serde  # type: ignore[no-redef]  # before 3.2

try:
    from airflow.sdk._shared.module_loading import import_string
except ImportError:
    from airflow.utils.module_loading import import_string

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

try:
    from airflow.sdk.bases.hook import BaseHook
except ImportError:
    from airflow.hooks.base import BaseHook

try:
    from airflow.sdk import lineage
except ImportError:
    from airflow.lineage import hook as lineage

try:
    from airflow.sdk.io import get_fs
except ImportError:
    from airflow.io import get_fs

try:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as AssetsOfProviders
except ImportError:
    from airflow.providers_manager import ProvidersManager as AssetsOfProviders

__all__ = ["AssetsOfProviders", "BaseHook", "DagBag", "DagSerialization", "get_fs", "import_string", "lineage", "serde"]
