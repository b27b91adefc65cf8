"""The blocking face, on a small asynchronous class that tells what happens to it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_neuro_buckets.hooks import loop
from airflow_provider_neuro_buckets.hooks.blocking import BlockingFace, Cancelled, blocking_face
from signalling import signal_from_here

pytestmark = pytest.mark.usefixtures("nothing_left")


class Desk:
    """An asynchronous client, as `blocking_face` wants one."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.hangs = threading.Event()

    async def echo(self, word: str, *, times: int = 1) -> str:
        """Return a word.

        :param times: how often.
        """
        await asyncio.sleep(0)
        return word * times

    async def fail(self, error: BaseException) -> None:
        """Raise an error."""
        raise error

    async def hang(self) -> None:
        """Never return; cleaning up takes a few turns of the loop."""
        self.diary.append("hangs")
        self.hangs.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.diary.append("cleaned up")

    async def count(self, stop: int) -> AsyncGenerator[int]:
        """Yield numbers."""
        self.diary.append("stream opened")
        try:
            for number in range(stop):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            self.diary.append("stream closed")

    async def join(self, body: Any) -> bytes:
        """Return what a body holds."""
        if isinstance(body, bytes):
            return body
        return b"|".join([chunk async for chunk in body])

    async def keep(self, paths: list[str], *, filter: Callable[[str], Awaitable[bool]] | None = None) -> list[str]:  # noqa: A002 - the name that is wrapped
        """Return the paths that a filter likes."""
        return [path for path in paths if filter is None or await filter(path)]

    async def gather(self, names: Any) -> list[str]:
        """Return what a plain iterable holds."""
        return list(names)


@blocking_face(Desk)
class Face(BlockingFace):
    def __init__(self) -> None:
        super().__init__()
        self.diary: list[str] = []
        self.desks: list[Desk] = []

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[Desk]:
        self.diary.append("opened")
        self.desks.append(Desk(self.diary))
        try:
            yield self.desks[-1]
        finally:
            self.diary.append("closed")

    def open_client(self) -> AbstractAsyncContextManager[Desk]:
        return self._opening()


@pytest.fixture
def face() -> Face:
    return Face()


