"""Glob patterns over keys: parsed once, matched in time linear in the key for each star. Pure: no I/O, no regex.

``*`` any run within one component, ``?`` one character of it, ``[a-z]`` and ``[!a]`` one of or none of, ``**`` as a
whole component zero or more components, a backslash takes the next character as it is. Nothing crosses ``/``, dot names
are ordinary, case counts. A pattern that ends with ``/`` matches folders only (decision 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress

LONGEST = 1024
MOST_STARS = 64


@dataclass(frozen=True, slots=True)
class OneOf:
    """A single character: any when `ranges` is None, else inside (or with `negated` outside) the ranges."""

    ranges: tuple[tuple[str, str], ...] | None = None
    negated: bool = False

    def accepts(self, char: str) -> bool:
        """Whether `char` fits."""
        if self.ranges is None:
            return True
        return any(low <= char <= high for low, high in self.ranges) != self.negated


STAR = None
Token = str | OneOf | None
"""A literal character, one of a class, or `STAR`."""


@dataclass(frozen=True, slots=True)
class Component:
    """What stands between two slashes of a pattern."""

    tokens: tuple[Token, ...]

    @property
    def literal(self) -> str:
        """The text before the first operator: what a listing can be narrowed to."""
        text = []
        for token in self.tokens:
            if not isinstance(token, str):
                break
            text.append(token)
        return "".join(text)

    @property
    def is_literal(self) -> bool:
        """Whether there is no operator in it."""
        return all(isinstance(token, str) for token in self.tokens)

    @property
    def is_deep(self) -> bool:
        """Whether it is ``**``."""
        return self.tokens == (STAR, STAR)

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` fits. Goes back at most to the last star, so a pattern cannot blow up."""
        tokens, at, position = self.tokens, 0, 0
        star, resume = -1, 0
        while position < len(name):
            if at < len(tokens) and tokens[at] is STAR:
                star, resume = at, position
                at += 1
            elif at < len(tokens) and _fits(tokens[at], name[position]):
                at, position = at + 1, position + 1
            elif star >= 0:
                resume += 1
                at, position = star + 1, resume
            else:
                return False
        return all(token is STAR for token in tokens[at:])


def _fits(token: Token, char: str) -> bool:
    return token.accepts(char) if isinstance(token, OneOf) else token == char


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed pattern.

    :ivar folders_only: the pattern ended with ``/``.
    """

    components: tuple[Component, ...]
    folders_only: bool


def parse_glob(pattern: str) -> Glob:
    """Parse a pattern over the keys of one bucket.

    :raises InvalidAddress: empty, longer than 1,024 characters or more than 64 stars.
    """
    if not pattern.strip("/"):
        raise InvalidAddress(
            "the glob pattern is empty", remedy="Write what to look for behind the bucket, such as **/*.csv"
        )
    if len(pattern) > LONGEST or pattern.count("*") > MOST_STARS:
        raise InvalidAddress(
            f"the glob pattern {pattern[:60]!r}… is too long",
            remedy=f"Use at most {LONGEST} characters and {MOST_STARS} stars",
        )
    parts = pattern.split("/")
    folders_only = parts[-1] == ""
    if folders_only:
        parts.pop()
    return Glob(tuple(Component(_tokens(part)) for part in parts), folders_only)


def _tokens(part: str) -> tuple[Token, ...]:
    tokens: list[Token] = []
    at = 0
    while at < len(part):
        char = part[at]
        if char == "\\" and at + 1 < len(part):
            tokens.append(part[at + 1])
            at += 2
        elif char == "[" and (end := _class_end(part, at)) > 0:
            tokens.append(_one_of(part[at + 1 : end]))
            at = end + 1
        else:
            tokens.append({"*": STAR, "?": OneOf()}.get(char, char))
            at += 1
    return tuple(tokens)


def _class_end(part: str, start: int) -> int:
    """Return where the class opened at `start` closes, or -1 when it never does and ``[`` means itself."""
    first = start + 1 + (part[start + 1 : start + 2] == "!")
    return part.find("]", first + 1)


def _one_of(body: str) -> OneOf:
    negated = body.startswith("!")
    chars = body[negated:]
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(chars):
        if chars[at + 1 : at + 2] == "-" and at + 2 < len(chars):
            ranges.append((chars[at], chars[at + 2]))
            at += 3
        else:
            ranges.append((chars[at], chars[at]))
            at += 1
    return OneOf(tuple(ranges), negated)


def match_components(components: Sequence[Component], names: Sequence[str]) -> bool:
    """Whether the components, ``**`` included, match all the names, one component a name."""
    reachable = {0}
    reachable |= _skip_deep(components, reachable)
    for name in names:
        step: set[int] = set()
        for at in reachable:
            if at < len(components):
                if components[at].is_deep:
                    step.add(at)
                elif components[at].matches(name):
                    step.add(at + 1)
        reachable = step | _skip_deep(components, step)
        if not reachable:
            return False
    return len(components) in reachable


def _skip_deep(components: Sequence[Component], positions: set[int]) -> set[int]:
    """Return the positions reached by letting ``**`` stand for nothing."""
    reached = set()
    for start in positions:
        at = start
        while at < len(components) and components[at].is_deep:
            at += 1
            reached.add(at)
    return reached
