from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.glob import match_components, parse_glob


def matches(pattern: str, key: str) -> bool:
    return match_components(parse_glob(pattern).components, key.split("/"))


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*.csv", "a.csv"),
        ("*", ".dot"),
        ("a?c", "abc"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[]]x", "]x"),
        ("[a", "[a"),
        ("[a-]x", "-x"),
        (r"\*", "*"),
        (r"a\?b", "a?b"),
        ("**/x", "x"),
        ("**/x", "a/b/x"),
        ("a/**", "a/b/c"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("**", "anything/at/all"),
        ("d**", "dd"),
        ("*a*b*", "xxaxxbxx"),
    ],
)
def test_matches(pattern: str, key: str) -> None:
    assert matches(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*.csv", "d/a.csv"),
        ("a?c", "a/c"),
        ("[a-c]", "B"),
        ("[!a]", "/"),
        (r"\*", "x"),
        ("a/**/b", "a/bc"),
        ("d**", "d/d"),
        ("*.CSV", "a.csv"),
        ("a", "ab"),
        ("?", ""),
    ],
)
def test_does_not_match(pattern: str, key: str) -> None:
    assert not matches(pattern, key)


def test_the_text_before_the_first_operator_narrows_the_listing() -> None:
    assert [part.literal for part in parse_glob(r"year=20\*6/mon*th/[ab]").components] == ["year=20*6", "mon", ""]


def test_a_trailing_slash_asks_for_folders() -> None:
    assert parse_glob("a/*/").folders_only
    assert not parse_glob("a/*").folders_only


@pytest.mark.parametrize("pattern", ["", "/", "//", "x" * 1025, "*" * 65])
def test_patterns_without_sense_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_glob(pattern)


@given(st.lists(st.sampled_from(["a", "b", "*", "?"]), min_size=1, max_size=12), st.text("ab", max_size=15))
def test_one_component_means_the_same_as_the_regex_it_stands_for(tokens: list[str], name: str) -> None:
    regex = "".join({"*": "[^/]*", "?": "[^/]"}.get(token, token) for token in tokens)
    component = parse_glob("".join(tokens)).components[0]
    if not component.is_deep:
        assert component.matches(name) == bool(re.fullmatch(regex, name))


class CountedText(str):  # noqa: SLOT000 - it counts in its own attribute
    """Counts how often a character of it is looked at."""

    looks = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204 - mirrors str
        self.looks += 1
        return super().__getitem__(index)


def test_a_pattern_made_to_blow_up_a_regex_looks_at_few_characters() -> None:
    name = CountedText("a" * 1000)
    assert not parse_glob("a*" * 30 + "b").components[0].matches(name)
    assert name.looks < 30 * 1000 * 2
