"""What arrives of a range is handed on in pieces, and a connection that breaks changes nothing of it."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import Conflict, Unavailable
from airflow_provider_neuro_buckets.buckets.http.pouring import fill
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore
from airflow_provider_neuro_buckets.buckets.transfer.content import PIECE, RESUMES_WITHOUT_PROGRESS
from airflow_provider_neuro_buckets.buckets.transfer.pouring import Pieces, pour_range
from buckets.http.scripted import Script, ScriptedServer, Wire, scripted
from buckets.stores.s3_scripts import MODIFIED, etag_of, store_at
from buckets.transfer.watched import Call, remote
from conformance.rigs.base import Rig
from jumping import run

CONTENT = random.Random(11).randbytes(5 * PIECE + 77)
SPANS = pytest.mark.parametrize(
    ("start", "stop"),
    [(0, len(CONTENT)), (0, PIECE), (PIECE - 1, 4 * PIECE + 1), (1000, 3 * PIECE), (2 * PIECE + 5, len(CONTENT))],
)


class Taken:
    """The pieces that were handed on, copied: their buffer is used again."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes]] = []

    def __call__(self, at: int, piece: memoryview) -> None:
        self.pieces.append((at, bytes(piece)))

    @property
    def content(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def check(self, start: int, stop: int) -> None:
        """See to it that these are the bytes of a range, each once, cut where a file has its blocks."""
        cuts = [start, *(at for at in range(0, stop, PIECE) if at > start), stop]
        assert [at for at, _ in self.pieces] == cuts[:-1]
        assert [at + len(piece) for at, piece in self.pieces] == cuts[1:]
        assert self.content == CONTENT[start:stop]


# Pieces


@settings(max_examples=60)
@given(
    start=st.integers(0, 2 * PIECE) | st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1]),
    size=st.integers(1, 3 * PIECE) | st.sampled_from([1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]),
    sizes=st.lists(st.integers(1, 3 * PIECE) | st.integers(1, 5000), max_size=30),
)
def test_pieces_end_at_multiples_of_a_mebibyte_or_with_the_range_whatever_sizes_arrive(
    start: int, size: int, sizes: list[int]
) -> None:
    stop = start + size
    taken = Taken()
    pieces = Pieces(start, stop, taken)
    arriving = chain(sizes, repeat(PIECE))
    while pieces.at < stop:
        room = pieces.room()
        assert 0 < len(room) <= PIECE
        count = min(len(room), next(arriving))
        room[:count] = CONTENT[pieces.at : pieces.at + count]
        before = pieces.at
        pieces.add(count)
        assert pieces.at == before + count
        whole = pieces.at if pieces.at == stop else max(start, pieces.at // PIECE * PIECE)
        assert len(taken.content) == whole - start
    taken.check(start, stop)


@SPANS
@pytest.mark.parametrize("size", [4321, PIECE, len(CONTENT)])
def test_what_is_in_memory_fills_pieces_alike(start: int, stop: int, size: int) -> None:
    taken = Taken()
    fill(Pieces(start, stop, taken), *(CONTENT[at : min(at + size, stop)] for at in range(start, stop, size)))
    taken.check(start, stop)


def test_a_range_takes_no_more_memory_than_it_has_bytes_or_one_piece() -> None:
    for stop, most in ((5, 5), (PIECE, PIECE), (100 * PIECE, PIECE)):
        assert len(Pieces(0, stop, Taken()).room()) == most


def test_a_piece_that_cannot_be_taken_is_told_to_who_brings_it() -> None:
    def refuse(_: int, __: memoryview) -> None:
        raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        fill(Pieces(0, 10, refuse), b"0123456789")


# By a real connection


def flapping(
    breaks: list[int], *, is_reset: bool, asked: list[tuple[int, int]], replace_at: int | None = None
) -> Script:
    """Serve one blob; each answer but the last ends after so many bytes of it.

    :param asked: told which ranges are.
    :param replace_at: this read, from 0, and what follows find another version.
    """
    left = list(breaks)

    async def script(wire: Wire) -> None:
        while True:
            head = (await wire.asked()).decode()
            is_new = replace_at is not None and len(asked) >= replace_at
            common = f"ETag: {etag_of(CONTENT[::-1] if is_new else CONTENT)}\r\nLast-Modified: {MODIFIED}\r\n"
            if head.startswith("HEAD"):
                await wire.say(f"HTTP/1.1 200 OK\r\n{common}Content-Length: {len(CONTENT)}\r\n\r\n".encode())
                continue
            found = re.search(r"(?i)\r\nrange: bytes=(\d+)-(\d+)\r\n", head)
            start, stop = (int(found[1]), int(found[2]) + 1) if found else (0, len(CONTENT))
            asked.append((start, stop))
            status = (
                f"206 Partial Content\r\nContent-Range: bytes {start}-{stop - 1}/{len(CONTENT)}" if found else "200 OK"
            )
            await wire.say(f"HTTP/1.1 {status}\r\n{common}Content-Length: {stop - start}\r\n\r\n".encode())
            if left:
                await wire.say(CONTENT[start : min(start + left.pop(0), stop)])
                if is_reset:
                    wire.reset()
                return
            await wire.say(CONTENT[start:stop])

    return script


def at_flapping(script: Script, use: Callable[[BlobStore, BlobMeta, ScriptedServer], Awaitable[None]]) -> None:
    """Have a store of that server, on a clock that jumps: there are pauses between the tries."""

    async def main() -> None:
        async with scripted(script) as server, store_at(server) as store:  # type: ignore[arg-type]  # it has a `url`
            await use(store, await store.head("key"), server)

    run(main())


@SPANS
@pytest.mark.parametrize(
    "breaks",
    [[], [0], [1], [PIECE], [700_000], [700_001, 3], [5, 0, 0, 0, 100_000, 0, 2 * PIECE + 1], [40_000] * 9],
    ids=str,
)
def test_a_range_goes_on_where_its_connection_broke_and_every_byte_arrives_once(
    start: int, stop: int, breaks: list[int]
) -> None:
    asked: list[tuple[int, int]] = []
    taken = Taken()

    async def use(store: BlobStore, meta: BlobMeta, _: ScriptedServer) -> None:
        await pour_range(store, meta, Pieces(start, stop, taken))

    at_flapping(flapping(breaks, is_reset=False, asked=asked), use)
    taken.check(start, stop)
    begun = start
    for (at, upto), size in zip(asked, [*breaks, len(CONTENT)], strict=False):
        assert (at, upto) == (begun, stop)
        begun = min(begun + size, stop)
    assert begun == stop


def test_a_range_goes_on_after_connections_that_were_reset() -> None:
    asked: list[tuple[int, int]] = []
    taken = Taken()

    async def use(store: BlobStore, meta: BlobMeta, _: ScriptedServer) -> None:
        await pour_range(store, meta, Pieces(3, len(CONTENT), taken))

    at_flapping(flapping([700_000, 2 * PIECE, 1_500_000], is_reset=True, asked=asked), use)
    taken.check(3, len(CONTENT))
    assert len(asked) >= 4  # what was on its way may be lost with a connection


def test_a_connection_that_breaks_for_ever_without_a_byte_ends_the_range() -> None:
    asked: list[tuple[int, int]] = []
    taken = Taken()

    async def use(store: BlobStore, meta: BlobMeta, _: ScriptedServer) -> None:
        pieces = Pieces(0, len(CONTENT), taken)
        with pytest.raises(Unavailable):
            await pour_range(store, meta, pieces)
        assert pieces.at == PIECE + 9

    at_flapping(flapping([PIECE + 9, *[0] * 100], is_reset=False, asked=asked), use)
    assert taken.pieces == [(0, CONTENT[:PIECE])]
    assert len(asked) == 1 + 1 + RESUMES_WITHOUT_PROGRESS


def test_a_blob_that_is_replaced_between_two_connections_is_never_mixed() -> None:
    taken = Taken()

    async def use(store: BlobStore, meta: BlobMeta, _: ScriptedServer) -> None:
        with pytest.raises(Conflict):
            await pour_range(store, meta, Pieces(0, len(CONTENT), taken))

    at_flapping(flapping([PIECE + 9], is_reset=False, asked=[], replace_at=1), use)
    assert taken.pieces == [(0, CONTENT[:PIECE])]


def test_what_takes_the_pieces_may_end_it() -> None:
    def refuse(at: int, _: memoryview) -> None:
        if at:
            raise error

    error = OSError(28, "full")
    asked: list[tuple[int, int]] = []

    async def use(store: BlobStore, meta: BlobMeta, server: ScriptedServer) -> None:
        with pytest.raises(OSError, match="full") as caught:
            await pour_range(store, meta, Pieces(0, len(CONTENT), refuse))
        assert caught.value is error
        (get,) = (number for number, head in server.asked if head.startswith(b"GET"))
        await server.wires[get].is_gone.wait()

    at_flapping(flapping([], is_reset=False, asked=asked), use)
    assert len(asked) == 1


# By a real storage


@SPANS
async def test_a_range_of_a_real_blob_arrives_as_it_is(aws: Rig, start: int, stop: int) -> None:
    await aws.put("k", CONTENT)
    taken = Taken()
    await pour_range(aws.store, await aws.store.head("k"), Pieces(start, stop, taken))
    taken.check(start, stop)


async def test_ranges_side_by_side_do_not_mix(aws: Rig) -> None:
    await aws.put("k", CONTENT)
    meta = await aws.store.head("k")
    spans = [(at, min(at + 2 * PIECE, len(CONTENT))) for at in range(0, len(CONTENT), 2 * PIECE)]
    takers = [Taken() for _ in spans]
    await asyncio.gather(
        *(pour_range(aws.store, meta, Pieces(*span, taken)) for span, taken in zip(spans, takers, strict=True))
    )
    for span, taken in zip(spans, takers, strict=True):
        taken.check(*span)


async def test_a_real_connection_that_breaks_after_each_chunk_is_gone_on_with(aws: Rig) -> None:
    await aws.put("k", CONTENT)
    breaks = iter(range(5))
    is_first = True

    async def flap(call: Call) -> None:
        """Let one chunk of each read pass."""
        nonlocal is_first
        if call.verb == "read":
            is_first = True
        elif call.verb == "chunk" and not is_first and next(breaks, None) is not None:
            raise Unavailable("the connection broke")
        elif call.verb == "chunk":
            is_first = False

    _, store = remote(aws, "k", flap)
    taken = Taken()
    await pour_range(store, await store.head("k"), Pieces(5, len(CONTENT), taken))
    taken.check(5, len(CONTENT))
    starts = store.starts("read")
    assert len(starts) == 6
    assert starts == sorted(set(starts))
    assert any(start % PIECE for start in starts[1:])
