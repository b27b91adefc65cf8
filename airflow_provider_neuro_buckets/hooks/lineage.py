"""Hook lineage: each transfer of the hook tells Airflow what it read and what it wrote; a folder is one asset.

Without a reader, such as OpenLineage's, Airflow's collector takes no note, and nothing is spent.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

from airflow_provider_neuro_buckets.buckets.uri import SCHEME, blob_address, file_url, is_blob_uri, local_path

T = TypeVar("T")

READ, WRITTEN = "add_input_asset", "add_output_asset"

REPORTED: Mapping[str, Mapping[str, str]] = {
    **{
        f"{verb}_{kind}": {"src": READ, "dst": WRITTEN}
        for verb, kinds in (("upload", ("file", "dir")), ("download", ("file", "dir")), ("copy", ("blob", "dir")))
        for kind in kinds
    },
    "put_blob": {"key": WRITTEN},
    "fetch_blob": {"key": READ},
}
"""Of each method the arguments that are reported, and as what."""


def reporting_lineage(hook: type[T]) -> type[T]:
    """Make the transfers of a hook report their lineage once they have ended well; a stream, once it is asked for.

    What cannot be an asset is not told, and fails nothing.
    """
    for name, ends in REPORTED.items():
        setattr(hook, name, _reporting(getattr(hook, name), ends))
    return hook


def _reporting(method: Callable[..., Any], ends: Mapping[str, str]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        answer = method(self, *arguments, **keywords)
        given = signature.bind(self, *arguments, **keywords).arguments
        if given.get("dry_run"):
            return answer  # nothing was moved
        collector = get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # Airflow's is not typed
        for argument, report in ends.items():
            with suppress(ValueError):  # it is too long to be one
                getattr(collector, report)(context=self, **_asset(argument, given))
        return answer

    return call


def _asset(argument: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the collector makes the asset: of an address, of a key and its bucket, or of a local path."""
    end = given[argument]
    if argument == "key":
        return {"scheme": SCHEME, "asset_kwargs": {"uri": blob_address(str(given["bucket_id_or_name"]), end)}}
    if is_blob_uri(str(end)):
        return {"scheme": SCHEME, "asset_kwargs": {"uri": str(end)}}
    return {"uri": str(file_url(local_path(end)))}
