"""``python -m benchmarks.faults``: plays both matrices and writes their page. `make fault-matrix` calls it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.__main__ import tools_in
from benchmarks.faults.cell import Cell, Direction, Outcome, Result, cells_of
from benchmarks.faults.downloads import DOWNLOADS
from benchmarks.faults.ours import Ours
from benchmarks.faults.peers import SILENCE_SECONDS, peers
from benchmarks.faults.play import Client, Contents, check_rightly, play
from benchmarks.faults.report import Matrix, page
from benchmarks.faults.uploads import UPLOADS

log = logging.getLogger(__name__)
_AT_ONCE = 8
PAGE = Path(__file__).parent.parent.parent / "docs" / "fault-matrix.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play and report; 1 if this provider delivered wrong bytes, destroyed some, or did not recover where it can."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Faults, side by side.")
    parser.add_argument("--peers-environment", type=Path, required=True, help="virtual environment with the peers")
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write (default: %(default)s)")
    parser.add_argument("--only", default="", help="only cells whose name has this in it; writes no page")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("airflow_provider_neuro_buckets").setLevel(logging.ERROR)  # each retry is a line
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # who gives up takes the connection along
    tools = tools_in(options.peers_environment)
    clients: list[Client] = [Ours(silence=SILENCE_SECONDS), *peers(tools)]
    matrices = asyncio.run(_play_all(clients, options.only))
    if not options.only:
        options.out.write_text(page(matrices, peers(tools), machine.describe(tools)))
    ours = clients[0].name
    return int(any(_fails(cell, matrix.results[cell.name, ours]) for matrix in matrices for cell in matrix.cells))


def _fails(cell: Cell, result: Result) -> bool:
    is_missed = cell.is_recoverable and result.outcome is not Outcome.CORRECT
    return is_missed or result.outcome in {Outcome.SILENT, Outcome.DESTROYED} or result.left > 0


async def _play_all(clients: Sequence[Client], only: str) -> list[Matrix]:
    contents = Contents.of()
    slots = asyncio.Semaphore(_AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = Path(temporary)

        async def one(matrix: Matrix, cell: Cell, client: Client) -> None:
            async with slots:
                own = folder / f"{cell.name}-{client.name}".replace(" ", "-")
                own.mkdir()
                result = await play(cell, client, contents, own)
                matrix.results[cell.name, client.name] = result
            mark = " ***" if result.outcome in {Outcome.SILENT, Outcome.DESTROYED} else ""
            log.info("%-44s %-14s %s, %s there, %.1f s%s", cell.name, client.name, *_line(result), mark)

        matrices = []
        for direction, kinds in ((Direction.DOWNLOAD, DOWNLOADS), (Direction.UPLOAD, UPLOADS)):
            for client in clients:
                own = folder / f"rightly-{direction}-{client.name}".replace(" ", "-")
                own.mkdir()
                await check_rightly(direction, client, contents, own)
            cells = [cell for cell in cells_of(direction, kinds) if only in cell.name]
            matrix = Matrix(direction=direction, kinds=kinds, cells=cells, clients=[client.name for client in clients])
            async with asyncio.TaskGroup() as group:
                for cell in cells:
                    for client in clients:
                        group.create_task(one(matrix, cell, client))
            matrices.append(matrix)
    return matrices


def _line(result: Result) -> tuple[str, str, float]:
    return result.outcome, result.found, result.seconds


if __name__ == "__main__":
    sys.exit(main())
