"""Part G of the catalogue, as far as no other room shows it: what Airflow hands in is taken for what it is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from airflow.models.connection import Connection
from airflow.secrets import BaseSecretsBackend

from airflow_provider_neuro_buckets.buckets import ResourceNotFound
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.operators.transfers import BucketDownloadFileOperator
from platform_rig import Platform

WHERE_ASKED: list[int] = []


class Vault(BaseSecretsBackend):
    """A secrets backend that remembers which threads it was asked in."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Connection | None:  # noqa: ARG002 - 3.3 gives it
        WHERE_ASKED.append(threading.get_ident())
        return Connection.from_json(CONNECTION[0], conn_id=conn_id) if conn_id == "in_the_vault" else None


CONNECTION: list[str] = []


async def test_a_connection_is_read_in_another_thread_than_that_of_the_triggerers_loop_f103(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.Vault")
    monkeypatch.setenv("AIRFLOW__WORKERS__SECRETS_BACKEND", f"{__name__}.Vault")
    monkeypatch.setattr(f"{__name__}.CONNECTION", [platform.running.connection])
    async with NeuroBucketsHook("in_the_vault").connect() as buckets:
        assert buckets.config.token == platform.running.token
    assert WHERE_ASKED
    assert threading.get_ident() not in WHERE_ASKED


@pytest.mark.parametrize("key", ["../up", "a/*", "%2e%2e/x", "{{ params.key }}"])
def test_what_a_template_made_of_a_key_means_that_key_and_no_other_f106(
    platform: Platform, bucket: str, tmp_path: Path, key: str
) -> None:
    platform.put(bucket, **{"a/b": b"other", "up": b"other"})
    download = BucketDownloadFileOperator(task_id="t", src="blob:{{ bucket }}/{{ key }}", dst=str(tmp_path / "f"))
    context: Any = {"bucket": bucket, "key": key}
    download.render_template_fields(context)
    with pytest.raises(ResourceNotFound):
        download.execute({})
    assert list(tmp_path.iterdir()) == []
