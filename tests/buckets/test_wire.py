"""What goes to the platform, and how."""

from __future__ import annotations

import logging
import socket

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig, ResourceNotFound
from faults.crafted import Answer, crafted, dropping, in_turn, reply

TOKEN = "the-token-of-this-test"
GONE = reply(404, b'{"error": "PersistentBucketsCredentials with name mine not found"}')


@pytest.fixture
def everywhere_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every host name lead to this machine."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **kwargs: real("127.0.0.1", *args, **kwargs))


async def listed_twice(host: str, *, token: str | None = TOKEN) -> None:
    async with crafted(in_turn(reply(200, b"[]"))) as server:
        config = BucketsConfig(
            buckets_url=server.url.replace("127.0.0.1", host),
            token=token,
            cluster_name="main",
            org_name="acme",
            project_name="ml",
            name="connection 'mine'",
        )
        async with Buckets.open(config) as buckets:
            for _ in range(2):
                assert [bucket async for bucket in buckets.list()] == []


@pytest.mark.usefixtures("everywhere_here")
async def test_a_token_that_is_sent_in_clear_text_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await listed_twice("platform.test")
    (line,) = caplog.messages
    assert "connection 'mine'" in line
    assert "http://platform.test" in line
    assert TOKEN not in line


@pytest.mark.usefixtures("everywhere_here")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_platform_on_this_machine_is_not_warned_of(host: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await listed_twice(host)
    assert caplog.messages == []


@pytest.mark.usefixtures("everywhere_here")
async def test_where_no_token_is_sent_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await listed_twice("platform.test", token=None)
    assert caplog.messages == []


async def removed(first: Answer) -> None:
    """Remove credentials that are not found after a first answer."""
    async with crafted(in_turn(first, GONE)) as server:
        config = BucketsConfig(buckets_url=server.url, token=TOKEN, cluster_name="main")
        async with Buckets.open(config) as buckets:
            await buckets.persistent_credentials_rm("mine")


@pytest.mark.parametrize("first", [dropping(), reply(500)])
async def test_what_is_not_found_after_an_answer_that_was_lost_has_been_removed(first: Answer) -> None:
    await removed(first)


@pytest.mark.parametrize("first", [GONE, reply(429)])
async def test_what_is_not_found_before_anything_was_carried_out_was_never_there(first: Answer) -> None:
    with pytest.raises(ResourceNotFound):
        await removed(first)
