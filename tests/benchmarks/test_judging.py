from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from benchmarks import servers
from benchmarks.data import Shelf
from benchmarks.job import Job, Sample, Verb
from benchmarks.row import Row
from benchmarks.works import Work

Judge = Callable[[Verb, "Sdk"], str]

DONE = Sample(seconds=0.0, cpu_seconds=0.0, peak_bytes=0)


@dataclass(frozen=True)
class Sdk:
    """A peer that does each job with botocore, file by file."""

    name: str = "sdk"

    def can(self, _verb: Verb, _provider: str) -> bool:
        return True

    def do(self, job: Job) -> Sample:
        keys = job.place.keys()
        bucket, prefix = keys["bucket_name"], job.prefix
        s3: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=keys["endpoint_url"],
            region_name=keys["region_name"],
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            aws_session_token=keys["session_token"],
        )
        there = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])]
        if job.verb is Verb.UPLOAD_FILE:
            s3.put_object(Bucket=bucket, Key=prefix, Body=job.local.read_bytes())
        elif job.verb is Verb.UPLOAD_DIR:
            for path in (path for path in job.local.rglob("*") if path.is_file()):
                s3.put_object(
                    Bucket=bucket, Key=f"{prefix}/{path.relative_to(job.local).as_posix()}", Body=path.read_bytes()
                )
        elif job.verb is Verb.DOWNLOAD_DIR:
            for key in there:
                self._get(s3, bucket, key, job.local / key.removeprefix(f"{prefix}/"))
        elif job.verb is Verb.DOWNLOAD_FILE:
            self._get(s3, bucket, prefix, job.local)
        elif job.verb is Verb.DELETE:
            for key in there:
                s3.delete_object(Bucket=bucket, Key=key)
        return replace(DONE, listed=len(there) if job.verb is Verb.LIST else None)

    def _get(self, s3: Any, bucket: str, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


class Idle(Sdk):
    """A peer that does nothing and says that it did."""

    def do(self, _job: Job) -> Sample:
        return replace(DONE, listed=0)


class Careless(Sdk):
    """A peer that changes the last byte of one file that it has moved."""

    def _get(self, s3: Any, bucket: str, key: str, path: Path) -> None:
        super()._get(s3, bucket, key, path)
        path.write_bytes(path.read_bytes()[:-1] + b"?")


class Eager(Sdk):
    """A peer that uploads what is there already."""

    def do(self, job: Job) -> Sample:
        return super().do(replace(job, verb=Verb.UPLOAD_DIR))


@pytest.fixture(scope="module")
def arena() -> Iterator[servers.Arena]:
    with servers.seaweedfs() as arena:
        yield arena


@pytest.fixture
def error_of(arena: servers.Arena, tmp_path: Path) -> Judge:
    """Let a peer do a job on a few files; gives why it does not count, empty where it does."""
    (tmp_path / "data").mkdir()
    shelf = Shelf(tmp_path / "data", scale=1.0, source=tmp_path)

    def error_of(verb: Verb, peer: Sdk) -> str:
        name = "5KiB" if verb in {Verb.UPLOAD_FILE, Verb.DOWNLOAD_FILE} else "1KiB*3"
        data = shelf.get(name)
        work = Work(name="row", title="row", verb=verb, data=name)
        row = Row(work=work, data=data, count=len(data.files), arena=arena, folder=tmp_path)
        row.prepare(Sdk())
        return row.cell(0, peer, Sdk()).error

    return error_of


@pytest.mark.parametrize("verb", Verb)
def test_a_job_that_was_done_counts(error_of: Judge, verb: Verb) -> None:
    assert error_of(verb, Sdk("whole" + verb) if verb is not Verb.UPDATE_DIR else Idle()) == ""


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb is not Verb.UPDATE_DIR])
def test_a_job_that_was_not_done_is_an_error_whatever_the_peer_says(error_of: Judge, verb: Verb) -> None:
    assert error_of(verb, Idle("idle" + verb))


@pytest.mark.parametrize("verb", [Verb.DOWNLOAD_DIR, Verb.DOWNLOAD_FILE])
def test_a_file_with_one_wrong_byte_is_an_error(error_of: Judge, verb: Verb) -> None:
    assert "wrong" in error_of(verb, Careless())


def test_an_update_that_uploads_what_is_there_is_an_error(error_of: Judge) -> None:
    assert "uploaded" in error_of(Verb.UPDATE_DIR, Eager())


def test_the_server_of_many_keys_lists_each_of_them_once() -> None:
    with servers.many_keys(2500) as arena:
        found = arena.place.blobs("")
        assert len(found) == 2500
        assert {blob.digest.size for blob in found.values()} == {4096}
