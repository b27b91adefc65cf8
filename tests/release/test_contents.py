"""What is in the files that are released: all that belongs there, and nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

NAME = "airflow_provider_neuro_buckets"
PYTHON = re.compile(rf"{NAME}/([a-z0-9_]+/)*[a-z0-9_]+\.py")
INFORMATION = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
TOP = {
    *(NAME, "benchmarks", "docs", "example_dags", "tests"),
    *("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "pyproject.toml", "PKG-INFO", ".gitignore"),
}


@pytest.fixture
def files(wheel: Path) -> list[str]:
    with ZipFile(wheel) as opened:
        return opened.namelist()


@pytest.fixture
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(opened.read(name))


@pytest.fixture
def version(checkout: Path) -> str:
    (found,) = re.findall(r'^__version__ = "(.+)"$', (checkout / NAME / "__init__.py").read_text(), re.MULTILINE)
    return str(found)


def tracked(checkout: Path, *folders: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", *folders], cwd=checkout, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_the_wheel_has_the_modules_of_the_package_and_that_it_is_typed(files: list[str], checkout: Path) -> None:
    inside = {name for name in files if ".dist-info/" not in name}
    assert inside == tracked(checkout, NAME)
    assert {name for name in inside if not PYTHON.fullmatch(name)} == {f"{NAME}/py.typed"}


def test_the_wheel_says_what_it_is_and_under_which_licence(files: list[str]) -> None:
    assert {name.partition(".dist-info/")[2] for name in files if ".dist-info/" in name} == INFORMATION


def test_the_version_stands_in_one_place(metadata: Message, wheel: Path, source: Path, version: str) -> None:
    assert metadata["Version"] == version
    assert wheel.name.startswith(f"{NAME}-{version}-py3-none-any")
    assert source.name == f"{NAME}-{version}.tar.gz"


def test_users_find_it(metadata: Message) -> None:
    classifiers = set(metadata.get_all("Classifier", []))
    assert {"Framework :: Apache Airflow :: Provider", "Typing :: Typed"} <= classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= classifiers
    assert {"airflow", "s3", "azure", "neuro"} <= set(metadata["Keywords"].split(","))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_no_link_on_the_page_of_a_package_index_leads_nowhere(metadata: Message) -> None:
    page = metadata.get_payload()
    assert isinstance(page, str)
    links = ["".join(found) for found in re.findall(r'\]\(([^)]+)\)|<(?:a|img)\b[^>]*\b(?:href|src)="([^"]+)"', page)]
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_source_has_what_it_takes_to_build_and_test_it(source: Path, checkout: Path) -> None:
    with tarfile.open(source) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {name.partition("/")[0] for name in names} == TOP
    assert tracked(checkout, *(TOP - {"PKG-INFO"})) <= names
    assert not [name for name in names if re.search(r"__pycache__|node_modules|\.venv|\.pyc$|\.egg-info", name)]
