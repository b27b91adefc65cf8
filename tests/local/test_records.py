"""What the platform remembers, on disk before anybody is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.local.records import BucketRecord, CredentialsRecord, Records


def _bucket(name: str) -> BucketRecord:
    return BucketRecord.new(
        name=name,
        owner="user",
        org_name="neuro",
        project_name="demo",
        provider="seaweedfs",
        storage_name=f"real-{name}",
    )


def _credentials(bucket: BucketRecord, *, owner: str = "user") -> CredentialsRecord:
    return CredentialsRecord(
        id=f"credentials-of-{owner}",
        name="keys",
        owner=owner,
        read_only=None,
        bucket_ids=(bucket.id,),
        user="credentials-1",
        access_key_id="access",
        secret_access_key="secret",
    )


def test_every_change_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "platform.json"
    records = Records.load(path)
    kept, dropped = _bucket("kept"), _bucket("dropped")
    for bucket in (kept, dropped):
        records.put_bucket(bucket)
    records.put_credentials(_credentials(kept))
    records.put_credentials(_credentials(kept, owner="reader"))
    records.drop_bucket(dropped)
    records.drop_credentials(_credentials(kept, owner="reader"))

    assert Records.load(path) == records
    assert records.buckets == {kept.id: kept}
    assert list(records.credentials.values()) == [_credentials(kept)]


def test_each_platform_has_secrets_of_its_own(tmp_path: Path) -> None:
    first, second = Records.load(tmp_path / "first.json"), Records.load(tmp_path / "second.json")

    assert not {*first.secrets.values()} & {*second.secrets.values()}
    assert all(len(secret) >= 20 for secret in first.secrets.values())


def test_the_file_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Records.load(tmp_path / "platform.json").put_bucket(_bucket("data"))
    finally:
        os.umask(before)

    assert [(file.name, oct(file.stat().st_mode & 0o777)) for file in tmp_path.iterdir()] == [
        ("platform.json", "0o600")
    ]


def test_a_change_that_cannot_be_written_is_not_remembered(tmp_path: Path) -> None:
    records = Records.load(tmp_path / "platform.json")
    records.put_bucket(_bucket("kept"))
    before = (dict(records.buckets), records.path.read_text())
    (tmp_path / "platform.new").mkdir()  # in the way of every writer, root included

    with pytest.raises(IsADirectoryError):
        records.put_bucket(_bucket("new"))
    with pytest.raises(IsADirectoryError):
        records.drop_bucket(next(iter(records.buckets.values())))

    assert (records.buckets, records.path.read_text()) == before


def test_nothing_secret_shows_in_what_is_printed(tmp_path: Path) -> None:
    records = Records.load(tmp_path / "platform.json")
    bucket = BucketRecord.new(
        name=None,
        owner="user",
        org_name="neuro",
        project_name="demo",
        provider="aws",
        storage_name="theirs",
        imported=True,
        credentials={"secret_access_key": "an-imported-secret"},
    )
    records.put_bucket(bucket)
    records.put_credentials(_credentials(bucket))
    shown = repr(records) + json.dumps(bucket.to_json())

    assert not [secret for secret in ("'secret'", "an-imported-secret", *records.secrets.values()) if secret in shown]
