"""The README and the pages of docs as their tests read them: blocks of code, headings and links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>given|not run):(?P<said>(?:(?!-->).)*)-->\n)?"
    r"^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"^<!-- (?:given|not run):", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^()\s>]+)>?(?: \"[^\"]*\")?\)|<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
_INCLUDES = re.compile(r"\{(?:literal)?include\} (\S+)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    :ivar line: of its fence, counted from 1.
    :ivar given: what it needs first, in its own language; no reader sees it.
    :ivar not_run: why nothing runs it; empty: it is run.
    """

    page: Path
    line: int
    language: str
    text: str
    given: str
    not_run: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("fence")) + 1,
            language=found["language"].strip(),
            text=found["text"],
            given=(found["said"] or "").strip() if found["mark"] == "given" else "",
            not_run=(found["said"] or "").strip() if found["mark"] == "not run" else "",
        )
        for found in _BLOCK.finditer(text)
    ]


def loose_marks(page: Path) -> int:
    """Return how many marks stand before no block, where they say nothing."""
    text = page.read_text()
    return len(_MARK.findall(text)) - sum(found["mark"] is not None for found in _BLOCK.finditer(text))


def included_by(page: Path) -> list[Path]:
    """Return the files that a page includes, whether they exist or not."""
    return [(page.parent / name).resolve() for name in _INCLUDES.findall(page.read_text())]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page and of the pages it includes, as a forge makes them."""
    anchors: set[str] = set()
    counts: Counter[str] = Counter()
    for part in (page, *(path for path in included_by(page) if path.suffix == ".md")):
        for heading in _HEADING.findall(_prose(part.read_text(), keep_code=True)):
            slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            anchors.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
            counts[slug] += 1
    return anchors


def links_of(page: Path) -> Iterator[str]:
    """Yield where links and pictures lead, outside of code."""
    for found in _LINK.finditer(_prose(page.read_text())):
        yield found[1] or found[2]


def _prose(text: str, *, keep_code: bool = False) -> str:
    text = _COMMENT.sub("", _BLOCK.sub("", text))
    return text if keep_code else _INLINE_CODE.sub("", text)
