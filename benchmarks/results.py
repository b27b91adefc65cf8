"""What was measured: one record for each row, kept as JSON so that a row can be measured again without the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.job import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One job of one peer in one round; `sample` or `error`."""

    round: int
    peer: str
    sample: Sample | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row.

    :ivar files: files, or keys.
    :ivar machine: what it was measured on, and with which versions.
    :ivar profile: where our time goes, if something was missed.
    """

    work: str
    files: int
    bytes: int
    scale: float
    measured_at: str
    machine: Mapping[str, str]
    cells: tuple[Cell, ...]
    profile: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """Read what :meth:`to_json` wrote."""
        cells = tuple(
            Cell(**{**cell, "sample": Sample(**cell["sample"]) if cell["sample"] else None}) for cell in value["cells"]
        )
        return cls(**{**value, "cells": cells})

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)

    @property
    def peers(self) -> list[str]:
        """Who took part, in the order of the first round."""
        return list(dict.fromkeys(cell.peer for cell in self.cells))

    def samples(self, peer: str) -> dict[int, Sample]:
        """Return what a peer took, by round."""
        return {cell.round: cell.sample for cell in self.cells if cell.peer == peer and cell.sample is not None}

    def errors(self, peer: str) -> list[str]:
        """Return how a peer failed."""
        return [cell.error for cell in self.cells if cell.peer == peer and cell.error]


class Results:
    """All records, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Record]:
        """Return the records by the name of their row."""
        if not self._path.exists():
            return {}
        return {name: Record.from_json(record) for name, record in json.loads(self._path.read_text()).items()}

    def put(self, record: Record) -> None:
        """Keep a record in place of an earlier one of the same row."""
        records = {**self.read(), record.work: record}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({name: item.to_json() for name, item in records.items()}, indent=1) + "\n")
