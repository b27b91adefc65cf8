"""What the code of eight projects measures, that the field learns from; two of them in two packages each.

Counted in 2026 as :mod:`architecture.measures` counts ours; of Rust and Go not all of it can be said (`-`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    """Which of two figures is the better one."""

    LESS = "less"
    MORE = "more"
    BETWEEN = "between"
    """Neither: too few docstrings and too many are both wrong. Few comments are no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure.

    :ivar aim: what this project wants of itself: from, to; `None` is no bound.
    :ivar models: the figures of the others, in the order of `MODELS`.
    """

    name: str
    better: Better
    aim: tuple[float | None, float | None]
    models: tuple[float | None, ...]

    def known(self) -> list[float]:
        return [figure for figure in self.models if figure is not None]

    def is_worse_than_all(self, figure: float) -> bool:
        """Whether a figure is worse than the worst of the models; where none has one, nothing is."""
        if not (known := self.known()):
            return False
        too_much = self.better is not Better.MORE and figure > max(known)
        return too_much or (self.better is not Better.LESS and figure < min(known))

    def is_aim(self, figure: float) -> bool:
        low, high = self.aim
        return (low is None or figure >= low) and (high is None or figure <= high)


MODELS = (
    "object_store",
    "obstore",
    "httpx",
    "s3transfer",
    "s5cmd",
    "zarr storage",
    "cosmos",
    "common.io",
    "stamina",
    "structlog",
)

_TABLE = """
lines of a file, median        | less    |    ..150 |  293  174  248  532  113  387   75   38   54  245
lines of a file, most          | less    |    ..350 | 2352  923 2019 1081 1519  709 1499  242  913 1249
lines of a function, median    | less    |     ..10 |    6 15.5    9    7 10.5    6   11    7    9    8
lines of a function, 95 %      | less    |     ..35 |   46   55   47   39   79   39   53   24   38   42
lines of a function, most      | less    |     ..60 |  183  121  133  111  172  111  205   88  184  182
complexity, 95 %               | less    |      ..6 |    -    7    8    4    -    6    9    6    7    6
complexity, most               | less    |     ..10 |    -   15   46    8    -   21   35   10   15   31
nesting, most                  | less    |      ..3 |    -    -    -    -    -    -    -    -    -    -
lines of a class, most         | less    |    ..200 |    -  494  713  508    -  387  978  131  192  671
methods of a class, most       | less    |     ..15 |    -   28   42   24    -   38   39   12    9   41
lines with a comment, %        | less    |     3..6 |  1.7  7.5  6.0  8.0  7.9  7.9  7.5  2.6  3.4  3.6
lines of docstrings, %         | between |   25..35 | 22.2 35.0 20.6 28.7    - 29.6 21.2  6.8 34.0 46.4
parameters with a type, %      | more    |    100.. |  100   99  100    0  100  100  100   96  100  100
keyword-only functions, %      | more    |     90.. |    -   98   47    0    -   26    5   81   20    9
positional booleans / 1,000    | less    |      ..0 |    -  1.5  4.9  2.4    -  3.3  3.0    0  2.0  4.5
broad excepts                  | less    |      ..1 |    -    0    2   10    -    0    4    1    1    2
Any / 1,000                    | less    |      ..2 |    -    -    -    -    -    -    -    -    -    -
lines of tests to those of code| more    | 1.3..1.9 | 0.39 0.36 0.93 1.64 2.03 1.26 1.84    - 1.56 1.35
mocks / test                   | less    |   ..0.05 |    - 0.05 0.01 0.11    - 0.03 1.17    - 0.02    -
groups of circular imports     | less    |      ..0 |    -    1    0    0    0    1    1    -    0    1
"""


def _number(text: str) -> float | None:
    return float(text) if text.strip("- ") else None


def _row(line: str) -> Row:
    name, better, aim, models = (part.strip() for part in line.split("|"))
    low, high = map(_number, aim.split(".."))
    figures = tuple(map(_number, models.split()))
    assert len(figures) == len(MODELS), line
    return Row(name=name, better=Better(better), aim=(low, high), models=figures)


ROWS = [_row(line) for line in _TABLE.strip().splitlines()]
