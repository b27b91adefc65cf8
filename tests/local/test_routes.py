"""The routes of the platform: what each answers, and every way it refuses, as the wire protocol describes them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_neuro_buckets.local.child import local_platform
from local import golden
from local.exchanges import STEPS, Step
from local.rest import Answer


@pytest.fixture(scope="module")
def exchanges() -> dict[str, tuple[Answer, dict[str, Any]]]:
    with local_platform() as platform:
        return golden.record(platform)


@pytest.fixture(scope="module")
def pinned() -> dict[str, Any]:
    return golden.pinned()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_platform_answers_as_the_wire_protocol_says(
    step: Step, exchanges: dict[str, tuple[Answer, dict[str, Any]]], pinned: dict[str, Any]
) -> None:
    answer, exchange = exchanges[step.name]

    assert answer.status == step.status, answer.body
    assert step.says in golden.text_of(answer)
    assert exchange == pinned[step.name]


def test_every_pinned_exchange_is_asked(pinned: dict[str, Any]) -> None:
    assert sorted(pinned) == sorted(step.name for step in STEPS)
