"""The facts of the API reference as a table: names, parameters, defaults and attributes, and none of its prose.

``PYTHONPATH=tests python -m reference.derive`` writes the table again from the text of the reference, if that stands
beside this checkout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("api.json")
TEXT = Path(__file__).parents[2].parent / "shared" / "spec" / "buckets-api-reference.txt"

_CLASS = re.compile(r"class (?:\w+_sdk\.)?([A-Z][\w.]+?)(?:\[source\])?")
# The text has slips such as ``Optional[str)``: the last bracket before the result is what ends the parameters.
_METHOD = re.compile(r"(?:(coroutine|async-for) )?([a-z_]+)\((.*)\) ([A-Z]?\w.*?):?\[source\]")
_ATTRIBUTE = re.compile(r"[a-z_]+")
_MEMBER = re.compile(r"[A-Z]+")


def derive(text: str) -> dict[str, Any]:
    """Return the table of a reference."""
    table: dict[str, Any] = {}
    here: dict[str, Any] | None = None
    for line in map(str.strip, text.splitlines()):
        if found := _CLASS.fullmatch(line):
            here = table.setdefault(found[1], {})
        elif here is None:
            continue
        elif found := _METHOD.fullmatch(line):
            kind = "stream" if "AsyncIterator" in found[4] else "coroutine" if found[1] else "function"
            here.setdefault("methods", {})[found[2]] = {"kind": kind, "parameters": list(_parameters(found[3]))}
        elif _ATTRIBUTE.fullmatch(line):
            here.setdefault("attributes", []).append(line)
        elif _MEMBER.fullmatch(line):
            here.setdefault("members", []).append(line)
    return table


def _parameters(text: str) -> Iterator[str]:
    """Yield ``name`` or ``name=default`` for each parameter, and ``*`` before those that go by their name only."""
    depth, part = 0, ""
    for char in text + ",":
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            if part.strip():
                name, _, rest = part.strip().partition(":")
                default = rest.rpartition(" = ")[2] if " = " in rest else None
                yield name if default is None else f"{name}={default.strip()}"
            part = ""
        else:
            part += char


if __name__ == "__main__":
    TABLE.write_text(json.dumps(derive(TEXT.read_text()), indent=1) + "\n")
