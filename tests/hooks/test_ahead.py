"""Streams of the blocking face are read ahead: how far, how promptly, and what ends them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_neuro_buckets.hooks.ahead import MOST_BYTES, MOST_VALUES
from airflow_provider_neuro_buckets.hooks.blocking import BlockingFace, Cancelled, blocking_face
from signalling import signal_from_here

pytestmark = pytest.mark.usefixtures("nothing_left")

CHUNK = 300 * 1024


class Source:
    """An asynchronous client with streams of several kinds, which tells what happens to them."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.made = 0
        self.may_go_on = threading.Semaphore(0)
        self.waits = threading.Event()

    async def settle(self) -> int:
        """Return what was made once all that is ready to run has run."""
        await asyncio.sleep(0)
        return self.made

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        self.diary.append("stream opened")
        try:
            yield
        finally:
            await asyncio.sleep(0)
            self.diary.append("stream closed")

    async def flood(self, size: int = 0) -> AsyncGenerator[Any]:
        """Yield without end and without a pause: numbers, or chunks of bytes."""
        async with self._open():
            while True:
                self.made += 1
                yield bytes(size) if size else self.made

    async def step(self, stop: int) -> AsyncGenerator[int]:
        """Yield a number each time that somebody lets it."""
        async with self._open():
            for number in range(stop):
                yield number
                assert await asyncio.to_thread(self.may_go_on.acquire, timeout=30)

    async def break_off(self, after: int, error: BaseException) -> AsyncGenerator[int]:
        """Yield numbers, and raise an error."""
        async with self._open():
            for number in range(after):
                yield number
            raise error

    async def hang(self, after: int) -> AsyncGenerator[int]:
        """Yield numbers, and then nothing more."""
        async with self._open():
            for number in range(after):
                yield number
            self.waits.set()
            await asyncio.Event().wait()


@blocking_face(Source)
class Face(BlockingFace):
    def __init__(self) -> None:
        super().__init__()
        self.source = Source()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[Source]:
        try:
            yield self.source
        finally:
            self.source.diary.append("closed")

    def open_client(self) -> AbstractAsyncContextManager[Source]:
        return self._opening()


@pytest.fixture
def face() -> Face:
    return Face()


CLOSED = ["stream opened", "stream closed", "closed"]


def test_nothing_is_read_before_the_first_value_is_asked_for(face: Face) -> None:
    with face:
        numbers = face.flood()
        assert face.settle() == 0
        assert next(numbers) == 1
        assert face.settle() > 1


def test_all_values_arrive_in_their_order(face: Face) -> None:
    assert list(islice(face.flood(), 10 * MOST_VALUES)) == list(range(1, 10 * MOST_VALUES + 1))


def test_values_are_made_while_the_caller_works_but_only_so_many(face: Face) -> None:
    with face, closing(face.flood()) as numbers:
        for taken in (1, MOST_VALUES, 5 * MOST_VALUES):
            list(islice(numbers, taken))
            before = face.settle()
            assert [face.settle() for _ in range(10)] == [before] * 10
        last = next(numbers)
        assert last + MOST_VALUES <= face.settle() <= last + 2 * MOST_VALUES


def test_chunks_of_bytes_are_bounded_by_their_size(face: Face) -> None:
    with face, closing(face.flood(CHUNK)) as chunks:
        for taken in range(1, 20):
            next(chunks)
            ahead = (face.settle() - taken) * CHUNK
            assert CHUNK <= ahead <= 2 * (MOST_BYTES + CHUNK)


def test_a_chunk_that_is_larger_than_all_that_may_be_ahead_arrives(face: Face) -> None:
    assert [len(chunk) for chunk in islice(face.flood(2 * MOST_BYTES), 3)] == [2 * MOST_BYTES] * 3


def test_a_value_arrives_as_soon_as_it_exists_however_long_the_next_one_takes(face: Face) -> None:
    """The next one is only made once this one has arrived."""
    arrived = []
    for number in face.step(3):
        arrived.append(number)
        face.source.may_go_on.release()
    assert arrived == [0, 1, 2]


@pytest.mark.parametrize("after", [0, 1, MOST_VALUES, MOST_VALUES + 1])
def test_an_error_is_raised_as_it_was_after_the_values_before_it(face: Face, after: int) -> None:
    error = OSError("gone")
    numbers = face.break_off(after, error)
    assert list(islice(numbers, after)) == list(range(after))
    with pytest.raises(OSError, match="gone") as raised:
        next(numbers)
    assert raised.value is error
    assert face.source.diary == CLOSED


def test_an_error_that_nobody_has_come_to_is_not_raised(face: Face) -> None:
    with closing(face.break_off(2, OSError("gone"))) as numbers:
        assert next(numbers) == 0
    assert face.source.diary == CLOSED


def test_closing_early_ends_a_stream_that_waits_for_its_next_value(face: Face) -> None:
    with closing(face.hang(2)) as numbers:
        assert next(numbers) == 0
        assert face.source.waits.wait(30)
    assert face.source.diary == CLOSED


def test_closing_early_ends_a_stream_that_waits_for_room(face: Face) -> None:
    with closing(face.flood()) as numbers:
        next(numbers)
    assert face.source.diary == CLOSED


def test_a_with_block_ends_what_is_still_read_in_it_before_it_closes_its_client(face: Face) -> None:
    with face:
        waiting, flooding = face.hang(1), face.flood()
        assert (next(waiting), next(flooding)) == (0, 1)
    assert face.source.diary == ["stream opened"] * 2 + ["stream closed"] * 2 + ["closed"]
    for numbers in (waiting, flooding):
        with pytest.raises(RuntimeError, match="inside its `with` block"):
            next(numbers)


def test_nothing_that_was_read_ahead_is_handed_out_after_cancelling(face: Face) -> None:
    with face:
        numbers = face.flood()
        assert next(numbers) == 1
        face.cancel()
        with pytest.raises(Cancelled):
            next(numbers)


def test_cancelling_from_another_thread_wakes_who_waits_for_a_value(face: Face) -> None:
    def cancel() -> None:
        assert face.source.waits.wait(30)
        face.cancel()

    with running(cancel), pytest.raises(Cancelled):
        list(face.hang(2))
    assert face.source.diary == CLOSED


class Interruption(BaseException):
    """As Airflow's time-out of a task: no `Exception`, raised in a signal handler."""


def test_what_interrupts_a_thread_that_waits_for_a_value_closes_the_stream_and_goes_on(face: Face) -> None:
    def interrupt() -> None:
        assert face.source.waits.wait(30)
        signal_from_here(signal.SIGUSR1)

    def handle(*_: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with running(interrupt), pytest.raises(Interruption):
            list(face.hang(2))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert face.source.diary == CLOSED


def test_several_threads_read_streams_of_one_client_at_once(face: Face) -> None:
    sums: list[int] = []

    def read() -> None:
        sums.append(sum(1 for _ in islice(face.flood(), 3 * MOST_VALUES)))

    with face, running(read), running(read), running(read):
        pass
    assert sums == [3 * MOST_VALUES] * 3


@contextmanager
def running(work: Callable[[], object]) -> Iterator[None]:
    """Run `work` in a thread while the block runs, and to its end."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        assert not thread.is_alive()
