from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Context
from airflow.sdk import DAG

from airflow_here import DagSerialization
from airflow_provider_neuro_buckets.buckets import AlreadyExists, PersistentBucketCredentials, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, ConfigurationError, PermissionDenied
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.operators.credentials import (
    PersistentCredentialsCreateOperator,
    PersistentCredentialsRmOperator,
)
from platform_rig import Platform

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "neuro_buckets_credentials.py"


def known(platform: Platform) -> dict[str, PersistentBucketCredentials]:
    """Return the credentials that the platform has, by id."""

    async def ask(buckets: Any) -> dict[str, PersistentBucketCredentials]:
        return {item.id: item async for item in buckets.persistent_credentials_list()}

    return platform.ask(ask)


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    """A name for credentials; whatever the test has made is gone afterwards."""
    before = set(known(platform))
    yield f"test-{uuid.uuid4().hex[:12]}"
    for made in set(known(platform)) - before:
        platform.ask(partial(_remove, made))


async def _remove(made: str, buckets: Any) -> None:
    await buckets.persistent_credentials_rm(made)


def create(**arguments: Any) -> dict[str, Any]:
    """Run the operator, as a task does."""
    returned: dict[str, Any] = PersistentCredentialsCreateOperator(task_id="mint", **arguments).execute({})
    return returned


def remove(**arguments: Any) -> None:
    PersistentCredentialsRmOperator(task_id="remove", **arguments).execute({})


