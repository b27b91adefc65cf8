from __future__ import annotations

import random
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.buckets.progress import (
    StorageProgressComplete,
    StorageProgressFail,
    StorageProgressStart,
    StorageProgressStep,
)
from airflow_provider_neuro_buckets.buckets.transfer.plan import SINGLE_READ, plan_ranges
from buckets.transfer.asking import download, upload, window
from buckets.transfer.recording import Recorder
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, remote
from conformance.rigs.base import Rig

LARGE = random.Random(9).randbytes(SINGLE_READ + 5)
TREE = {"a": b"aaa", "d/b": b"bb", "d/e/c": b"c", "empty/": None, "zero": b"", "large": LARGE}


def check(recorder: Recorder, tree: dict[str, bytes | None], root: str) -> None:
    """See to it that a transfer without failures was told in order, with the right totals."""
    lines = recorder.brief(root=root)
    files = {path: len(content) for path, content in tree.items() if content is not None}
    folders = {"", "d", "d/e", "empty"}
    assert sorted(lines) == sorted(
        [f"{event} {path}".strip() for event in ("start", "complete") for path in files]
        + [f"{event} {path}".strip() for event in ("enter", "leave") for path in folders]
    )
    for path in files:
        folder = path.rpartition("/")[0]
        order = [f"enter {folder}".strip(), f"start {path}", f"complete {path}", f"leave {folder}".strip()]
        assert sorted(order, key=lines.index) == order
    for folder in folders - {""}:
        above = folder.rpartition("/")[0]
        assert lines.index(f"enter {above}".strip()) < lines.index(f"enter {folder}")
        assert lines.index(f"leave {folder}") < lines.index(f"leave {above}".strip())
    for path, size in files.items():
        of_file = [
            event
            for event in recorder.events
            if isinstance(event, StorageProgressStart | StorageProgressStep | StorageProgressComplete)
            and path in {str(url).removeprefix(root).strip("/") for url in (event.src, event.dst)}
        ]
        assert {event.size for event in of_file} == {size}
        currents = [event.current for event in of_file if isinstance(event, StorageProgressStep)]
        assert currents == sorted(currents)
        assert currents[-1:] == [size] or not size
    finds = recorder.finds()
    assert [event.complete for event in finds] == [False] * (len(finds) - 1) + [True]
    assert [event.files for event in finds] == sorted(event.files for event in finds)
    assert (finds[-1].files, finds[-1].size) == (len(files), sum(files.values()))


async def test_events_of_a_folder_come_in_order_with_the_right_totals_both_ways(
    buckets: Buckets, place: str, tmp_path: Path
) -> None:
    src = plant(tmp_path / "src", TREE)
    up, down = Recorder(), Recorder()
    await buckets.upload_dir(src, place, progress=up)
    check(up, TREE, f"file://{src}")
    await buckets.download_dir(place, tmp_path / "dst", progress=down)
    check(down, TREE, f"file://{tmp_path}/dst")
    sources = {str(event.src) for event in down.events}
    assert all("://" in source and "/large" in source for source in sources if source.endswith("large"))


async def test_addresses_in_events_lead_back_to_what_they_name(buckets: Buckets, place: str, tmp_path: Path) -> None:
    name = "a b%20#?&é"
    src = plant(tmp_path / "src", {name: b"x"})
    recorder = Recorder()
    await buckets.upload_dir(src, place, progress=recorder)
    start = next(event for event in recorder.events if isinstance(event, StorageProgressStart))
    assert start.src.path == str(src / name)
    assert (await buckets.stat_blob(start.dst)).name == name
    one = Recorder()
    await buckets.download_file(start.dst, tmp_path / "one", progress=one)
    assert [type(event) for event in one.events] == [StorageProgressStart, StorageProgressStep, StorageProgressComplete]
    assert one.events[0].src == start.dst


async def test_a_skipped_file_and_a_failed_one_are_told_as_what_they_are(aws: Rig, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", {"good": b"x", "bad": b"x"})
    (src / "broken").symlink_to("nothing")

    async def refuse(call: Call) -> None:
        if call == Call("write", "x/bad"):
            raise PermissionError("no")

    recorder = Recorder()
    with pytest.raises(TransferError):
        await upload(src, remote(aws, "x", refuse)[0], progress=recorder)
    fails = {event.src.name: event.message for event in recorder.events if isinstance(event, StorageProgressFail)}
    assert fails == {"bad": "no", "broken": "it is a link to nothing, or vanished"}
    assert "complete bad" not in recorder.brief(root=f"file://{src}")
    assert recorder.brief(root=f"file://{src}")[-1] == "leave"


async def test_an_unchanged_file_is_found_but_not_started(buckets: Buckets, place: str, tmp_path: Path) -> None:
    src = plant(tmp_path / "src", {"f": b"x"})
    await buckets.upload_dir(src, place)
    recorder = Recorder()
    await buckets.upload_dir(src, place, update=True, progress=recorder)
    assert recorder.brief(root=f"file://{src}") == ["enter", "leave"]
    assert recorder.finds()[-1].files == 1


async def test_steps_go_back_when_a_blob_has_to_be_read_again(aws: Rig, tmp_path: Path) -> None:
    new = LARGE[::-1]
    _, second, *_ = (span.start for span in plan_ranges(0, len(LARGE), part=len(LARGE)))
    await aws.put("d/k", LARGE)
    replaced = False

    async def replace(call: Call) -> None:
        nonlocal replaced
        if call == Call("read", "d/k", second) and not replaced:
            replaced = True
            await aws.put("d/k", new)

    recorder = Recorder()
    await download(remote(aws, "d", replace)[0], tmp_path, through=window(max_concurrency=1), progress=recorder)
    assert (tmp_path / "k").read_bytes() == new
    steps = recorder.steps()
    again = steps.index(second) + 1
    assert steps[:again] == sorted(steps[:again])
    assert steps[again:] == sorted(steps[again:])
    assert steps[again] <= second
    assert steps[-1] == len(LARGE)
    assert [line.partition(" ")[0] for line in recorder.brief(root="file:")] == ["enter", "start", "complete", "leave"]


async def test_a_progress_that_fails_ends_the_transfer_with_its_own_error_and_leaves_nothing(
    aws: Rig, tmp_path: Path
) -> None:
    class Broken(Recorder):
        def step(self, data: StorageProgressStep) -> None:
            raise ZeroDivisionError(data)

    for number in range(5):
        await aws.put(f"d/{number}", b"x")
    await aws.put("d/large", LARGE)
    with pytest.raises(ZeroDivisionError):
        await download(remote(aws, "d")[0], tmp_path, progress=Broken())
    assert all(content == b"x" for content in snapshot(tmp_path).values())
    with pytest.raises(ZeroDivisionError):
        await upload(plant(tmp_path / "src", {"f": LARGE}), remote(aws, "u")[0], progress=Broken())
    assert await aws.unfinished() == []
