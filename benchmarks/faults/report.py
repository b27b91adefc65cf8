"""The page of both matrices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.faults.cell import Cell, Direction, Kinds, Outcome, Result, Times
from benchmarks.faults.peers import LIMIT_SECONDS, SILENCE_SECONDS, Peer

_SHOWN = {
    Outcome.CORRECT: "correct",
    Outcome.CLEAN: "error",
    Outcome.DESTROYED: "**error, destroyed**",
    Outcome.SILENT: "**SILENT**",
}
_INTRODUCTION = """\
# What each tool makes of a server that errs

Written by `make fault-matrix`: a small S3 server on loopback answers rightly but for one fault, and each tool moves one
blob. For a download an old, good file is at the destination; for an upload an old, good blob is under the key. A fault
occurs **once**, at the first request that it can befall, or **always**. The small blob has 3 MiB and moves in one
request; the large one has 20 MiB and moves in parts of 8 MiB.

- **correct**: success, and the destination has the right bytes.
- **error**: the tool says so and ends with an error; no wrong bytes are at the destination: it holds what it held, or
  already the new bytes, or (of an upload) nothing.
- **error, destroyed**: an error, and what was at the destination is gone or wrong.
- **SILENT**: success, and the bytes at the destination are wrong.

A cell is *recoverable* if its fault occurs once: asked again, the server does right. This provider must recover each of
them, and in no cell be silent, destroy, or leave something lying about; the command fails otherwise, and `make test`
holds the column of this provider, with smaller waits (`tests/faults/test_matrix.py`). One run per cell.

This provider gets new credentials where they end, as the platform gives them; the others have fixed ones. What a tool
leaves that hangs, it leaves because it is killed: it had no chance to clean up.
"""
_VERSIONS = ("airflow-provider-neuro-buckets", "rclone", "s5cmd", "boto3", "aiohttp", "python")


@dataclass(slots=True, kw_only=True)
class Matrix:
    """One direction.

    :ivar results: by the names of cell and client.
    """

    direction: Direction
    kinds: Sequence[Kinds]
    cells: Sequence[Cell]
    clients: Sequence[str]
    results: dict[tuple[str, str], Result] = field(default_factory=dict)

    def count(self, client: str, outcome: Outcome) -> int:
        """Return in how many cells a client came to an outcome."""
        return sum(self.results[cell.name, client].outcome is outcome for cell in self.cells)

    def recovered(self, client: str) -> tuple[int, int]:
        """Return how many of the cells with a fault that occurs once were correct, and how many there are."""
        once = [cell for cell in self.cells if cell.is_recoverable]
        return sum(self.results[cell.name, client].outcome is Outcome.CORRECT for cell in once), len(once)

    def left(self, client: str) -> int:
        """Return what a client left lying about, in all cells."""
        return sum(self.results[cell.name, client].left for cell in self.cells)


def page(matrices: Sequence[Matrix], peers: Sequence[Peer], versions: Mapping[str, str]) -> str:
    """Return the page."""
    return "\n".join([*_head(peers, versions), *(line for matrix in matrices for line in _matrix(matrix))]) + "\n"


def _head(peers: Sequence[Peer], versions: Mapping[str, str]) -> Iterator[str]:
    yield _INTRODUCTION
    yield from ("Versions: " + ", ".join(f"{name} {versions[name]}" for name in _VERSIONS) + ".", "")
    yield (
        f"So that a stall does not take for ever, each tool that can be told to waits {SILENCE_SECONDS} s only, and "
        f"is ended after {LIMIT_SECONDS:.0f} s, which counts as an error:"
    )
    yield from ("", *(f"- {peer.name}: {peer.settings}" for peer in peers))
    yield from (f"- this provider: `timeout_seconds` {SILENCE_SECONDS}, else as it comes", "")


def _matrix(matrix: Matrix) -> Iterator[str]:
    yield from (f"## {matrix.direction.capitalize()}: {len(matrix.cells)} cells", "")
    yield from _totals(matrix)
    yield ""
    yield from _cells(matrix)
    yield ""
    yield from ("The faults:", "", *(f"- **{kind.name}**: {kind.meaning}" for kind in matrix.kinds), "")


def _totals(matrix: Matrix) -> Iterator[str]:
    yield "| | correct | of the recoverable | error | error, destroyed | SILENT | left lying about |"
    yield "|---|---|---|---|---|---|---|"
    for client in matrix.clients:
        correct, clean, destroyed, silent = (matrix.count(client, outcome) for outcome in Outcome)
        recovered, once = matrix.recovered(client)
        numbers = [correct, f"{recovered} of {once}", clean, destroyed, silent, matrix.left(client)]
        yield f"| {client} | " + " | ".join(map(str, numbers)) + " |"


def _cells(matrix: Matrix) -> Iterator[str]:
    yield "| fault | occurs | blob | " + " | ".join(matrix.clients) + " |"
    yield "|---|---|---|" + "---|" * len(matrix.clients)
    for cell in matrix.cells:
        shown = [_shown(cell, matrix.results[cell.name, client]) for client in matrix.clients]
        yield f"| {cell.kind.name} | {cell.times} | {cell.size} | " + " | ".join(shown) + " |"


def _shown(cell: Cell, result: Result) -> str:
    notes = []
    if result.outcome is Outcome.CLEAN and result.found != "old":
        notes.append(f"{result.found} there")
    if result.outcome in {Outcome.SILENT, Outcome.DESTROYED}:
        notes.append(result.found)
    if result.said.startswith("hangs"):
        notes.append("hangs")
    if result.left:
        lost = "temporary files" if cell.direction is Direction.DOWNLOAD else "uploads"
        notes.append(f"leaves {lost}")
    if cell.times is Times.ONCE and result.outcome is Outcome.CLEAN:
        notes.append("not recovered")
    return _SHOWN[result.outcome] + (f" ({', '.join(notes)})" if notes else "")