Use = Callable[[str], NeuroBucketsHook]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Give a hook to somebody who has got a connection and nothing else."""

    def use(connection: str) -> NeuroBucketsHook:
        assert "host" not in json.loads(connection)
        assert "password" not in json.loads(connection)
        monkeypatch.delenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT")
        monkeypatch.setenv("AIRFLOW_CONN_MINTED", connection)
        return NeuroBucketsHook("minted")

    return use


def test_the_connection_it_mints_works_without_a_token_and_may_only_read(
    platform: Platform, bucket: str, name: str, use: Use
) -> None:
    platform.put(bucket, blob=b"content")
    saved: list[str] = []
    create(bucket_ids=[bucket], name=name, read_only=True, save_connection=saved.append)
    [connection] = saved
    with use(connection) as hook:
        assert b"".join(hook.fetch_blob(bucket, "blob")) == b"content"
        assert [entry.key for entry in hook.list_blobs(f"blob:{bucket}")] == ["blob"]
        for key in ("blob", "new"):
            with pytest.raises(PermissionDenied):
                hook.put_blob(bucket, key, b"other")
        with pytest.raises(PermissionDenied):
            hook.delete_blob(bucket, "blob")
        with pytest.raises(ConfigurationError):
            hook.create("no-platform")
    assert platform.keys(bucket) == ["blob"]
    assert b"".join(platform.ask(lambda buckets: _content(buckets, bucket))) == b"content"


async def _content(buckets: Any, bucket: str) -> list[bytes]:
    return [chunk async for chunk in buckets.fetch_blob(bucket, "blob")]


def test_without_read_only_the_connection_may_write_and_to_its_buckets_only(
    platform: Platform, bucket: str, name: str, use: Use
) -> None:
    saved: list[str] = []
    with platform.fresh_bucket() as second, platform.fresh_bucket() as other:
        returned = create(bucket_ids=[bucket, second], name=name, save_connection=saved.append)
        assert returned["read_only"] is False
        with use(saved[0]) as hook:
            for allowed in (bucket, second):
                hook.put_blob(allowed, "blob", b"content")
            with pytest.raises((ResourceNotFound, ConfigurationError)):
                hook.put_blob(other, "blob", b"content")
        assert (platform.keys(bucket), platform.keys(second), platform.keys(other)) == (["blob"], ["blob"], [])


def test_one_bucket_may_stand_by_itself(bucket: str, name: str, platform: Platform) -> None:
    returned = create(bucket_ids=bucket, name=name)
    assert returned["buckets"] == [str(platform.ask(lambda buckets: buckets.get(bucket)).uri)]


def test_what_goes_to_xcom_and_to_the_log_has_no_secret(
    platform: Platform, bucket: str, name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    saved: list[str] = []
    returned = create(bucket_ids=[bucket], name=name, read_only=True, save_connection=saved.append)
    [made] = [item for item in known(platform).values() if item.name == name]
    bucket_uri = str(platform.ask(lambda buckets: buckets.get(bucket)).uri)
    assert returned == {"id": made.id, "name": name, "read_only": True, "buckets": [bucket_uri]}
    keys = made.credentials[0].credentials
    told = json.dumps(returned) + caplog.text + "".join(capfd.readouterr())
    for secret in (keys["secret_access_key"], keys["access_key_id"]):
        assert secret in saved[0]
        assert secret not in told


def test_run_again_it_takes_the_credentials_that_are_there(platform: Platform, bucket: str, name: str) -> None:
    saved: list[str] = []
    first = create(bucket_ids=[bucket], name=name, read_only=True, save_connection=saved.append)
    second = create(bucket_ids=[f"blob:{bucket}"], name=name, read_only=True, save_connection=saved.append)
    assert first == second
    assert saved[0] == saved[1]
    assert [item.id for item in known(platform).values() if item.name == name] == [first["id"]]


def test_credentials_of_the_same_name_with_other_rights_or_buckets_are_not_taken(
    platform: Platform, bucket: str, name: str
) -> None:
    saved: list[str] = []
    create(bucket_ids=[bucket], name=name)
    before = known(platform)
    with platform.fresh_bucket() as other:
        for buckets, read_only in (([bucket], True), ([other], False), ([bucket, other], False)):
            with pytest.raises(AlreadyExists, match="with other rights"):
                create(bucket_ids=buckets, name=name, read_only=read_only, save_connection=saved.append)
    with pytest.raises(AlreadyExists):
        create(bucket_ids=[bucket], name=name, if_exists="fail", save_connection=saved.append)
    assert saved == []
    assert set(known(platform)) == set(before)


class NoRoom(Exception):
    """The secrets backend of a test is full."""


@pytest.mark.parametrize("end", [NoRoom, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("named", [True, False])
def test_credentials_that_nobody_got_are_deleted_again(
    platform: Platform, bucket: str, name: str, end: type[BaseException], *, named: bool
) -> None:
    before = set(known(platform))
    made: list[str] = []

    def save(_: str) -> None:
        made.extend(set(known(platform)) - before)
        raise end

    with pytest.raises(end):
        create(bucket_ids=[bucket], name=name if named else None, save_connection=save)
    assert len(made) == 1
    assert set(known(platform)) == before


def test_credentials_that_nobody_got_and_nobody_can_delete_do_not_hide_why(
    platform: Platform, bucket: str, name: str, said: Callable[[], str]
) -> None:
    def save(_: str) -> None:
        platform.ask(lambda buckets: buckets.persistent_credentials_rm(name))
        raise NoRoom

    with pytest.raises(NoRoom):
        create(bucket_ids=[bucket], name=name, save_connection=save)
    assert "are of no use, and could not be deleted" in said()


def test_credentials_that_were_there_before_stay_when_they_cannot_be_handed_over(
    platform: Platform, bucket: str, name: str
) -> None:
    made = create(bucket_ids=[bucket], name=name)

    def save(_: str) -> None:
        raise NoRoom

    with pytest.raises(NoRoom):
        create(bucket_ids=[bucket], name=name, save_connection=save)
    assert made["id"] in known(platform)


def test_a_killed_task_leaves_no_credentials(platform: Platform, bucket: str, name: str) -> None:
    before = set(known(platform))

    def save(_: str) -> None:
        operator.on_kill()
        raise NoRoom

    operator = PersistentCredentialsCreateOperator(task_id="mint", bucket_ids=[bucket], name=name, save_connection=save)
    with pytest.raises(NoRoom):
        operator.execute({})
    assert set(known(platform)) == before


def test_a_bucket_that_is_not_there_makes_no_credentials(platform: Platform, bucket: str, name: str) -> None:
    before = set(known(platform))
    with pytest.raises(ResourceNotFound):
        create(bucket_ids=[bucket, "nobody-has-it"], name=name)
    assert set(known(platform)) == before


def test_a_wrong_token_fails_the_task_for_good(
    platform: Platform, bucket: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = platform.running.connection.replace(platform.running.token, "wrong-token")
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", wrong)
    with pytest.raises(AirflowFailException) as told:
        create(bucket_ids=[bucket], name=name)
    assert "wrong-token" not in str(told.value)
    with pytest.raises(AirflowFailException):
        remove(credential_id_or_name=name)


@pytest.mark.parametrize("by", ["id", "name"])
def test_removed_credentials_lock_out_whoever_uses_them(
    platform: Platform, bucket: str, name: str, use: Use, by: str
) -> None:
    platform.put(bucket, blob=b"content")
    saved: list[str] = []
    made = create(bucket_ids=[bucket], name=name, save_connection=saved.append)
    remove(credential_id_or_name=made[by])
    assert made["id"] not in known(platform)
    with use(saved[0]) as hook, pytest.raises((AuthenticationError, PermissionDenied)):
        hook.put_blob(bucket, "blob", b"other")


@pytest.mark.usefixtures("platform")
def test_removing_what_is_not_there_is_fine_unless_told_otherwise() -> None:
    remove(credential_id_or_name="nobody-has-them")
    with pytest.raises(ResourceNotFound):
        remove(credential_id_or_name="nobody-has-them", if_missing="fail")


def save_nowhere(_: str) -> None:
    """Stand for the function of a DAG author."""


def test_the_scheduler_can_keep_it_also_mapped() -> None:
    with DAG("minting", schedule=None) as dag:
        PersistentCredentialsCreateOperator(task_id="one", bucket_ids=["a"], save_connection=save_nowhere)
        PersistentCredentialsCreateOperator.partial(
            task_id="many", bucket_ids=["a"], save_connection=save_nowhere, read_only=True
        ).expand(name=["first", "second"])
        PersistentCredentialsRmOperator(task_id="remove", credential_id_or_name="first")
    back = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert set(back.task_dict) == {"one", "many", "remove"}


def test_names_and_addresses_are_templates() -> None:
    context = cast("Context", {"x": "value"})
    operator = PersistentCredentialsCreateOperator(
        task_id="mint", bucket_ids=["{{ x }}-1", "blob:{{ x }}"], name="{{ x }}", cluster_name="{{ x }}"
    )
    operator.render_template_fields(context)
    assert (operator.bucket_ids, operator.name) == (["value-1", "blob:value"], "value")
    assert operator.cluster_name == "value"
    remover = PersistentCredentialsRmOperator(task_id="remove", credential_id_or_name="{{ x }}")
    remover.render_template_fields(context)
    assert remover.credential_id_or_name == "value"


def test_a_misspelt_choice_is_told_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="if_exists"):
        PersistentCredentialsCreateOperator(task_id="mint", bucket_ids=["a"], if_exists="reuse")  # type: ignore[arg-type]  # so it is
    with pytest.raises(ValueError, match="if_missing"):
        PersistentCredentialsRmOperator(task_id="remove", credential_id_or_name="a", if_missing="no")  # type: ignore[arg-type]  # as well


RUN = """
import runpy, sys
from airflow.utils import db
db.initdb()
from airflow_here import run_here
run_here(runpy.run_path(sys.argv[1])["dag"])
"""


def test_the_example_shares_a_bucket_and_takes_it_back(platform: Platform, tmp_path: Path) -> None:
    alone = tmp_path / "dags" / EXAMPLE.name  # other examples have the word in their own parameters
    alone.parent.mkdir()
    shutil.copy(EXAMPLE, alone)
    environment = {name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(alone.parent),
        "PYTHONPATH": str(Path(__file__).parents[1]),  # of `airflow_here`
    }
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(alone)], env=environment, capture_output=True, text=True, check=False
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said[-4000:]
    assert ", state=success, " in said
    assert "{'read': 'hello', 'may_write': False}" in said
    for kept in (said.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())):
        assert b"secret_access_key" not in kept
        assert platform.running.token.encode() not in kept
    assert list(tmp_path.glob("neuro-buckets-*")) == []
    assert "shared-with-others" not in platform.buckets()
    assert "reader-of-shared" not in [item.name for item in known(platform).values()]


def test_a_dry_run_deletes_no_credentials_and_says_whether_there_are_some(
    platform: Platform, bucket: str, name: str
) -> None:
    made = create(bucket_ids=[bucket], name=name)
    rm = PersistentCredentialsRmOperator(task_id="remove", credential_id_or_name=name, dry_run=True)
    assert rm.execute({}) == {"deleted": True, "dry_run": True}
    assert made["id"] in known(platform)
    real = PersistentCredentialsRmOperator(task_id="remove", credential_id_or_name=name)
    assert real.execute({}) == {"deleted": True}
    assert rm.execute({}) == {"deleted": False, "dry_run": True}
    assert real.execute({}) == {"deleted": False}
