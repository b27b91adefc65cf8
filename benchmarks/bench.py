"""Measures rows: every peer in turn, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import commands, libraries, servers
from benchmarks.data import Dataset, Shelf
from benchmarks.job import Peer, Verb
from benchmarks.results import Cell, Record
from benchmarks.row import Row
from benchmarks.verdict import figures
from benchmarks.works import COROUTINE, OFFICIAL, OURS, RCLONE, S3HOOK, S5CMD, Server, Work

PROFILE, SEEDER = "profile", "seeder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Where the programs are.

    :ivar ours: the interpreter that has this package.
    :ivar peers: the interpreter that has the peers.
    """

    ours: Path
    peers: Path
    s5cmd: Path
    rclone: Path
    azurite: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is done.

    :ivar peers: who may take part.
    :ivar official_rounds: rounds of the official SDK, which needs minutes for each.
    """

    rounds: int
    official_rounds: int
    peers: frozenset[str]
    scale: float


class Bench:
    """Measures rows.

    :param folder: for everything that is written; on a disk, and large enough.
    """

    def __init__(
        self, *, folder: Path, shelf: Shelf, tools: Tools, options: Options, machine: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._shelf = shelf
        self._tools = tools
        self._options = options
        self._machine = machine

    def measure(self, work: Work) -> Record:
        """Measure one row."""
        count = max(1, round(int(work.data) * self._options.scale)) if work.server is Server.MANY_KEYS else 0
        data = Dataset(root=self._folder, files={}) if count else self._shelf.get(work.data)
        cells: list[Cell] = []
        for sitting in self._sittings(work):
            with self._row(work, data, count) as (row, peers):
                cells += [row.cell(number, peers[name], peers[SEEDER]) for number, name in sitting if name in peers]
        record = Record(
            work=work.name,
            files=count or len(data.files),
            bytes=data.total_bytes,
            scale=self._options.scale,
            measured_at=datetime.now(UTC).isoformat(timespec="minutes"),
            machine=self._machine,
            cells=tuple(cells),
        )
        if all(figure.is_met for figure in figures(work, record)) or OURS not in record.peers:
            return record
        with self._row(work, data, count) as (row, peers):
            profiled = row.cell(0, peers[PROFILE], peers[SEEDER])
        return replace(record, profile=profiled.sample.profile if profiled.sample else profiled.error)

    def _sittings(self, work: Work) -> Iterator[Sequence[tuple[int, str]]]:
        """Yield who does it when, by turns that one server sees."""
        turns = list(self._turns(work))
        # Azurite looks through all that it holds for each blob that it makes or deletes: who comes later waits longer.
        is_alone = work.server is Server.AZURITE and work.verb in {Verb.UPLOAD_DIR, Verb.DELETE}
        yield from ([turn] for turn in turns) if is_alone else [turns]

    @contextmanager
    def _row(self, work: Work, data: Dataset, count: int) -> Iterator[tuple[Row, Mapping[str, Peer]]]:
        """Start what a row needs, and put into the bucket what all jobs share."""
        with ExitStack() as stack:
            arena = stack.enter_context(self._arena(work.server, count))
            row = Row(work=work, data=data, count=count or len(data.files), arena=arena, folder=self._folder)
            peers = self._peers(work, arena, stack)
            row.prepare(peers[SEEDER])
            yield row, peers

    def _arena(self, server: Server, count: int) -> AbstractContextManager[servers.Arena]:
        starting: Mapping[Server, Callable[[], AbstractContextManager[servers.Arena]]] = {
            Server.SEAWEEDFS: servers.seaweedfs,
            Server.AZURITE: lambda: servers.azurite(self._tools.azurite),
            Server.MANY_KEYS: lambda: servers.many_keys(count),
        }
        return starting[server]()

    def _peers(self, work: Work, arena: servers.Arena, stack: ExitStack) -> Mapping[str, Peer]:
        """Return by their names who takes part and can do it, and by `SEEDER` who writes what is read."""
        tools, home, connection = self._tools, self._folder, arena.platform.connection
        making: Mapping[str, Callable[[], Peer]] = {
            OURS: lambda: libraries.ours(tools.ours, home, connection),
            COROUTINE: lambda: libraries.ours(tools.ours, home, connection, name=COROUTINE, how="coroutine"),
            PROFILE: lambda: libraries.ours(tools.ours, home, connection, name=PROFILE, how="profile"),
            S5CMD: lambda: commands.s5cmd(tools.s5cmd),
            RCLONE: lambda: commands.rclone(tools.rclone),
            OFFICIAL: lambda: libraries.official(
                tools.peers, home, stack.enter_context(servers.sdk_config(tools.peers, arena.platform))
            ),
            S3HOOK: lambda: libraries.s3hook(tools.peers, home),
        }
        made = [making[name]() for name in (*self._wanted(work), PROFILE)]
        able = {peer.name: peer for peer in made if peer.can(work.verb, arena.place.provider)}
        return {**able, SEEDER: making[work.seeded_by]()}

    def _wanted(self, work: Work) -> list[str]:
        return [name for name in work.peers if name.split(",")[0] in self._options.peers]

    def _turns(self, work: Work) -> Iterator[tuple[int, str]]:
        """Yield who does it when: each round begins with another peer."""
        peers = self._wanted(work)
        for number in range(min(self._options.rounds, work.most_rounds or self._options.rounds)):
            first = number % max(1, len(peers))
            for name in (*peers[first:], *peers[:first]):
                if name != OFFICIAL or number < self._options.official_rounds:
                    yield number, name
