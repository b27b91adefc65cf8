"""Ignore files: ``.gitignore`` rules, from the folder they stand in downwards (decision 19).

Patterns are read by `pathspec`. Which of them decides follows git's walk: the last one that matches the entry itself;
what lies in an ignored folder is never looked at. `pathspec` alone judges whole paths, and would not enter a folder
that ``*`` ignores and ``!*/`` takes back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_LINE = 1024
MOST_STARS = 16
_FOLDER_MARK = "ps_d"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern. `by_name`: it has no slash but at its end, and matches names at any depth."""

    regex: re.Pattern[str]
    ignores: bool
    by_name: bool

    def matches(self, path: str) -> bool:
        """Whether the pattern means this entry, rather than a folder above it."""
        subject = _name_of(path) if self.by_name else path
        return any(_end(found) == len(subject) for found in self.regex.finditer(subject))


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one ignore file.

    :ivar folder: where the file stands, relative to the source; empty or with a ``/`` at its end.
    """

    folder: str
    _rules: tuple[_Rule, ...]

    @classmethod
    def parse(cls, folder: str, text: str) -> IgnoreRules:
        """Read the text of an ignore file; a byte order mark is no part of it.

        :raises ValueError: a line that is no pattern, or one made to be slow.
        """
        lines = text.removeprefix("\ufeff").split("\n")
        return cls(folder, tuple(rule for line in lines if (rule := _rule(line.removesuffix("\r")))))

    def verdict(self, path: str) -> bool | None:
        """Whether `path` is ignored (`True`), kept by a negated rule (`False`), or not mentioned (`None`).

        :param path: relative to the source; a folder has a ``/`` at its end.
        """
        if not path.startswith(self.folder):
            return None
        relative = path[len(self.folder) :]
        return next((rule.ignores for rule in reversed(self._rules) if rule.matches(relative)), None)


def is_ignored(path: str, rules: Sequence[IgnoreRules]) -> bool | None:
    """Return the verdict of the rules nearest to the file; `None` if none mentions it.

    :param rules: outermost first.
    """
    for nearer in reversed(rules):
        verdict = nearer.verdict(path)
        if verdict is not None:
            return verdict
    return None


def _rule(line: str) -> _Rule | None:
    import pathspec  # noqa: PLC0415 - hundreds of regular expressions that only ignore files need

    if line.startswith("#"):
        return None
    if len(line) > LONGEST_LINE or line.replace("**", "*").count("*") > MOST_STARS:
        raise ValueError(f"the ignore pattern {line[:60]!r}… has more than {MOST_STARS} stars or is too long")
    # What is in the folder, but not the folder: `pathspec` would take that as well.
    text = re.sub(r"/\*\*(/?)$", r"/**/*\1", _trimmed(line))
    for pattern in pathspec.GitIgnoreSpec.from_lines([text]).patterns:
        if pattern.regex is not None and pattern.include is not None:
            return _Rule(pattern.regex, pattern.include, "/" not in text.removesuffix("/"))
    return None


def _trimmed(line: str) -> str:
    """Return the line without the spaces at its end; one behind a backslash stays."""
    text = line.rstrip(" ")
    return text + " " if text.endswith("\\") and text != line else text


def _end(found: re.Match[str]) -> int:
    """Return where the entry ends that a pattern found: at the slash of a folder, which has a name in `pathspec`."""
    mark = found.end(_FOLDER_MARK) if _FOLDER_MARK in found.re.groupindex else -1
    return mark if mark >= 0 else found.end()


def _name_of(path: str) -> str:
    name = path.removesuffix("/").rpartition("/")[2]
    return name + "/" if path.endswith("/") else name
