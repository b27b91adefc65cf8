from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource, expires_at, needed
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, InvalidAnswer, Unavailable
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def credentials(**keys: str) -> BucketCredentials:
    return BucketCredentials(bucket_id="bucket-1", provider="aws", credentials={"bucket_name": "real", **keys})


class Platform:
    """Gives credentials that live for `life`, by a clock that stands still until it is set."""

    def __init__(self, life: timedelta | None = timedelta(hours=1)) -> None:
        self.now = NOON
        self.life = life
        self.given = 0
        self.refusal: Exception | None = None
        self.source = CredentialSource(self.give, now=lambda: self.now)

    async def give(self) -> BucketCredentials:
        self.given += 1
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        keys = {} if self.life is None else {"expiration": (self.now + self.life).isoformat()}
        return credentials(access_key_id=f"key-{self.given}", **keys)

    async def current(self) -> str:
        return (await self.source.current()).credentials["access_key_id"]


@pytest.mark.parametrize("name", ["expiration", "expiry", "expire_time"])
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T12:00:00+00:00", NOON),
        ("2026-11-24T12:00:00Z", NOON),
        ("2026-11-24T12:00:00", NOON),
        ("2026-11-24T13:00:00+01:00", NOON),
        ("2026-11-24T12:00:00.250000+00:00", NOON + timedelta(milliseconds=250)),
    ],
)
def test_the_end_of_credentials_is_read_whatever_the_provider_calls_it(name: str, text: str, moment: datetime) -> None:
    assert expires_at(credentials(**{name: text})) == moment


@pytest.mark.parametrize("keys", [{}, {"expiration": ""}, {"session_token": "t"}])
def test_credentials_that_name_no_end_last(keys: dict[str, str]) -> None:
    assert expires_at(credentials(**keys)) is None


@pytest.mark.parametrize("text", ["soon", "1795530590", "2026-13-01T00:00:00Z"])
def test_an_end_that_cannot_be_read_is_an_invalid_answer_that_names_the_bucket(text: str) -> None:
    with pytest.raises(InvalidAnswer, match="bucket-1"):
        expires_at(credentials(expiration=text))


def test_a_key_that_is_needed_is_given_or_named() -> None:
    assert needed({"a": "b"}, "a") == "b"
    for keys in ({}, {"a": ""}):
        with pytest.raises(InvalidAnswer, match="have no a"):
            needed(keys, "a")


async def test_credentials_are_asked_for_once_however_many_need_them() -> None:
    platform = Platform()
    assert set(await asyncio.gather(*(platform.current() for _ in range(50)))) == {"key-1"}
    assert platform.given == 1


async def test_credentials_are_renewed_five_minutes_before_they_end_once_for_all() -> None:
    platform = Platform()
    await platform.current()
    platform.now = NOON + timedelta(minutes=54, seconds=59)
    assert await platform.current() == "key-1"
    platform.now = NOON + timedelta(minutes=55)
    assert set(await asyncio.gather(*(platform.current() for _ in range(50)))) == {"key-2"}
    assert platform.given == 2


async def test_short_lived_credentials_are_renewed_in_the_last_quarter_of_their_life() -> None:
    platform = Platform(timedelta(minutes=4))
    await platform.current()
    platform.now = NOON + timedelta(minutes=2, seconds=59)
    assert await platform.current() == "key-1"
    platform.now = NOON + timedelta(minutes=3)
    assert await platform.current() == "key-2"


async def test_credentials_without_an_end_are_kept_for_ever() -> None:
    platform = Platform(None)
    await platform.current()
    platform.now = NOON + timedelta(days=10_000)
    assert await platform.current() == "key-1"


async def test_while_the_platform_is_away_credentials_that_are_still_good_are_used_f61() -> None:
    platform = Platform()
    await platform.current()
    platform.refusal = Unavailable("down")
    platform.now = NOON + timedelta(minutes=56)
    assert await platform.current() == "key-1"


async def test_a_platform_that_is_away_is_not_asked_by_every_request_f61() -> None:
    platform = Platform()
    await platform.current()
    platform.refusal = Unavailable("down")
    platform.now = NOON + timedelta(minutes=56)
    for _ in range(50):
        await platform.current()
    assert platform.given == 2
    platform.now += timedelta(seconds=31)
    platform.refusal = None
    assert await platform.current() == "key-3"


async def test_once_credentials_have_ended_a_platform_that_is_away_is_an_error_f61() -> None:
    platform = Platform()
    await platform.current()
    platform.refusal = Unavailable("down")
    platform.now = NOON + timedelta(minutes=60)
    with pytest.raises(Unavailable):
        await platform.current()


async def test_a_platform_that_refuses_is_an_error_at_once() -> None:
    platform = Platform()
    platform.refusal = AuthenticationError("no")
    with pytest.raises(AuthenticationError):
        await platform.current()


async def test_an_error_is_not_kept() -> None:
    platform = Platform()
    platform.refusal = Unavailable("down")
    with pytest.raises(Unavailable):
        await platform.current()
    platform.refusal = None
    assert await platform.current() == "key-2"


async def test_rejected_credentials_are_replaced_once_for_all_who_were_rejected_f59() -> None:
    platform = Platform()
    rejected = await platform.source.current()
    renewed = await asyncio.gather(*(platform.source.renew(rejected) for _ in range(50)))
    assert {keys.credentials["access_key_id"] for keys in renewed} == {"key-2"}
    assert platform.given == 2
    assert await platform.current() == "key-2"


@pytest.mark.parametrize("seconds", [-7200.0, -30.0, 0.0, 0.1])
async def test_credentials_that_seem_to_end_when_they_arrive_are_used_until_they_are_rejected(seconds: float) -> None:
    platform = Platform(timedelta(seconds=seconds))
    for _ in range(50):
        assert await platform.current() == "key-1"
    assert platform.given == 1


async def test_a_request_that_is_cancelled_while_it_waits_leaves_the_others_their_credentials() -> None:
    platform = Platform()
    tasks = [asyncio.create_task(platform.current()) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len(set(results[1:])) == 1
    assert platform.given <= 2
