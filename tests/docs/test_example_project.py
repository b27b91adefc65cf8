"""The project that the documentation offers for copying: its tests pass, in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from airflow_here import needs
from docs.pages import DOCS


@needs(3, 1, reason="has DAGs that cannot run themselves")
def test_its_tests_pass_in_a_copy_of_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(DOCS / "example-project", project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    ours = ("AIRFLOW", "COVERAGE", "PYTEST")  # to watch which lines are reached takes half as long again
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path != project] == []
