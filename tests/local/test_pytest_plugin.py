"""The fixture that DAG authors get by installing the package."""

from __future__ import annotations

import sys
import textwrap

from local.processes import Desk

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider"]
TEST = textwrap.dedent("""
    import json

    def test_with_a_platform(neuro_buckets_local):
        assert json.loads(neuro_buckets_local.connection)["conn_type"] == "neuro_buckets"
        print("the same platform:", neuro_buckets_local.pid)

    def test_with_the_same(neuro_buckets_local):
        assert neuro_buckets_local.config.token == neuro_buckets_local.token
        print("the same platform:", neuro_buckets_local.pid)

    def test_without():
        pass
""")


def test_a_session_has_one_platform_that_ends_with_it(desk: Desk) -> None:
    file = desk.folder.parent / "test_dags.py"
    file.write_text(TEST)
    done = desk.run(*PYTEST, "-s", "-W", "error", "--rootdir", str(file.parent), str(file))
    said = [line for line in done.stdout.splitlines() if "the same platform" in line]

    assert "3 passed" in done.stdout, done.stdout
    assert len(said) == 2
    assert len({line.rpartition(" ")[2] for line in said}) == 1
    assert desk.alive() == []
    assert [name for name in desk.files() if name.startswith("neuro-buckets-")] == []


def test_a_session_that_asks_for_none_starts_none_and_loads_nothing(desk: Desk) -> None:
    file = desk.folder.parent / "test_nothing.py"
    file.write_text("import sys\n\ndef test_nothing():\n    assert 'aiohttp' not in sys.modules\n")
    done = desk.run(*PYTEST, "--rootdir", str(file.parent), str(file))

    assert "1 passed" in done.stdout, done.stdout
    assert desk.files() == []
