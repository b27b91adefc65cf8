"""Records of an XML document that are alike, read by a pattern, in a third of expat's time. Pure: no I/O.

A listing is a thousand records with the same tags. Expat reads the first of them, and so judges those tags; what
follows it, tag for tag the same and with nothing but text in between, can mean nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

_LARGEST = 4096
"""Bytes of a record: a larger one is hardly one of a thousand."""
_RECORD = re.compile(rb"(?:</?[A-Za-z][\w:.-]*/?>[^<]*)+")
_TAG = re.compile(rb"<[^<>]+>")
_TEXT = "[^<]*"
_REFUSED = re.compile("[\x00-\x1f\ufffe\uffff]")
"""What XML does not allow in a text, and line ends and tabs, which expat may change."""
_IN_RECORD = 1


@dataclass(frozen=True, slots=True)
class RecordSpan:
    """Where a record seems to be in a document."""

    name: str
    begin: int
    end_tag: int
    end: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What records that are alike look like.

    :ivar names: what the groups of `record` hold: the name of a field, or `None` for a text that is ignored.
    :ivar empty: the fields without a text.
    """

    names: tuple[str | None, ...]
    empty: tuple[str, ...]
    record: re.Pattern[str]
    run: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Records:
    """Some records, field by field: to look at each record would take as long as to read it.

    :ivar texts: of each record by the name of the field; empty for a record that does not have it.
    """

    count: int
    texts: Mapping[str, Sequence[str]]

    def field(self, name: str) -> Sequence[str]:
        """Return the text of one field in each record; empty texts if no record has it."""
        return self.texts[name] if name in self.texts else [""] * self.count


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one shape that follow each other.

    :ivar ignored: texts in them that are in no field, but must be well-formed, too.
    :ivar has_references: whether references such as ``&amp;`` are left in the texts.
    :ivar end: where they end in the document.
    """

    records: Records
    ignored: Sequence[str]
    has_references: bool
    end: int


def next_record(body: bytes, at: int, names: Iterable[str]) -> RecordSpan | None:
    """Return where the next record of one of some names seems to be; `None` if there is none."""
    found = [(begin, name) for name in names if (begin := body.find(f"<{name}>".encode(), at)) >= 0]
    if not found:
        return None
    begin, name = min(found)
    end_tag = body.find(f"</{name}>".encode(), begin)
    return RecordSpan(name, begin, end_tag, end_tag + len(f"</{name}>")) if end_tag >= 0 else None


def run_of(body: bytes, first: RecordSpan) -> Run | None:
    """Return the records that follow one and are like it; `None` if there are none.

    :param first: that one; it is well-formed, and so is all before it.
    """
    record = body[first.begin : first.end] if first.end - first.begin <= _LARGEST else b""
    shape = _shape(tuple(_TAG.findall(record))) if _RECORD.fullmatch(record) else None
    found = shape.run.match(body, first.end) if shape is not None else None
    if shape is None or found is None:
        return None
    try:
        text = found[0].decode()
    except UnicodeDecodeError:
        return None
    rows = shape.record.findall(text.replace("&quot;", '"').replace("&#34;", '"'))  # around each ETag
    # No `zip(*rows)`: an iterator for each row, and the garbage collector soon takes them for what lives long.
    texts = [*chain.from_iterable(rows)]
    whole = "".join(texts)
    if not rows or not _is_plain(whole):
        return None
    columns = [(name, texts[at :: len(shape.names) + 1]) for at, name in enumerate(shape.names)]
    fields: dict[str, Sequence[str]] = {name: column for name, column in columns if name is not None}
    fields |= dict.fromkeys(shape.empty, ("",) * len(rows))
    ignored = [*chain.from_iterable(column for name, column in columns if name is None)]
    return Run(Records(len(rows), fields), ignored, "&" in whole, found.end())


def _is_plain(text: str) -> bool:
    # What can be printed has none of them; to know that takes a sixth of the time.
    return "]]>" not in text and (text.isprintable() or not _REFUSED.search(text))


@lru_cache(maxsize=32)
def _shape(tags: tuple[bytes, ...]) -> Shape | None:
    """Return the shape of records of some tags; `None` if a field is there twice, or none with a text."""
    names: list[str | None] = []
    empty: list[str] = []
    pattern = ""
    depth = 0
    for tag in (tag.decode() for tag in tags):
        name = tag.strip("</>").rpartition(":")[2]
        if tag.endswith("/>"):
            if depth == _IN_RECORD:
                empty.append(name)
        elif not tag.startswith("</"):
            depth += 1
        else:
            depth -= 1
            if depth >= _IN_RECORD:
                names.append(name if depth == _IN_RECORD else None)
                pattern += f"({_TEXT})"
        pattern += re.escape(tag)
    fields = [*filter(None, names), *empty]
    if not names or len(set(fields)) < len(fields):
        return None
    run = f"(?:{pattern.replace(f'({_TEXT})', _TEXT)})*"
    # With another group, which is empty, a match is a tuple even if there is but one field.
    return Shape(tuple(names), tuple(empty), re.compile(pattern + "()"), re.compile(run.encode()))
