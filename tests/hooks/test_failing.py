"""What fails a task at once, whoever's task it is, and what leaves the task its retries."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_neuro_buckets.buckets import errors
from airflow_provider_neuro_buckets.hooks import failing
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.operators.base import HOPELESS
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")

HERE = [kind for _, kind in inspect.getmembers(failing, inspect.isclass) if kind.__module__ == failing.__name__]


def in_a_block(hook: NeuroBucketsHook, bucket: str) -> None:
    with hook:
        hook.get(bucket)


CALLS: dict[str, Callable[[NeuroBucketsHook, str], Any]] = {
    "a call": lambda hook, bucket: hook.put_blob(bucket, "key", b"1"),
    "a stream": lambda hook, bucket: list(hook.list_blobs(f"blob:{bucket}/")),
    "a block": in_a_block,
}


def connect(monkeypatch: pytest.MonkeyPatch, platform: Platform, **changed: str) -> NeuroBucketsHook:
    connection = json.loads(platform.running.connection) | changed
    monkeypatch.setenv("AIRFLOW_CONN_CHANGED", json.dumps(connection))
    return NeuroBucketsHook("changed")


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_token_fails_a_task_of_ones_own_at_once(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    hook = connect(monkeypatch, platform, password="wrong-token-of-nobody")
    with pytest.raises(errors.AuthenticationError, match="connection 'changed'") as caught:
        CALLS[call](hook, bucket)
    for kind in (AirflowFailException, PermissionError, errors.BucketsError):
        assert isinstance(caught.value, kind)
    assert caught.value.remedy
    assert "wrong-token-of-nobody" not in str(caught.value)


def test_a_missing_permission_and_an_address_that_means_nothing_fail_it_at_once_as_well(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hook = connect(monkeypatch, platform, password=platform.running.readonly_token)
    with pytest.raises(AirflowFailException) as caught:
        hook.put_blob(bucket, "key", b"1")
    assert isinstance(caught.value, errors.PermissionDenied)
    with pytest.raises(AirflowFailException) as refused:
        hook.download_dir("s3://elsewhere/", tmp_path)
    assert isinstance(refused.value, errors.InvalidAddress | ValueError)


def test_a_connection_that_is_not_there_fails_it_at_once() -> None:
    with pytest.raises(AirflowFailException, match="no Airflow connection 'nowhere'") as caught:
        NeuroBucketsHook("nowhere").get("bucket")
    assert isinstance(caught.value, errors.ConfigurationError)


def test_what_may_pass_leaves_the_task_its_retries(platform: Platform, bucket: str) -> None:
    assert platform.running.token
    with pytest.raises(errors.ResourceNotFound) as caught:
        NeuroBucketsHook().head_blob(bucket, "missing")
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("kind", HERE)
def test_such_an_error_is_the_one_of_its_name_also_when_it_is_pickled(kind: type[errors.BucketsError]) -> None:
    error = pickle.loads(pickle.dumps(kind("it broke", remedy="Mend it")))
    assert type(error) is kind
    assert isinstance(error, getattr(errors, kind.__name__))
    assert isinstance(error, AirflowFailException)
    assert isinstance(error, HOPELESS)
    assert (str(error), error.remedy) == ("it broke. Mend it.", "Mend it")


def test_what_operators_take_for_hopeless_and_what_the_hook_does_are_the_same() -> None:
    hopeless = {kind.__name__ for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, HOPELESS)}
    assert {kind.__name__ for kind in HERE} == hopeless
