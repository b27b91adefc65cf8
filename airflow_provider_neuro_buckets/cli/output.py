"""What commands print: rows as data or as text for people, whatever characters the names in them have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One thing, as JSON would have it."""


def show(rows: Iterable[Row], *, output: str, columns: Sequence[str]) -> None:
    """Print rows to stdout.

    :param output: ``json`` streams a list, one row a line; ``yaml``; ``table`` or ``plain`` print `columns` only.
    """
    if output == "json":
        _print_json(rows)
    elif output == "yaml":
        from airflow.utils import yaml  # noqa: PLC0415 - rarely asked for

        print(yaml.dump([dict(row) for row in rows], sort_keys=False), end="")
    else:
        cells = [[_cell(row[column]) for column in columns] for row in rows]
        (_print_table if output == "table" else _print_plain)(columns, cells)


def tell(sentence: str, row: Row, *, output: str | None) -> None:
    """Print what a command did: the sentence, or as a list of one row when `output` asks for data."""
    if output is None:
        print(printable(sentence))
    else:
        show([row], output=output, columns=list(row))


def printable(text: str) -> str:
    """Return text that changes nothing on a terminal but its letters: other characters are escaped, as Python does."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    # A lone surrogate stands for a byte of a file name that is not UTF-8.
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _print_json(rows: Iterable[Row]) -> None:
    lead = "["
    for row in rows:
        print(lead, json.dumps(row), sep="", end="")
        lead = ",\n "
    print("[]" if lead == "[" else "]")


def _print_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # Airflow's own table and its width; its `print_as` would take "[red]" in a name for a colour.
    from airflow.cli.simple_table import AirflowConsole, SimpleTable  # noqa: PLC0415 - loads only for a table
    from rich.text import Text  # noqa: PLC0415 - as said

    table = SimpleTable(show_header=True)
    for column in columns:
        table.add_column(column)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = AirflowConsole()
    with console.capture() as text:  # printed by us, so that a closed pipe ends every format alike
        console.print(table if cells else "No data found")
    print(text.get(), end="")


def _print_plain(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    lines = [columns, *cells]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))
