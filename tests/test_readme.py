"""Tables in the README and in docs say what code, tests and Makefile say. Run as a program, this file writes them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.cli.cli_config import ActionCommand, CLICommand

from airflow_provider_neuro_buckets import buckets, get_provider_info
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.retry import DATA
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, Capability
from airflow_provider_neuro_buckets.buckets.stores.registry import STORES, open_store
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri
from airflow_provider_neuro_buckets.cli.definition import get_commands
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from conformance.rigs.registry import RIGS
from faults.catalogue import PROMISES, files_showing, shown

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
REFERENCE = json.loads((Path(__file__).parent / "reference" / "api.json").read_text())
TESTED_ON = {"aws": "moto", "azure": "Azurite", "gcp": "fake-gcs-server", "seaweedfs": "SeaweedFS"}
COLUMNS = {
    Capability.CONTENT_MD5: "MD5 of what is stored",
    Capability.CREATED_AT: "creation time",
    Capability.SIGN: "signs links itself",
    Capability.EMPTY_SEGMENTS: "`a//b`",
    Capability.DOT_SEGMENTS: "`a/../b`",
    Capability.BACKSLASH: "`a\\b`",
}


async def no_credentials() -> BucketCredentials:
    raise AssertionError("a store that is only looked at asks for nothing")


def store_of(provider: str) -> BlobStore:
    bucket = Bucket(
        id="bucket-1",
        name="models",
        owner="alice",
        cluster_name="default",
        org_name="acme",
        project_name="ml",
        uri=bucket_uri(cluster="default", org="acme", project="ml", bucket="models"),
        provider=provider,
        created_at=datetime.now(UTC),
    )
    return open_store(bucket=bucket, credentials=CredentialSource(no_credentials), http=cast("Any", None), retry=DATA)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def providers() -> str:
    return table(
        ["provider", "tested on", *COLUMNS.values(), "parts of a blob"], [provider_row(provider) for provider in STORES]
    )


def methods() -> str:
    documented = REFERENCE["Buckets"]["methods"]
    ours = [name for name, value in vars(buckets.Buckets).items() if inspect.isfunction(value) and name[0] != "_"]
    assert set(documented) <= set(ours)
    return table(
        ["method", "in the API reference", "what it does"],
        [
            [f"`{name}`", "yes" if name in documented else "ours", summary_of(getattr(NeuroBucketsHook, name))]
            for name in [*documented, *(name for name in ours if name not in documented)]
        ],
    )


def types() -> str:
    names = [name for name in REFERENCE if name != "Buckets"]
    return table(
        ["type", "what it is"],
        [
            [f"`{name}`", summary_of(buckets.BucketProvider if "." in name else getattr(buckets, name))]
            for name in names
        ],
    )


def promises() -> str:
    """What the tests of faults show, a row for each kind of trouble; without tests there is none."""
    there = shown()
    rows = [(promise.promise, [number for number in promise.cases if number in there]) for promise in PROMISES]
    return table(
        ["what is promised", "cases", "shown in"],
        [[promise, str(len(cases)), link_of(files_showing(cases), most=3)] for promise, cases in rows if cases],
    )


def cases() -> str:
    """What the tests of faults show, case by case."""
    there = shown()
    return table(
        ["case", "what is promised", "shown in"],
        [
            [str(number), words, link_of(files_showing([number]), most=2, up="../")]
            for promise in PROMISES
            for number, words in promise.cases.items()
            if number in there
        ],
    )


def connection() -> str:
    """Every field of a connection, as its form has it."""
    (kind,) = get_provider_info()["connection-types"]
    behaviour = kind["ui-field-behaviour"]
    return table(
        ["field", "in the form", "what goes there"],
        [
            *(
                [f"`{name}`", label, example_of(behaviour["placeholders"][name])]
                for name, label in behaviour["relabeling"].items()
            ),
            *(
                [f"`{name}` in the extra", field["label"], field["description"]]
                for name, field in kind["conn-fields"].items()
            ),
        ],
    )


def example_of(placeholder: str) -> str:
    return f"such as `{placeholder}`" if ":" in placeholder else placeholder


def commands() -> str:
    return table(["command", "what it does"], [[f"`{name}`", words] for name, words in named(get_commands())])


def named(found: Iterable[CLICommand], before: str = "airflow") -> Iterator[tuple[str, str]]:
    """Yield each command in full, with what it takes first."""
    for one in found:
        name = f"{before} {one.name}"
        if isinstance(one, ActionCommand):
            takes = [argument for argument in one.args if not argument.flags[0].startswith("-")]
            yield " ".join([name, *(argument.flags[0].upper() for argument in takes)]), str(one.help)
        else:
            yield from named(one.subcommands, name)


def targets() -> str:
    """What `make help` says."""
    rows: list[list[str]] = []
    recipe = (ROOT / "Makefile").read_text().partition("\nhelp:\n")[2].partition("\n\n")[0]
    for line in re.findall(r'^\t@echo "(.*)"$', recipe, re.MULTILINE):
        name, *rest = re.split(r" {2,}", line, maxsplit=1)
        if name:
            rows.append([f"`{name}`", ""])
        rows[-1][1] = " ".join([rows[-1][1], *rest]).strip()
    return table(["command", "what it does"], rows)


def link_of(files: list[str], *, most: int, up: str = "") -> str:
    links = [f"[{file}]({up}tests/{file})" for file in files[:most]]
    return ", ".join(links) + (f" and {len(files) - most} more" if len(files) > most else "")


def summary_of(thing: object) -> str:
    """Return the first sentence of a docstring, in the README's markup."""
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", paragraph).replace("``", "`").replace("|", "\\|")


TABLES = {made.__name__: made for made in (providers, methods, types, promises, cases, connection, commands, targets)}
ELSEWHERE = {
    "cases": DOCS / "reliability.md",
    "methods": DOCS / "reference" / "client.md",
    "types": DOCS / "reference" / "client.md",
    "connection": DOCS / "connection.md",
    "commands": DOCS / "reference" / "commands.md",
    "targets": DOCS / "contributing.md",
}


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: made by tests/test_readme.py -->\n", f"<!-- /{name} -->\n"


def provider_row(provider: str) -> list[str]:
    store = store_of(provider)
    can = {capability: "yes" if capability in store.capabilities else "no" for capability in COLUMNS}
    if can[Capability.SIGN] == "no":
        can[Capability.SIGN] = "with an account's key"
    return [f"`{provider}`", TESTED_ON.get(provider, ""), *can.values(), f"up to {store.limits.most:,}"]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_declares(name: str) -> None:
    begin, end = marks(name)
    there = ELSEWHERE.get(name, README).read_text().partition(begin)[2].partition(end)[0]
    assert there == TABLES[name](), "write it again with: PYTHONPATH=tests python tests/test_readme.py"


def test_every_server_of_the_conformance_suite_is_named() -> None:
    assert set(TESTED_ON) == set(RIGS)


def write() -> None:
    """Replace every table."""
    for name, make in TABLES.items():
        page = ELSEWHERE.get(name, README)
        begin, end = marks(name)
        before, _, rest = page.read_text().partition(begin)
        page.write_text(before + begin + make() + end + rest.partition(end)[2])


if __name__ == "__main__":
    write()
