"""`make demo` as a person runs it: it ends well, it says which step failed, and stopped it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest

DEMO = Path(__file__).parents[1] / "example_dags" / "demo.py"
HOSTILE = [
    "two words.txt",
    "a+b.txt",
    "100%.txt",
    "%20.txt",
    "#1.txt",
    "what?.txt",
    "you & me.txt",
    "it's.txt",
    'say "hi".txt',
    "[1].txt",
    "{x}.txt",
    "~tilde*star.txt",
    unicodedata.normalize("NFC", "é.txt"),
    unicodedata.normalize("NFD", "ü.txt"),
    "日本語.txt",
    "🙂.txt",
    ".hidden",
    "no suffix",
    "semi;colon,comma=equals@at:colon$dollar!bang.txt",
]
QUIET_SECONDS = 500.0


@contextmanager
def demo(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Queue[str], str]]:
    """Start the demo; gives it, the lines that it prints, and a mark that every process of it carries."""
    mark = f"demo-test-{uuid.uuid4()}"
    process = subprocess.Popen(
        [sys.executable, str(DEMO), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(home), "DEMO_TEST_MARK": mark, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    reader = Thread(target=hand_over, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield process, lines, mark
        process.wait(QUIET_SECONDS)
        reader.join(QUIET_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def hand_over(printed: Iterable[str], lines: Queue[str]) -> None:
    for line in printed:
        lines.put(line)


def wait_for(text: str, lines: Queue[str]) -> None:
    seen = []
    try:
        while text not in (line := lines.get(timeout=QUIET_SECONDS)):
            seen.append(line)
    except Empty:
        pytest.fail(f"the demo never said {text!r} but:\n{''.join(seen[-40:])}")


def everything(lines: Queue[str]) -> str:
    return "".join(lines.queue)


def carriers(mark: str) -> list[str]:
    """Return the processes with the mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
    return found


def make_hostile_folder(folder: Path) -> None:
    for place in (folder, folder / "sub folder+%", folder / "sub folder+%" / "deeper #?&"):
        place.mkdir(parents=True)
        for number, name in enumerate(HOSTILE):
            (place / name).write_bytes(name.encode() * number)
    (folder / "large.bin").write_bytes(os.urandom(20 * 1024 * 1024))
    (folder / "empty folder").mkdir()


def test_a_folder_of_names_that_break_other_tools_comes_back_as_it_was(tmp_path: Path) -> None:
    folder, home = tmp_path / "what to move", tmp_path / "home"
    home.mkdir()
    make_hostile_folder(folder)
    with demo(home, "--data", str(folder)) as (process, lines, mark):
        pass
    said = everything(lines)
    assert (process.returncode, said.rstrip().rpartition("\n")[2]) == (0, "demo: ok"), said[-4000:]
    files = len(HOSTILE) * 3 + 1
    assert [line.split()[2] for line in said.splitlines() if line.startswith(("upload ", "download ", "compare "))] == (
        [str(files)] * 3
    )
    assert list(home.iterdir()) == []
    assert carriers(mark) == []


@pytest.mark.parametrize(
    "moment",
    [
        "starting the local platform",
        "preparing a fresh Airflow home",
        "starting task_id=upload",
        "starting task_id=download",
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT])
def test_stopped_at_any_moment_it_leaves_no_process_and_no_file(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with demo(home) as (process, lines, mark):
        wait_for(moment, lines)
        os.killpg(process.pid, number)
    assert process.returncode == 130
    assert "demo: ok" not in everything(lines)
    assert list(home.iterdir()) == []
    assert carriers(mark) == []


def test_a_step_that_fails_is_named_and_what_was_made_is_removed(tmp_path: Path) -> None:
    folder, home = tmp_path / "data", tmp_path / "home"
    home.mkdir()
    folder.mkdir()
    (folder / "file.txt").write_text("x")
    (folder / "secrets").symlink_to("/etc/passwd")
    with demo(home, "--data", str(folder)) as (process, lines, mark):
        pass
    said = everything(lines)
    assert process.returncode == 1
    assert "demo: failed in upload" in said
    assert 'Pass symlinks="follow"' in said
    assert list(home.iterdir()) == []
    assert carriers(mark) == []


def test_a_folder_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with demo(tmp_path, "--data", str(tmp_path / "nowhere")) as (process, lines, _):
        pass
    assert process.returncode == 2
    assert (
        everything(lines) == f"demo: there is no folder {tmp_path / 'nowhere'}. Pass another: make demo DATA=folder\n"
    )
