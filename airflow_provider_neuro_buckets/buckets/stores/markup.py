"""Reading XML answers with expat. Pure: no I/O.

Doctypes and entities are refused, so an answer can neither grow in memory nor reach for a file. A page of 1,000 keys
takes 1.5 ms with `parse_records`, which reads records that are alike by a pattern, and 5 ms with `parse_xml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from xml.parsers import expat

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.alike import Records, Run, next_record, run_of

_DEPTH = 16
_IN_ROOT, _IN_RECORD = 1, 2
_MOST_RUNS = 16
"""Of records that are alike; what comes after them expat reads."""


def parse_records(body: bytes, fields: dict[str, str], on_records: Mapping[str, Callable[[Records], object]]) -> str:
    """Read an XML document of plain fields, and of records that have plain fields, in one flat pass.

    Whatever lies deeper is ignored. Returns the name of the root.

    :param fields: filled with the text of each element in the root; of several with one name with the last.
    :param on_records: by the name of an element in the root: called with those of that name in their order, many at a
        time.
    :raises InvalidAnswer: as `parse_xml`.
    """
    reader = _Reader(fields, on_records)
    try:
        reader.read(body)
    except expat.ExpatError:
        raise _not_xml() from None
    finally:
        reader.close()
    return reader.root


class _Reader:
    """Reads records: expat the first of those that are alike, `alike` the others."""

    def __init__(self, fields: dict[str, str], on_records: Mapping[str, Callable[[Records], object]]) -> None:
        self.root = ""
        self._fields = fields
        self._on_records = on_records
        self._gathered: dict[str, list[dict[str, str]]] = {name: [] for name in on_records}
        self._record: dict[str, str] = {}
        self._text: list[str] = []
        self._depth = 0
        self._ended: tuple[str, int] | None = None
        self._parser = _parser(self._start, self._end, self._text.append)
        self._parser.XmlDeclHandler = self._declare
        self._is_utf8 = True

    def read(self, body: bytes) -> None:
        """Read a document."""
        at = skipped = 0
        for _ in range(_MOST_RUNS):
            first = next_record(body, at, self._on_records)
            if first is None:
                break
            self._parser.Parse(body[at : first.end], False)  # noqa: FBT003 - expat's signature: more is to come
            at = first.end
            # Was it a record? What is in a comment, or deeper, only looks like one.
            if not self._is_utf8 or self._ended != (first.name, first.end_tag - skipped):
                break
            run = run_of(body, first)
            if run is None:
                break
            at, skipped = run.end, skipped + run.end - first.end
            self._hand_over()
            self._on_records[first.name](_resolved(run))
        self._parser.Parse(body[at:], True)  # noqa: FBT003 - expat's signature: this is all of it
        self._hand_over()

    def close(self) -> None:
        """Let go of expat, which refers to this: what both hold would stay until the garbage collector comes."""
        del self._parser

    def _hand_over(self) -> None:
        """Hand over what expat has read."""
        for name, records in self._gathered.items():
            if records:
                fields = dict.fromkeys(chain.from_iterable(records))
                texts = {field: [record.get(field, "") for record in records] for field in fields}
                self._on_records[name](Records(len(records), texts))
                records.clear()

    def _declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._is_utf8 = (encoding or "utf-8").lower() == "utf-8"

    def _start(self, _name: str, _attributes: object) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise _too_deep()
        self._text.clear()

    def _end(self, name: str) -> None:
        self._depth -= 1
        if ":" in name:
            name = name.rpartition(":")[2]
        if self._depth == _IN_RECORD:
            self._record[name] = "".join(self._text)
        elif self._depth == _IN_ROOT:
            if name in self._on_records:
                self._gathered[name].append(self._record)
                self._ended = (name, self._parser.CurrentByteIndex)
            else:
                self._fields[name] = "".join(self._text)
            self._record = {}
        elif self._depth == 0:
            self.root = name
        self._text.clear()


def _resolved(run: Run) -> Records:
    """Return the records of a run with the characters that references such as ``&amp;`` stand for.

    :raises InvalidAnswer: one of them is to nothing that XML knows by itself.
    """
    if not run.has_references:
        return run.records
    for text in run.ignored:
        _plain(text)
    texts = {name: [_plain(text) for text in column] for name, column in run.records.texts.items()}
    return Records(run.records.count, texts)


def _plain(text: str) -> str:
    if "&" not in text:
        return text
    pieces: list[str] = []
    _run(f"<t>{text}</t>".encode(), _ignore, _ignore, pieces.append)
    return "".join(pieces)


def _ignore(*_: object) -> None:
    """Take no note."""


def parse_levels(
    body: bytes,
    on_end: Callable[[int, str, str], object],
    on_attributes: Callable[[Mapping[str, str]], object],
) -> str:
    """Read an XML document in one flat pass; returns the name of the root.

    :param on_end: called at each end tag with the number of elements around it, its name, and the text since the tag
        before it, which is all of its text where nothing lies in it.
    :param on_attributes: called with the attributes at each start tag that has some.
    :raises InvalidAnswer: as `parse_xml`.
    """
    text: list[str] = []
    depth = 0
    root = ""

    def start(_name: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise _too_deep()
        if attributes:
            on_attributes(attributes)
        text.clear()

    def end(name: str) -> None:
        nonlocal depth, root
        depth -= 1
        root = name = name.rpartition(":")[2] if ":" in name else name
        on_end(depth, name, "".join(text))
        text.clear()

    _run(body, start, end, text.append)
    return root


def parse_xml(
    body: bytes,
    on_text: Callable[[Sequence[str], str], object],
    on_attributes: Callable[[Sequence[str], Mapping[str, str]], object] | None = None,
) -> str:
    """Read an XML document; call `on_text(path of names, text)` at each end tag. Returns the name of the root.

    :param on_attributes: called with the path of names and the attributes at each start tag that has some.
    :raises InvalidAnswer: not XML, too deep, or with a doctype or an entity declaration.
    """
    path: list[str] = []
    texts: list[list[str]] = []
    root = ""

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal root
        name = name.rpartition(":")[2]
        root = root or name
        path.append(name)
        texts.append([])
        if len(path) > _DEPTH:
            raise _too_deep()
        if attributes and on_attributes is not None:
            on_attributes(path, attributes)

    def end(_name: str) -> None:
        on_text(path, "".join(texts.pop()))
        path.pop()

    _run(body, start, end, lambda text: texts[-1].append(text) if texts else None)
    return root


def text_ahead(body: bytes, name: str) -> str | None:
    """Return the text of the first element of a name, found without reading the document; `None` if it is not plain.

    A guess that costs no time: whether this is XML at all, only parsing tells.
    """
    before, after = f"<{name}>".encode(), f"</{name}>".encode()
    begin = body.find(before)
    end = body.find(b"<", begin + len(before))
    text = body[begin + len(before) : end]
    if begin < 0 or not text or b"&" in text or not text.isascii() or not body.startswith(after, end):
        return None
    return text.decode()


def _run(
    body: bytes,
    start: Callable[[str, dict[str, str]], object],
    end: Callable[[str], object],
    text: Callable[[str], object],
) -> None:
    parser = _parser(start, end, text)
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's signature: this is all of it
    except expat.ExpatError:
        raise _not_xml() from None


def _parser(
    start: Callable[[str, dict[str, str]], object], end: Callable[[str], object], text: Callable[[str], object]
) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    return parser


def _not_xml() -> InvalidAnswer:
    return InvalidAnswer("an answer is not XML")


def _refuse(*_: object) -> None:
    raise InvalidAnswer("an XML answer declares a doctype or an entity")


def _too_deep() -> InvalidAnswer:
    return InvalidAnswer(f"an XML answer is nested deeper than {_DEPTH}")
