from __future__ import annotations

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from airflow_provider_neuro_buckets.buckets.stores.keys import check_key, impossible, impossible_prefix

ALL = frozenset(Capability)
NONE: frozenset[Capability] = frozenset()


@pytest.mark.parametrize("key", ["", "\ud800", "name of bytes \udcff"])
def test_what_no_provider_can_mean_by_a_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidAddress):
        check_key(key)


@pytest.mark.parametrize("key", ["a", "/", "..", "\\", "\x00", "a//b", "\U0001f600", " "])
def test_every_other_text_is_a_key_to_somebody(key: str) -> None:
    check_key(key)
    assert impossible(key, ALL) is None
    assert impossible_prefix(key, ALL) is None


@pytest.mark.parametrize(
    ("key", "capability"),
    [
        ("/", Capability.EMPTY_SEGMENTS),
        ("/a", Capability.EMPTY_SEGMENTS),
        ("a//b", Capability.EMPTY_SEGMENTS),
        ("a//", Capability.EMPTY_SEGMENTS),
        (".", Capability.DOT_SEGMENTS),
        ("..", Capability.DOT_SEGMENTS),
        ("a/..", Capability.DOT_SEGMENTS),
        ("./a", Capability.DOT_SEGMENTS),
        ("a/./b", Capability.DOT_SEGMENTS),
        ("a/../", Capability.DOT_SEGMENTS),
        ("a\\b", Capability.BACKSLASH),
        ("\\", Capability.BACKSLASH),
    ],
)
def test_a_key_is_impossible_exactly_without_the_one_capability_it_needs(key: str, capability: Capability) -> None:
    assert impossible(key, ALL - {capability})
    assert impossible(key, frozenset({capability})) is None


@pytest.mark.parametrize("key", ["a", "a/", "a/b", ".a", "a.", "...", "a/...", ".a/b", "a/..b"])
def test_an_ordinary_key_is_possible_everywhere(key: str) -> None:
    assert impossible(key, NONE) is None
    assert impossible_prefix(key, NONE) is None


@pytest.mark.parametrize("prefix", ["", ".", "..", "a/.", "a/..", "a"])
def test_a_prefix_may_end_inside_a_segment_that_is_possible(prefix: str) -> None:
    assert impossible_prefix(prefix, NONE) is None


@pytest.mark.parametrize("prefix", ["/", "a//", "./", "../a", "a/./b", "a\\"])
def test_a_prefix_with_a_whole_segment_that_is_impossible_is_impossible(prefix: str) -> None:
    assert impossible_prefix(prefix, NONE)
