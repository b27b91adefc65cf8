"""Every block of shell and Python in the README and in docs is run, as a reader would, on a local platform."""

from __future__ import annotations

import ast
import asyncio
import configparser
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_neuro_buckets.fs.path  # noqa: F401 - an old universal_pathlib must be told of it
from airflow_here import needs
from airflow_provider_neuro_buckets.buckets import Buckets, ResourceNotFound
from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from docs.pages import PAGES, ROOT, Block, blocks_of, loose_marks, name_of
from platform_rig import Platform

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

READERS: dict[str, Callable[[str], object]] = {
    "ini": lambda text: configparser.ConfigParser(interpolation=None).read_string(text),
    "json": json.loads,
    "toml": tomllib.loads,
    "text": str,
}
"""Blocks that are no commands: whoever reads them must be able to."""

LONGEST_SECONDS = 550
_BUCKET = re.compile(r"\bblob:(?://(?:\w+@)?)?([a-z][a-z0-9-]*)/")
_MARK = "\N{INFORMATION SEPARATOR TWO}"


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(runs(block, language) for block in blocks_of(page))]


def runs(block: Block, language: str) -> bool:
    return block.language == language and not block.not_run


# Nothing is left out


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_read_or_says_why_not(page: Path) -> None:
    for block in blocks_of(page):
        if block.language.startswith("{"):
            continue  # a directive: the build of the pages reads it
        assert block.language in {"console", "python", *READERS}, block.place
        if block.language in READERS:
            READERS[block.language](block.text)
    assert not loose_marks(page)


def test_whatever_is_not_run_says_why() -> None:
    reasons = {block.place: block.not_run for page in PAGES for block in blocks_of(page) if block.not_run}
    assert [place for place, reason in reasons.items() if len(reason.split()) < 3] == []
    named = [path for reason in reasons.values() for path in re.findall(r"tests/[\w/.]*\w", reason)]
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(reasons) < sum(len(blocks_of(page)) for page in PAGES) / 4


# A reader, and a platform


@pytest.fixture(scope="module")
def running() -> Iterator[RunningPlatform]:
    """A platform whose buckets have the names that the pages give them."""
    with local_platform() as running:
        yield running


@pytest.fixture
def reader(running: RunningPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Somebody with the package, a connection, and an empty home; afterwards all buckets are empty as well."""
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", running.connection)
    monkeypatch.chdir(tmp_path)
    reader = Reader(Platform(running), tmp_path)
    yield reader
    reader.platform.ask(empty)


async def empty(buckets: Buckets) -> None:
    """Remove every blob; the buckets stay: a process that knows one keeps its credentials."""
    async for bucket in buckets.list():
        with suppress(ResourceNotFound):
            await buckets.blob_rm(bucket.uri, recursive=True)


class Reader:
    """Follows a page from top to bottom. The buckets that it names are there."""

    def __init__(self, platform: Platform, home: Path) -> None:
        self.platform = platform
        self.home = home

    def in_words_of_this_platform(self, text: str) -> str:
        """Put this platform where a page has one that is made up."""
        running = self.platform.running
        for page, here in {
            "https://api.example.org/api/v1": running.api_url,
            '"…"': f'"{running.token}"',
            '"default"': f'"{running.cluster_name}"',
            '"acme"': f'"{running.org_name}"',
            '"ml"': f'"{running.project_name}"',
        }.items():
            text = text.replace(page, here)
        return text

    def make_buckets(self, blocks: list[Block]) -> None:
        missing = {name for block in blocks for name in _BUCKET.findall(block.given + block.text)}
        for name in missing - set(self.platform.buckets()):
            self.platform.ask(methodcaller("create", name))

    def run_commands(self, blocks: list[Block]) -> list[str]:
        """Run the commands of a page in one shell; return what each has said.

        A command that fails fails the test, which shows what was said until then.
        """
        script = "set -euo pipefail\n" + "".join(
            f"{block.given}\n" + "".join(f"echo {_MARK}\n{command}\n" for command, _ in commands_of(block))
            for block in blocks
        )
        (self.home / "page.sh").write_text(self.in_words_of_this_platform(script))
        done = subprocess.run(
            ["bash", "page.sh"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.home,
            env=self._environment(),
            timeout=LONGEST_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.split(f"{_MARK}\n")[1:]

    def _environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))},
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": self.platform.running.connection,
            "REPOSITORY": str(ROOT),
        }

    def run_python(self, blocks: list[Block]) -> None:
        """Run the Python of a page, one block after another, in one module; what awaits, in a loop of its own."""
        names: dict[str, Any] = {"__name__": "page"}
        for block in blocks:
            for text, line in ((block.given, 1), (block.text, block.line + 1)):
                code = compile(
                    "\n" * (line - 1) + self.in_words_of_this_platform(text),
                    name_of(block.page),
                    "exec",
                    flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                    dont_inherit=True,
                )
                awaits = eval(code, names)
                if code.co_flags & inspect.CO_COROUTINE:
                    asyncio.run(awaits)


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """Return each command of a session, and the lines that it says; a quotation may go over several lines."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands and is_open(commands[-1][0]):
            command, said = commands[-1]
            commands[-1] = (f"{command}\n{line}", said)
        elif line.strip():
            commands[-1][1].append(line)
    return commands


def is_open(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")


def is_in(line: str, said: Iterator[str]) -> bool:
    """Whether a line that a page shows comes next in what was said; ``…`` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in line.split("…"))
    return any(re.fullmatch(pattern, other.rstrip()) for other in said)


# The pages


@needs(3, 2, reason="takes no commands of providers")
@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_commands_do_what_the_page_shows(page: Path, reader: Reader) -> None:
    blocks = [block for block in blocks_of(page) if runs(block, "console")]
    reader.make_buckets(blocks)
    said = iter(reader.run_commands(blocks))
    for block in blocks:
        for command, lines in commands_of(block):
            output = next(said)
            left = iter(output.splitlines())
            assert all(is_in(line, left) for line in lines), f"{block.place}: {command} says:\n{output}"


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_runs_as_it_stands(page: Path, reader: Reader) -> None:
    blocks = [block for block in blocks_of(page) if runs(block, "python")]
    reader.make_buckets(blocks)
    reader.run_python(blocks)
