"""Every link inside the documentation leads somewhere, and every example that it includes is there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.pages import DOCS, PAGES, ROOT, anchors_of, blocks_of, included_by, links_of, name_of

EACH_PAGE = pytest.mark.parametrize("page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=name_of)


def broken(page: Path, link: str) -> str:
    """Return what is wrong with a link; empty: nothing."""
    parts = urlsplit(link)
    if parts.scheme:
        is_address = parts.scheme in {"http", "https"} and re.fullmatch(r"[\w.-]+\.\w+(:\d+)?", parts.netloc)
        return "" if is_address else "is no address"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return "leads nowhere"
    if parts.fragment and (target.suffix != ".md" or parts.fragment not in anchors_of(target)):
        return "has an anchor that is not there"
    return ""


@EACH_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = {link: problem for link in links_of(page) if (problem := broken(page, link))}
    assert not wrong


@EACH_PAGE
def test_everything_that_is_included_is_there(page: Path) -> None:
    assert not [path for path in included_by(page) if not path.is_file()]


def test_each_page_is_in_a_table_of_contents() -> None:
    listed = {
        (block.page.parent / f"{line.strip()}.md").resolve()
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "{toctree}"
        for line in block.text.splitlines()
        if line.strip() and not line.startswith(":")
    }
    pages = {page for page in DOCS.rglob("*.md") if "example-project" not in page.parts}
    assert listed == pages - {DOCS / "index.md"}


def test_each_example_is_on_a_page() -> None:
    named = {(page.parent / link).resolve() for page in PAGES for link in links_of(page) if "example_dags" in link}
    named |= {path for page in PAGES for path in included_by(page)}
    assert not set((ROOT / "example_dags").glob("neuro_buckets_*.py")) - named


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[a](nothing.md)", ["leads nowhere"]),
        ("[a](../../etc/passwd)", ["leads nowhere"]),
        ("[a](page.md#nothing)", ["has an anchor that is not there"]),
        ("[a](#nothing) ![b](page.md)", ["has an anchor that is not there", ""]),
        ("[a](https:/example.org)", ["is no address"]),
        ('<img src="nothing.png" width="1">', ["leads nowhere"]),
        ("[a](page.md#a-heading-of-two-lines-1)", [""]),
        ("`[a](nothing.md)` ``[b](nothing.md)``", []),
        ("```text\n[a](nothing.md)\n```", []),
    ],
)
def test_a_broken_link_is_found(
    text: str, problems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# A heading\n\n{text}\n\n## A `heading` of “two” lines\n\n## A heading of “two” lines\n")
    assert [broken(page, link) for link in links_of(page)] == problems
