"""The README's table of providers is what the stores declare. Run as a program, this file writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.retry import DATA
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, Capability
from airflow_provider_neuro_buckets.buckets.stores.registry import STORES, open_store
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri
from conformance.rigs.registry import RIGS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- providers: made by tests/test_readme.py -->\n", "<!-- /providers -->\n"
TESTED_ON = {"aws": "moto", "azure": "Azurite", "gcp": "fake-gcs-server", "seaweedfs": "SeaweedFS"}
COLUMNS = {
    Capability.CONTENT_MD5: "MD5 of what is stored",
    Capability.CREATED_AT: "creation time",
    Capability.SIGN: "signs links itself",
    Capability.EMPTY_SEGMENTS: "`a//b`",
    Capability.DOT_SEGMENTS: "`a/../b`",
    Capability.BACKSLASH: "`a\\b`",
}


async def no_credentials() -> BucketCredentials:
    raise AssertionError("a store that is only looked at asks for nothing")


def store_of(provider: str) -> BlobStore:
    bucket = Bucket(
        id="bucket-1",
        name="models",
        owner="alice",
        cluster_name="default",
        org_name="acme",
        project_name="ml",
        uri=bucket_uri(cluster="default", org="acme", project="ml", bucket="models"),
        provider=provider,
        created_at=datetime.now(UTC),
    )
    return open_store(bucket=bucket, credentials=CredentialSource(no_credentials), http=cast("Any", None), retry=DATA)


def table() -> str:
    rows = [
        ["provider", "tested on", *COLUMNS.values(), "parts of a blob"],
        ["---"] * (len(COLUMNS) + 3),
        *(row(provider) for provider in STORES),
    ]
    return BEGIN + "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + END


def row(provider: str) -> list[str]:
    store = store_of(provider)
    marks = {capability: "yes" if capability in store.capabilities else "no" for capability in COLUMNS}
    if marks[Capability.SIGN] == "no":
        marks[Capability.SIGN] = "with an account's key"
    return [f"`{provider}`", TESTED_ON.get(provider, ""), *marks.values(), f"up to {store.limits.most:,}"]


def test_the_table_of_providers_is_what_the_stores_declare() -> None:
    written = README.read_text()
    shown = BEGIN + written.partition(BEGIN)[2].partition(END)[0] + END
    assert shown == table(), "write it again with: PYTHONPATH=tests python tests/test_readme.py"


def test_every_server_of_the_conformance_suite_is_named() -> None:
    assert set(TESTED_ON) == set(RIGS)


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + table() + rest.partition(END)[2])
