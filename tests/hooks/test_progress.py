"""What a task's log says of a transfer while it runs, and how often."""

from __future__ import annotations

import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets.progress import (
    StorageProgressComplete,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressStart,
    StorageProgressStep,
)
from airflow_provider_neuro_buckets.hooks.progress import LogFileProgress, LogProgress

MB = 10**6


class Lines:
    """A logger, and a clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def clock(self) -> float:
        return self.now

    def info(self, event: str, *arguments: object) -> None:
        self.infos.append(event % arguments)

    def warning(self, event: str, *arguments: object) -> None:
        self.warnings.append(event % arguments)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def progress(lines: Lines) -> LogProgress:
    return LogProgress(lines, "Uploading to blob:lake/", every_seconds=3.0, clock=lines.clock)


def ends(name: str) -> dict[str, URL]:
    return {"src": URL(f"file:///{name}"), "dst": URL(f"blob:lake/{name}")}


def found(files: int, size: int, *, complete: bool) -> StorageProgressFound:
    return StorageProgressFound(**ends(""), files=files, size=size, complete=complete)


def step(name: str, current: int) -> StorageProgressStep:
    return StorageProgressStep(**ends(name), current=current, size=10 * MB)


def test_a_line_is_written_now_and_then_however_much_happens(progress: LogProgress, lines: Lines) -> None:
    for number in range(100):
        lines.now += 0.1
        progress.step(step("a", number))
    assert len(lines.infos) == 3


def test_a_line_tells_files_bytes_speed_and_time_left(progress: LogProgress, lines: Lines) -> None:
    progress.found(found(4, 40 * MB, complete=True))
    progress.complete(StorageProgressComplete(**ends("a"), size=10 * MB))
    lines.now += 5
    progress.step(step("b", 5 * MB))
    assert lines.infos == [
        "Uploading to blob:lake/: 1 of 4 files, 15.0 MB of 40.0 MB, 3.0 MB/s, 8 s left",
    ]


def test_as_long_as_the_source_is_walked_nobody_knows_the_time_left(progress: LogProgress, lines: Lines) -> None:
    lines.now += 5
    progress.found(found(4, 40 * MB, complete=False))
    assert lines.infos == [
        "Uploading to blob:lake/: 0 of at least 4 files, 0.0 MB of at least 40.0 MB, 0.0 MB/s, time left unknown"
    ]


def test_bytes_that_are_sent_again_count_once(progress: LogProgress) -> None:
    progress.step(step("a", 8 * MB))
    progress.step(step("b", MB))
    progress.step(step("a", 3 * MB))
    assert progress.moved == 4 * MB


def test_a_file_that_fails_is_told_at_once_and_its_bytes_do_not_count(progress: LogProgress, lines: Lines) -> None:
    progress.step(step("a", 8 * MB))
    progress.fail(StorageProgressFail(**ends("a"), message="it is gone"))
    assert lines.warnings == ["Not moved: file:///a (it is gone)"]
    assert (progress.moved, lines.infos) == (0, [])


def test_a_single_file_is_all_there_is_to_do(lines: Lines) -> None:
    progress = LogFileProgress(lines, "Downloading", clock=lines.clock)
    lines.now += 5
    progress.start(StorageProgressStart(**ends("a"), size=10 * MB))
    assert lines.infos == ["Downloading: 0 of 1 files, 0.0 MB of 10.0 MB, 0.0 MB/s, time left unknown"]