@contextmanager
def started(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Run `work` in a thread while the block runs, and to its end; gives the list of what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(30)
        assert not thread.is_alive()


def poke_when_hanging(face: Face) -> None:
    wait_until_hanging(face)
    signal_from_here(signal.SIGUSR1)


def wait_until_hanging(face: Face) -> None:
    while not face.desks:
        threading.Event().wait(0.001)
    assert face.desks[-1].hangs.wait(30)


# Where it works


def test_a_coroutine_becomes_a_plain_call(face: Face) -> None:
    assert face.echo("ab", times=2) == "abab"


def test_it_works_in_a_thread_whose_own_loop_is_running(face: Face) -> None:
    async def inside() -> str:
        answer: str = face.echo("a")
        return answer + "".join(map(str, face.count(3)))

    assert asyncio.run(inside()) == "a012"


def test_it_works_in_any_thread(face: Face) -> None:
    answers: list[str] = []
    with started(lambda: answers.append(face.echo("a"))) as raised:
        pass
    assert answers == ["a"]
    assert not raised


def test_each_call_opens_and_closes_its_own_client(face: Face) -> None:
    face.echo("a")
    face.echo("b")
    assert face.diary == ["opened", "closed"] * 2


def test_a_with_block_keeps_one_client_open_for_all_its_calls(face: Face) -> None:
    with face:
        face.echo("a")
        assert list(face.count(2)) == [0, 1]
        assert face.diary == ["opened", "stream opened", "stream closed"]
    assert face.diary[-1] == "closed"


def test_a_with_block_inside_another_does_not_close_its_client(face: Face) -> None:
    with face:
        with face:
            face.echo("a")
        assert face.echo("b") == "b"
        assert face.diary == ["opened"]
    assert face.diary == ["opened", "closed"]


def test_a_face_opens_again_after_a_with_block(face: Face) -> None:
    with face:
        pass
    assert face.echo("a") == "a"
    with face:
        assert face.echo("b") == "b"
    assert face.diary == ["opened", "closed"] * 3


def test_threads_share_the_client_of_a_with_block(face: Face) -> None:
    answers: list[str] = []
    with face, started(lambda: answers.extend(face.echo("a") for _ in range(50))) as raised:
        answers.extend([face.echo("b") for _ in range(50)])
    assert sorted(answers) == ["a"] * 50 + ["b"] * 50
    assert not raised
    assert face.diary == ["opened", "closed"]


def test_threads_whose_blocks_begin_at_once_share_one_client(face: Face) -> None:
    """Whoever leaves last closes it; a client that nobody closes would be a thread that stays."""
    begin = threading.Barrier(8)

    def work(_: int) -> str:
        begin.wait(30)
        with face:
            answer: str = face.echo("a")
            begin.wait(30)
        return answer

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == ["a"] * 8
    assert face.diary == ["opened", "closed"]


def test_a_question_is_asked_where_a_loop_runs(face: Face) -> None:
    """So that it may gather, wait for a time, or begin tasks."""
    assert list(face.call(lambda desk: asyncio.gather(desk.echo("a"), desk.echo("b")))) == ["a", "b"]


def test_a_blocking_call_from_the_loop_that_has_to_answer_it_is_refused_instead_of_hanging(face: Face) -> None:
    async def recurse(_: Desk) -> None:
        face.echo("a")

    with face, pytest.raises(RuntimeError, match="would wait for ever"):
        face.call(recurse)


# What goes wrong


def test_an_error_arrives_as_it_was_and_everything_is_closed(face: Face) -> None:
    error = OSError("gone")
    with pytest.raises(OSError, match="gone") as raised:
        face.fail(error)
    assert raised.value is error
    assert face.diary == ["opened", "closed"]


def test_an_error_in_a_with_block_closes_the_client(face: Face) -> None:
    with pytest.raises(OSError, match="gone"), face:
        face.fail(OSError("gone"))
    assert face.diary == ["opened", "closed"]


def test_an_error_while_opening_leaves_no_thread() -> None:
    class Broken(Face):
        @asynccontextmanager
        async def _opening(self) -> AsyncIterator[Desk]:
            raise OSError("no")
            yield Desk([])  # type: ignore[unreachable]  # makes it a generator

    with pytest.raises(OSError, match="no"), Broken():
        pytest.fail("it opened")


def test_wrong_arguments_are_refused_before_anything_is_opened(face: Face) -> None:
    with pytest.raises(TypeError, match="stopp"):
        face.count(1, stopp=3)
    with pytest.raises(TypeError, match="word"):
        face.echo()
    assert face.diary == []


# Streams


def test_a_stream_becomes_a_plain_iterator_that_asks_for_nothing_before_its_first_value(face: Face) -> None:
    numbers = face.count(3)
    assert face.diary == []
    assert iter(numbers) is numbers
    assert list(numbers) == [0, 1, 2]
    assert face.diary == ["opened", "stream opened", "stream closed", "closed"]


def test_an_iterator_that_is_closed_early_closes_its_stream_and_its_client(face: Face) -> None:
    with closing(face.count(10**9)) as numbers:
        assert list(islice(numbers, 2)) == [0, 1]
        assert face.diary == ["opened", "stream opened"]
    assert face.diary == ["opened", "stream opened", "stream closed", "closed"]


def test_an_iterator_that_is_dropped_early_closes_its_stream_and_its_client(face: Face) -> None:
    for number in face.count(10**9):
        if number == 2:
            break
    del number
    assert face.diary == ["opened", "stream opened", "stream closed", "closed"]


def test_an_iterator_that_was_never_used_holds_nothing(face: Face) -> None:
    face.count(3).close()
    assert face.diary == []


def test_iterators_and_calls_take_turns_on_one_client(face: Face) -> None:
    with face:
        pairs = [(first, second, face.echo("x")) for first, second in zip(face.count(3), face.count(3), strict=True)]
    assert pairs == [(0, 0, "x"), (1, 1, "x"), (2, 2, "x")]
    assert face.diary.count("stream closed") == 2


def test_an_iterator_that_outlives_its_with_block_says_so(face: Face) -> None:
    with face:
        numbers = face.count(10_000)  # more than is read ahead: it does not end by itself meanwhile
        assert next(numbers) == 0
    assert {"closed", "stream closed"} <= set(face.diary)
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        next(numbers)


# Cancelling


def test_cancelling_from_another_thread_ends_the_call_after_its_clean_up(face: Face) -> None:
    with started(face.hang) as raised:
        wait_until_hanging(face)
        face.cancel()
    assert [type(error) for error in raised] == [Cancelled]
    assert face.diary == ["opened", "hangs", "cleaned up", "closed"]


def test_cancelling_in_a_signal_handler_ends_the_call_after_its_clean_up_f99(face: Face) -> None:
    with (
        handling(lambda *_: face.cancel()),
        started(lambda: poke_when_hanging(face)),
        pytest.raises(Cancelled),
    ):
        face.hang()
    assert face.diary == ["opened", "hangs", "cleaned up", "closed"]


class Slow(Face):
    """Opens for ever; its diary says when."""

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[Desk]:
        self.desks.append(Desk(self.diary))
        await self.desks[-1].hang()
        yield self.desks[-1]


@pytest.mark.parametrize("work", [Slow.__enter__, lambda face: face.echo("a"), lambda face: next(face.count(1))])
def test_cancelling_reaches_what_is_being_opened(work: Callable[[Face], object]) -> None:
    """To open takes a second where the HTTP stack is not loaded yet."""
    face = Slow()
    with started(lambda: work(face)) as raised:
        wait_until_hanging(face)
        face.cancel()
    assert [type(error) for error in raised] == [Cancelled]
    assert face.diary == ["hangs", "cleaned up"]


def test_cancelling_reaches_all_calls_that_run(face: Face) -> None:
    with started(face.hang) as first, started(face.hang) as second:
        while len(face.desks) < 2 or not all(desk.hangs.is_set() for desk in tuple(face.desks)):
            threading.Event().wait(0.001)
        face.cancel()
    assert [type(error) for error in first + second] == [Cancelled, Cancelled]


def test_cancelling_between_two_calls_of_a_with_block_stops_the_next_one(face: Face) -> None:
    with face:
        face.echo("a")
        face.cancel()
        with pytest.raises(Cancelled):
            face.hang()
    assert face.diary == ["opened", "closed"]


def test_cancelling_ends_an_iterator_and_closes_its_stream(face: Face) -> None:
    numbers = face.count(10**9)
    next(numbers)
    face.cancel()
    with pytest.raises(Cancelled):
        next(numbers)
    assert face.diary == ["opened", "stream opened", "stream closed", "closed"]


def test_cancelling_when_nothing_runs_changes_nothing(face: Face) -> None:
    face.cancel()
    assert face.echo("a") == "a"


def test_a_face_works_again_after_what_was_cancelled_has_ended(face: Face) -> None:
    with face:
        face.cancel()
        with pytest.raises(Cancelled):
            face.echo("a")
    assert face.echo("b") == "b"
    with face:
        assert face.echo("c") == "c"


class Interruption(BaseException):
    """As Airflow's time-out of a task: no `Exception`, raised in a signal handler."""


@contextmanager
def handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt(_: int, __: FrameType | None) -> None:
    raise Interruption


def test_what_interrupts_the_waiting_thread_cancels_the_call_waits_for_its_clean_up_and_goes_on(face: Face) -> None:
    with handling(interrupt), started(lambda: poke_when_hanging(face)):
        with pytest.raises(Interruption):
            face.hang()
        assert face.diary == ["opened", "hangs", "cleaned up", "closed"]


def test_what_interrupts_a_with_block_closes_its_client(face: Face) -> None:
    with handling(interrupt), started(lambda: poke_when_hanging(face)):
        with pytest.raises(Interruption), face:
            face.hang()
        assert face.diary == ["opened", "hangs", "cleaned up", "closed"]


def test_a_body_that_hangs_in_a_read_does_not_hold_up_whoever_cancels(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CLEAN_UP_SECONDS", 0.05)
    reading, free = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        reading.set()
        free.wait(30)
        yield b""

    def cancel() -> None:
        assert reading.wait(30)
        face.cancel()

    try:
        with started(cancel), pytest.raises(Cancelled):
            face.join(body())
        assert not free.is_set()
        assert face.diary == ["opened", "closed"]
    finally:
        free.set()  # the thread that reads, and with it the loop, ends now
        for thread in threading.enumerate():
            if thread.name == "neuro-buckets":
                thread.join(30)


# Plain values where the client wants asynchronous ones


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_a_plain_iterable_of_bytes_is_fed_to_the_client(face: Face, kind: Callable[[list[bytes]], Any]) -> None:
    assert face.join(kind([b"a", b"b"])) == b"a|b"


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_bytes_and_files_arrive_whole(face: Face, kind: Callable[[bytes], Any]) -> None:
    assert face.join(kind(b"a|b")) == b"a|b"


def test_a_body_may_be_given_by_name(face: Face) -> None:
    assert face.join(body=[b"a", b"b"]) == b"a|b"


def test_an_asynchronous_body_is_left_as_it_is(face: Face) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    assert face.join(body()) == b"a|b"


def test_a_file_is_read_in_large_pieces_whatever_its_lines(face: Face, tmp_path: Any) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\n" * 3_000_000)
    with path.open("rb") as file:
        content: bytes = face.join(file)
    assert content.count(b"|") == 2
    assert content.replace(b"|", b"") == path.read_bytes()


def test_a_body_is_not_read_on_the_loop(face: Face) -> None:
    """It may block: a socket, a database."""
    readers: list[str] = []

    def body() -> Iterator[bytes]:
        readers.append(threading.current_thread().name)
        yield b"a"

    face.join(body())
    assert not {"neuro-buckets", threading.current_thread().name} & set(readers)


def test_other_iterables_are_handed_on_as_they_are(face: Face) -> None:
    assert face.gather(iter(["a", "b"])) == ["a", "b"]


def test_a_filter_may_be_a_plain_function(face: Face) -> None:
    assert face.keep(["a", "b"], filter=lambda path: path == "b") == ["b"]


def test_a_filter_may_be_a_coroutine_function(face: Face) -> None:
    async def likes(path: str) -> bool:
        return path == "a"

    assert face.keep(["a", "b"], filter=likes) == ["a"]
    assert face.keep(["a", "b"], filter=functools.partial(likes)) == ["a"]
    assert face.keep(["a", "b"], filter=None) == ["a", "b"]


def test_a_filter_may_itself_use_the_face(face: Face) -> None:
    with face:
        assert face.keep(["a", "b"], filter=lambda path: face.echo(path) == "a") == ["a"]


# What the face looks like


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_a_twin_has_the_name_the_signature_and_the_docstring_of_its_method() -> None:
    for name, method in public(Desk).items():
        twin = getattr(Face, name)
        assert twin.__name__ == name
        assert inspect.getdoc(twin) == inspect.getdoc(method)
        assert inspect.signature(twin) == inspect.signature(method)


def test_nobody_takes_a_twin_for_asynchronous() -> None:
    for name in public(Desk):
        twin = inspect.unwrap(getattr(Face, name))
        assert not inspect.iscoroutinefunction(twin)
        assert not inspect.isasyncgenfunction(twin)


def test_inherited_methods_have_twins_too() -> None:
    class Longer(Desk):
        async def more(self) -> int:
            return 1

    assert public(blocking_face(Longer)(type("LongerFace", (BlockingFace,), {}))).keys() >= public(Longer).keys()
