"""Ignore files: ``.gitignore`` rules by `pathspec`, from the folder they stand in downwards (decision 19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathspec

LONGEST_LINE = 1024
MOST_STARS = 16


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one ignore file.

    :ivar folder: where the file stands, relative to the source; empty or with a ``/`` at its end.
    """

    folder: str
    _spec: pathspec.GitIgnoreSpec

    @classmethod
    def parse(cls, folder: str, text: str) -> IgnoreRules:
        """Read the text of an ignore file; a byte order mark is no part of it.

        :raises ValueError: a line that is no pattern, or one made to be slow.
        """
        import pathspec  # noqa: PLC0415 - hundreds of regular expressions that only ignore files need

        lines = text.removeprefix("\ufeff").splitlines()
        for line in lines:
            if len(line) > LONGEST_LINE or line.replace("**", "*").count("*") > MOST_STARS:
                raise ValueError(f"the ignore pattern {line[:60]!r}… has more than {MOST_STARS} stars or is too long")
        return cls(folder, pathspec.GitIgnoreSpec.from_lines(lines))

    def verdict(self, path: str) -> bool | None:
        """Whether `path` is ignored (`True`), kept by a negated rule (`False`), or not mentioned (`None`).

        :param path: relative to the source; a folder has a ``/`` at its end.
        """
        if not path.startswith(self.folder):
            return None
        return self._spec.check_file(path[len(self.folder) :]).include


def is_ignored(path: str, rules: Sequence[IgnoreRules]) -> bool | None:
    """Return the verdict of the rules nearest to the file; `None` if none mentions it.

    :param rules: outermost first.
    """
    for nearer in reversed(rules):
        verdict = nearer.verdict(path)
        if verdict is not None:
            return verdict
    return None
