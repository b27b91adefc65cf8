"""Reading XML answers with expat. Pure: no I/O.

Doctypes and entities are refused, so an answer can neither grow in memory nor reach for a file. A page of 1,000 keys
takes 4 ms with `parse_records`, which keeps no path, and twice as long with `parse_xml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from xml.parsers import expat

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer

_DEPTH = 16
_IN_ROOT, _IN_RECORD = 1, 2


def parse_records(
    body: bytes, fields: dict[str, str], on_record: Mapping[str, Callable[[Mapping[str, str]], object]]
) -> str:
    """Read an XML document of plain fields, and of records that have plain fields, in one flat pass.

    Whatever lies deeper is ignored. Returns the name of the root.

    :param fields: filled with the text of each element in the root; of several with one name with the last.
    :param on_record: by the name of an element in the root: called at its end with the texts in it by their names, in
        a mapping that is used again: a page of 1,000 objects more makes the garbage collector look at all there are.
    :raises InvalidAnswer: as `parse_xml`.
    """
    record: dict[str, str] = {}
    text: list[str] = []
    depth = 0
    root = ""

    def start(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise _too_deep()
        text.clear()

    def end(name: str) -> None:
        nonlocal depth, root
        depth -= 1
        if ":" in name:
            name = name.rpartition(":")[2]
        if depth == _IN_RECORD:
            record[name] = "".join(text)
        elif depth == _IN_ROOT:
            if name in on_record:
                on_record[name](record)
            else:
                fields[name] = "".join(text)
            record.clear()
        elif depth == 0:
            root = name
        text.clear()

    _run(body, start, end, text.append)
    return root


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
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's signature: this is all of it
    except expat.ExpatError:
        raise InvalidAnswer("an answer is not XML") from None


def _refuse(*_: object) -> None:
    raise InvalidAnswer("an XML answer declares a doctype or an entity")


def _too_deep() -> InvalidAnswer:
    return InvalidAnswer(f"an XML answer is nested deeper than {_DEPTH}")
