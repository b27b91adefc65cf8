"""A download with `continue_` that was cut off is gone on with by the next try, and trusted for its checksum only."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import Conflict, ResourceNotFound, Unavailable
from airflow_provider_neuro_buckets.buckets.progress import StorageProgressStep
from airflow_provider_neuro_buckets.buckets.transfer import temporary
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ
from buckets.transfer.asking import download, download_one
from buckets.transfer.recording import Recorder
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, failing, remote
from conformance.rigs.base import Rig

LARGE = random.Random(10).randbytes(SINGLE_READ + 13 * MIB + 7)
STARTS = list(range(0, len(LARGE), PART))

pytestmark = pytest.mark.usefixtures("no_open_files")


class Arrivals(Recorder):
    """Tells when some bytes have arrived and are in the file."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.are_enough = asyncio.Event()
        self._enough = enough

    def step(self, data: StorageProgressStep) -> None:
        if data.current >= self._enough:
            self.are_enough.set()


async def cut_off(aws: Rig, path: Path, *, existing: Existing = Existing.CONTINUE) -> None:
    """Try a download of which only the first two ranges arrive."""
    arrivals = Arrivals(STARTS[2])

    async def guard(call: Call) -> None:
        if call.verb == "read" and call.start >= STARTS[2]:
            await arrivals.are_enough.wait()
            raise Unavailable("down")

    with pytest.raises(Unavailable):
        await download_one(remote(aws, "k", guard)[0], path, existing=existing, progress=arrivals)


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if temporary.is_temporary(path.name)]


async def test_the_next_try_fetches_only_what_did_not_arrive(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    old = LARGE + b"and more"
    plant(tmp_path, {"f": old})
    await cut_off(aws, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == old
    assert len(left_in(tmp_path)) == 1
    there, store = remote(aws, "k")
    report = await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert sorted(store.starts("read")) == STARTS[2:]
    assert (report.files, report.verified, report.bytes) == (1, 1, len(LARGE) - 2 * PART)
    assert snapshot(tmp_path) == {"f": LARGE}


async def test_a_cancelled_download_is_gone_on_with_as_well(aws: Rig, tmp_path: Path) -> None:
    await aws.put("d/k", LARGE)
    arrivals = Arrivals(STARTS[1])

    async def guard(call: Call) -> None:
        if call.verb == "read" and call.start >= STARTS[1]:
            await asyncio.Event().wait()

    there = remote(aws, "d", guard)[0]
    task = asyncio.create_task(download(there, tmp_path, existing=Existing.CONTINUE, progress=arrivals))
    await arrivals.are_enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    there, store = remote(aws, "d")
    await download(there, tmp_path, existing=Existing.UPDATE_OR_CONTINUE)
    assert sorted(store.starts("read")) == STARTS[1:]
    assert snapshot(tmp_path) == {"k": LARGE}


KILLED = """
import os, signal, sys
from pathlib import Path
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
content = sys.stdin.buffer.read()
destination = Destination(Path(sys.argv[1]), resumes=True)
target = destination.begin(("f",), size=len(content), version=sys.argv[2])
for start, stop in ((0, 1 << 20), (9 << 20, 12 << 20)):
    target.write(start, content[start:stop])
os.kill(os.getpid(), signal.SIGKILL)
"""


async def kill(aws: Rig, folder: Path, content: bytes = LARGE) -> None:
    """Let a process be killed that has written two pieces of a download."""
    meta = await aws.store.head("k")
    command = [sys.executable, "-c", KILLED, str(folder), f"{meta.etag} {meta.size}"]
    ended = await asyncio.to_thread(subprocess.run, command, input=content, check=False)
    assert ended.returncode == -signal.SIGKILL


async def test_what_a_killed_process_has_written_is_kept_and_the_gaps_are_filled_f78(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path)
    there, store = remote(aws, "k")
    report = await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert report.bytes == len(LARGE) - 4 * MIB
    assert min(store.starts("read")) == MIB
    assert (report.verified, snapshot(tmp_path)) == (1, {"f": LARGE})


async def test_what_was_left_and_is_wrong_is_found_out_and_all_is_fetched_anew(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path, LARGE[::-1])
    there, store = remote(aws, "k")
    report = await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert set(STARTS) <= set(store.starts("read"))
    assert (report.bytes, snapshot(tmp_path)) == (len(LARGE), {"f": LARGE})


async def test_what_was_left_of_another_version_is_not_used(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path)
    new = LARGE[::-1]
    await aws.put("k", new)
    report = await download_one(remote(aws, "k")[0], tmp_path / "f", existing=Existing.CONTINUE)
    assert report.bytes == len(new)
    assert (tmp_path / "f").read_bytes() == new


@pytest.mark.parametrize("existing", [Existing.REPLACE, Existing.UPDATE])
async def test_a_download_that_does_not_continue_sweeps_what_was_left_and_leaves_nothing(
    aws: Rig, tmp_path: Path, existing: Existing
) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path)
    await cut_off(aws, tmp_path / "f", existing=existing)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("error", [Conflict("replaced"), ResourceNotFound("gone"), OSError(28, "full")])
async def test_after_a_failure_that_will_not_pass_nothing_is_left(aws: Rig, tmp_path: Path, error: Exception) -> None:
    await aws.put("k", LARGE)
    there, _ = remote(aws, "k", failing("read", error, at=2))
    with pytest.raises(type(error)):
        await download_one(there, tmp_path / "f", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {}


async def test_a_file_that_another_process_is_writing_is_left_to_it(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path)
    (left,) = left_in(tmp_path)
    with left.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        report = await download_one(remote(aws, "k")[0], tmp_path / "f", existing=Existing.CONTINUE)
    assert (report.bytes, (tmp_path / "f").read_bytes()) == (len(LARGE), LARGE)
    assert left_in(tmp_path) == [left]


@pytest.mark.parametrize("kind", ["open to others", "hard link", "symbolic link", "folder", "pipe"])
async def test_what_somebody_else_may_have_put_there_is_not_written_to(aws: Rig, tmp_path: Path, kind: str) -> None:
    await aws.put("k", LARGE)
    meta = await aws.store.head("k")
    (tmp_path / "other").mkdir()
    victim = tmp_path / "other" / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o600)
    (tmp_path / "dst").mkdir()
    trap = tmp_path / "dst" / temporary.resumable_name("f", f"{meta.etag} {meta.size}")
    match kind:
        case "open to others":
            trap.write_bytes(b"")
            trap.chmod(0o666)
        case "hard link":
            os.link(victim, trap)
        case "symbolic link":
            trap.symlink_to(victim)
        case "folder":
            trap.mkdir()
        case "pipe":
            os.mkfifo(trap, 0o600)
    await download_one(remote(aws, "k")[0], tmp_path / "dst" / "f", existing=Existing.CONTINUE)
    assert (tmp_path / "dst" / "f").read_bytes() == LARGE
    assert victim.read_bytes() == b"precious"


async def test_what_nobody_went_on_with_for_a_day_is_swept(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", LARGE)
    await kill(aws, tmp_path)
    (left,) = left_in(tmp_path)
    await aws.put("other", LARGE)
    await download_one(remote(aws, "other")[0], tmp_path / "g", existing=Existing.CONTINUE)
    assert left.exists()
    long_ago = left.stat().st_mtime - temporary.STALE_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    (tmp_path / "g").unlink()
    await download_one(remote(aws, "other")[0], tmp_path / "g", existing=Existing.CONTINUE)
    assert snapshot(tmp_path) == {"g": LARGE}
