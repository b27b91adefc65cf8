"""Records of an XML document that are alike, read by a pattern, in two thirds of expat's time. Pure: no I/O.

A listing is a thousand records with the same tags. Expat reads the first of them, and so judges those tags; what
follows it, tag for tag the same and with nothing but text in between, can mean nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

_LARGEST = 4096
"""Bytes of a record: a larger one is hardly one of a thousand."""
_RECORD = re.compile(rb"(?:</?[A-Za-z][\w:.-]*/?>[^<]*)+")
_TAG = re.compile(rb"<[^<>]+>")
_TEXT = r"[^<\x00-\x1f]*"
_IGNORED = r"[^<&\x00-\x1f]*"
_FORBIDDEN = ("]]>", "\ufffe", "\uffff")
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

    :ivar names: of the fields with a text, in their order; each is a group of `record`.
    :ivar empty: the other fields.
    """

    names: tuple[str, ...]
    empty: tuple[str, ...]
    record: re.Pattern[str]
    run: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one shape that follow each other.

    :ivar end: where they end in the document.
    """

    text: str
    end: int
    shape: Shape

    def records(self) -> Iterator[Mapping[str, str]]:
        """Yield the text of each field by its name, with the references that are in it; always the same mapping."""
        names = self.shape.names
        record = dict.fromkeys(self.shape.empty, "")
        for found in self.shape.record.finditer(self.text):
            record.update(zip(names, found.groups()))  # noqa: B905 - a group for each; `strict` takes as long again
            yield record


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
    is_plain = text and not any(forbidden in text for forbidden in _FORBIDDEN)
    return Run(text, found.end(), shape) if is_plain else None


@lru_cache(maxsize=32)
def _shape(tags: tuple[bytes, ...]) -> Shape | None:
    """Return the shape of records of some tags; `None` if a field is there twice."""
    names: list[str] = []
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
            if depth == _IN_RECORD:
                names.append(name)
                pattern += f"({_TEXT})"
            elif depth > _IN_RECORD:
                pattern += _IGNORED
        pattern += re.escape(tag)
    if len({*names, *empty}) < len(names) + len(empty):
        return None
    run = f"(?:{pattern.replace(f'({_TEXT})', _TEXT)})*"
    return Shape(tuple(names), tuple(empty), re.compile(pattern), re.compile(run.encode()))
