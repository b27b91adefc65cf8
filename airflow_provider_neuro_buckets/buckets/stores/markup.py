"""Reading XML answers with expat. Pure: no I/O.

Doctypes and entities are refused, so an answer can neither grow in memory nor reach for a file; a page of 1,000 keys
costs a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from xml.parsers import expat

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer

_DEPTH = 16


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
            raise InvalidAnswer(f"an XML answer is nested deeper than {_DEPTH}")
        if attributes and on_attributes is not None:
            on_attributes(path, attributes)

    def end(_name: str) -> None:
        on_text(path, "".join(texts.pop()))
        path.pop()

    def refuse(*_: object) -> None:
        raise InvalidAnswer("an XML answer declares a doctype or an entity")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: texts[-1].append(text) if texts else None
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's signature: this is all of it
    except expat.ExpatError:
        raise InvalidAnswer("an answer is not XML") from None
    return root
