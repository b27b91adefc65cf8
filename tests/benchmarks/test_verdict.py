from __future__ import annotations

from pathlib import Path

from benchmarks.data import MIB
from benchmarks.job import Sample, Verb
from benchmarks.report import write
from benchmarks.results import Cell, Record, Results
from benchmarks.verdict import cpu, figures, growth_figures, middle, ratio, ratios, seconds
from benchmarks.works import ALL, OFFICIAL, OURS, S5CMD, Limits, Work

WORK = Work(
    name="small-up",
    title="small files up",
    verb=Verb.UPLOAD_DIR,
    data="4KiB*2000",
    limits=Limits(ratios={S5CMD: 1.0, OFFICIAL: 0.1}, peak_bytes=150 * MIB),
)


def cell(number: int, peer: str, took: float, *, peak: int = MIB) -> Cell:
    return Cell(round=number, peer=peer, sample=Sample(seconds=took, cpu_seconds=took / 2, peak_bytes=peak))


def record(*cells: Cell, work: str = "small-up", files: int = 2000) -> Record:
    return Record(
        work=work,
        files=files,
        bytes=0,
        scale=1.0,
        measured_at="2026-01-02T03:04+00:00",
        machine={"machine": "2 cores"},
        cells=cells,
    )


def test_a_ratio_is_taken_within_each_round_and_only_then_the_median() -> None:
    # A round that was slow for everybody says nothing against either.
    measured = record(
        cell(0, OURS, 1.0),
        cell(0, S5CMD, 2.0),
        cell(1, OURS, 30.0),
        cell(1, S5CMD, 60.0),
        cell(2, OURS, 3.0),
        cell(2, S5CMD, 2.0),
    )
    assert ratios(measured, S5CMD) == [0.5, 0.5, 1.5]
    assert ratio(measured, S5CMD) == 0.5
    assert middle(measured, OURS, seconds) == 3.0
    assert middle(measured, S5CMD, cpu) == 1.0


def test_a_peer_with_fewer_rounds_is_compared_in_the_rounds_that_it_has() -> None:
    measured = record(cell(0, OURS, 1.0), cell(0, OFFICIAL, 10.0), cell(1, OURS, 5.0))
    assert ratios(measured, OFFICIAL) == [0.1]


def test_a_job_that_failed_counts_in_no_figure_and_is_shown(tmp_path: Path) -> None:
    failed = Cell(round=0, peer=S5CMD, error="of 2000 files 1 are missing")
    measured = record(cell(0, OURS, 1.0), failed)
    assert ratio(measured, S5CMD) is None
    assert [figure.name for figure in figures(WORK, measured)] == ["bytes above idle"]
    write({"small-up": measured}, tmp_path)
    assert "failed: of 2000 files 1 are missing" in (tmp_path / "RESULTS.md").read_text()


def test_what_was_missed_is_told_with_its_profile(tmp_path: Path) -> None:
    measured = record(cell(0, OURS, 3.0), cell(0, S5CMD, 2.0))
    written = Record(**{**measured.to_json(), "cells": measured.cells, "profile": "all of it in one function"})
    assert [figure.is_met for figure in figures(WORK, written)] == [False, True]
    write({"small-up": written}, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "1.50 \N{MULTIPLICATION SIGN} s5cmd, at most 1 was wanted" in text
    assert "all of it in one function" in text


def test_memory_is_judged_by_the_worst_round() -> None:
    measured = record(cell(0, OURS, 1.0, peak=100 * MIB), cell(1, OURS, 1.0, peak=151 * MIB))
    assert [(figure.value, figure.is_met) for figure in figures(WORK, measured)] == [(151 * MIB, False)]


def test_growth_compares_the_time_a_file_not_the_time_a_folder() -> None:
    rows = {
        "small-up": record(cell(0, OURS, 2.0)),
        "growth-10000-up": record(cell(0, OURS, 10.0), files=10_000),
        "growth-50000-up": record(cell(0, OURS, 75.0), files=50_000),
    }
    assert [(figure.value, figure.is_met) for figure in growth_figures(rows)] == [(1.5, False)]
    assert growth_figures({name: rows[name] for name in ("small-up", "growth-50000-up")}) == []


def test_results_are_read_as_they_were_written_and_a_row_replaces_its_earlier_self(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep" / "results.json")
    old, new, other = record(cell(0, OURS, 1.0)), record(cell(0, OURS, 2.0)), record(cell(0, S5CMD, 3.0), work="list")
    for each in (old, other, new):
        results.put(each)
    assert results.read() == {"small-up": new, "list": other}


def test_rows_have_names_of_their_own() -> None:
    assert len({work.name for work in ALL}) == len(ALL)
