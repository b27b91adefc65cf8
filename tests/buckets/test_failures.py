from __future__ import annotations

import asyncio

import pytest

from airflow_provider_neuro_buckets.buckets.failures import first_failure, first_of


def test_of_a_group_the_first_failure_counts_and_before_it_one_that_must_not_be_caught() -> None:
    inner = ExceptionGroup("inner", [KeyError("first"), ValueError("second")])
    assert str(first_of(ExceptionGroup("outer", [inner, OSError()]))) == "'first'"
    stop = KeyboardInterrupt()
    assert first_of(BaseExceptionGroup("outer", [inner, stop])) is stop


async def test_around_a_task_group_the_first_failure_arrives_as_it_was() -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def both() -> None:
        async with first_failure(), asyncio.TaskGroup() as group:
            group.create_task(fail(KeyError("first")))
            group.create_task(fail(OSError("second")))

    with pytest.raises(KeyError, match="first"):
        await both()
