from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from airflow_provider_neuro_buckets.buckets.stream import Stream, streaming


class Numbers:
    """Counts up to `stop`, and takes note of what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @streaming
    async def up_to(self, stop: int, *, fail_at: int | None = None) -> AsyncGenerator[int, None]:
        """Count."""
        self.events.append("begun")
        try:
            for number in range(stop):
                if number == fail_at:
                    raise ZeroDivisionError
                yield number
        finally:
            self.events.append("closed")


async def test_a_stream_is_an_async_iterator() -> None:
    numbers = Numbers()
    assert [number async for number in numbers.up_to(3)] == [0, 1, 2]
    assert numbers.events == ["begun", "closed"]


async def test_a_stream_is_an_async_context_manager_over_an_async_iterator() -> None:
    async with Numbers().up_to(3) as numbers:
        assert [number async for number in numbers] == [0, 1, 2]


async def test_nothing_is_asked_for_before_the_first_value_is() -> None:
    numbers = Numbers()
    stream = numbers.up_to(3)
    assert numbers.events == []
    await stream.aclose()
    assert numbers.events == []


async def test_leaving_the_block_early_closes_the_stream() -> None:
    numbers = Numbers()
    async with numbers.up_to(3) as found:
        assert await anext(found) == 0
    assert numbers.events == ["begun", "closed"]


async def test_an_error_in_the_block_closes_the_stream_and_passes() -> None:
    numbers = Numbers()

    async def fail() -> None:
        async with numbers.up_to(3) as found:
            await anext(found)
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await fail()
    assert numbers.events == ["begun", "closed"]


async def test_an_error_of_the_source_reaches_whoever_reads() -> None:
    stream = Numbers().up_to(3, fail_at=1)
    assert await anext(stream) == 0
    with pytest.raises(ZeroDivisionError):
        await anext(stream)


async def test_a_closed_stream_yields_nothing_more() -> None:
    stream = Numbers().up_to(3)
    await anext(stream)
    await stream.aclose()
    assert [number async for number in stream] == []


def test_a_streaming_method_keeps_its_name_and_its_words() -> None:
    assert Numbers.up_to.__name__ == "up_to"
    assert Numbers.up_to.__doc__ == "Count."
    assert isinstance(Numbers().up_to(1), Stream)
