from __future__ import annotations

from yarl import URL

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)
from airflow_provider_neuro_buckets.buckets.transfer.reporting import FileReporter, FolderReporter, Reporter
from buckets.transfer.recording import Recorder


def addresses(relative: str) -> tuple[URL, URL]:
    return URL("file:///src") / relative, URL("blob:bkt") / relative


def test_each_event_reaches_the_progress_of_the_caller_with_both_addresses() -> None:
    recorder = Recorder()
    reporter = FolderReporter(recorder, addresses)
    reporter.found(1, 2, complete=False)
    reporter.enter("d/")
    reporter.start("d/f", 2)
    reporter.step("d/f", 1, 2)
    reporter.complete("d/f", 2)
    reporter.fail("g", "no")
    reporter.leave("d/")
    file, folder = addresses("d/f"), addresses("d/")
    top, other = addresses(""), addresses("g")
    assert recorder.events == [
        StorageProgressFound(src=top[0], dst=top[1], files=1, size=2, complete=False),
        StorageProgressEnterDir(src=folder[0], dst=folder[1]),
        StorageProgressStart(src=file[0], dst=file[1], size=2),
        StorageProgressStep(src=file[0], dst=file[1], current=1, size=2),
        StorageProgressComplete(src=file[0], dst=file[1], size=2),
        StorageProgressFail(src=other[0], dst=other[1], message="no"),
        StorageProgressLeaveDir(src=folder[0], dst=folder[1]),
    ]


def test_the_progress_of_one_file_hears_of_no_folders() -> None:
    class OneFile(AbstractFileProgress):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def start(self, data: StorageProgressStart) -> None:
            self.heard.append(f"start {data.size}")

        def step(self, data: StorageProgressStep) -> None:
            self.heard.append(f"step {data.current}")

        def complete(self, data: StorageProgressComplete) -> None:
            self.heard.append(f"complete {data.size}")

    progress = OneFile()
    reporter = FileReporter(progress, addresses)
    reporter.found(1, 3, complete=True)
    reporter.enter("")
    reporter.start("", 3)
    reporter.step("", 3, 3)
    reporter.complete("", 3)
    reporter.fail("", "no")
    reporter.leave("")
    assert progress.heard == ["start 3", "step 3", "complete 3"]


def test_nobody_hears_of_a_transfer_without_progress() -> None:
    reporter = Reporter()
    reporter.found(1, 2, complete=True)
    reporter.start("f", 1)
    reporter.fail("f", "no")


def test_a_progress_written_for_the_reference_need_not_know_what_is_ours() -> None:
    class Theirs(AbstractRecursiveFileProgress):
        def start(self, data: StorageProgressStart) -> None:
            raise AssertionError(data)

        step = complete = enter = leave = fail = start  # type: ignore[assignment]  # whatever it is told

    FolderReporter(Theirs(), addresses).found(1, 2, complete=True)
