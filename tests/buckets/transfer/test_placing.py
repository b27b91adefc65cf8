from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.transfer.placing import LONGEST_NAME, Held, LocalTree, local_names
from airflow_provider_neuro_buckets.buckets.transfer.temporary import temporary_name


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a", ("a",)),
        ("a/b c/d+e%2F", ("a", "b c", "d+e%2F")),
        ("folder/", ("folder",)),
        ("...", ("...",)),
        (".hidden/..x", (".hidden", "..x")),
        ("back\\slash", ("back\\slash",)),
        ("line\nbreak", ("line\nbreak",)),
        ("C:\\x", ("C:\\x",)),
        ("é" * 127, ("é" * 127,)),
    ],
)
def test_a_key_that_can_be_a_local_path_is_one_unchanged(key: str, names: tuple[str, ...]) -> None:
    assert local_names(key) == names


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("..", "lead elsewhere"),
        ("../x", "lead elsewhere"),
        ("a/../../x", "lead elsewhere"),
        ("a/./b", "lead elsewhere"),
        ("a/..", "lead elsewhere"),
        ("a/../", "lead elsewhere"),
        ("/abs", "empty component"),
        ("a//b", "empty component"),
        ("a//", "empty component"),
        ("/", "empty component"),
        ("a\0b", "NUL"),
        ("a" * 256, "longer than 255"),
        ("é" * 128, "longer than 255"),
        ("a/\ud800", "no Unicode"),
        pytest.param(temporary_name("x"), "temporary file", id="a temporary name"),
    ],
)
def test_a_key_that_cannot_be_a_local_path_says_why(key: str, why: str) -> None:
    assert why in str(local_names(key))


@given(st.text())
def test_no_key_at_all_leads_out_of_the_destination(key: str) -> None:
    names = local_names(key)
    if isinstance(names, tuple):
        assert "/".join(names) == key.removesuffix("/")
        assert not {"", ".", ".."} & set(names)
        assert not any("/" in name or "\0" in name or len(name.encode()) > LONGEST_NAME for name in names)


def clashes(keys: list[str], *, folds_case: bool = False) -> list[tuple[str, str]]:
    tree = LocalTree(folds_case=folds_case)
    found = []
    for key in keys:
        names = local_names(key)
        assert isinstance(names, tuple)
        if rival := tree.add(names, key, is_folder=key.endswith("/")):
            found.append((key, rival))
    return found


@pytest.mark.parametrize(
    ("keys", "clash"),
    [
        (["a", "a/b"], [("a/b", "a")]),
        (["a/b", "a"], [("a", "a/b")]),
        (["a", "a/"], [("a/", "a")]),
        (["a/", "a"], [("a", "a/")]),
        (["a/b/c/d", "a/b"], [("a/b", "a/b/c/d")]),
        (["a/b", "a/b/c/d"], [("a/b/c/d", "a/b")]),
        (["a/", "a/b", "a/c/", "a/c/d"], []),
        (["a", "ab", "a.b", "b/a"], []),
        (["X", "x", "é", "e\u0301"], []),
    ],
)
def test_a_file_and_a_folder_of_one_path_are_found(keys: list[str], clash: list[tuple[str, str]]) -> None:
    assert clashes(keys) == clash


@pytest.mark.parametrize(
    ("keys", "clash"),
    [
        (["X", "x"], [("x", "X")]),
        (["Data/a", "data/b"], []),
        (["Data/a", "data"], [("data", "Data/a")]),
        (["straße", "STRASSE"], [("STRASSE", "straße")]),
        (["é", "E\u0301"], [("E\u0301", "é")]),
    ],
)
def test_names_that_a_case_folding_disk_takes_for_one_are_found(keys: list[str], clash: list[tuple[str, str]]) -> None:
    assert clashes(keys, folds_case=True) == clash


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@given(st.lists(paths, unique=True, max_size=12))
def test_a_path_is_refused_exactly_when_the_disk_could_not_hold_it_beside_the_others(keys: list[str]) -> None:
    kept: list[str] = []
    refused: list[str] = []
    for key in keys:
        meets = any(key.startswith(other + "/") or other.startswith(key + "/") for other in kept)
        (refused if meets else kept).append(key)
    assert [key for key, _ in clashes(keys)] == refused


def test_a_file_waits_only_while_the_next_keys_could_lie_in_it() -> None:
    held = Held[str]()
    held.hold("a", "A")
    assert list(held.released_by("a-b")) == []
    held.hold("a-b", "B")
    assert list(held.released_by("a/c")) == ["B"]
    assert held.drop("a")
    assert not held.drop("a-b")
    assert list(held.rest()) == []


def test_where_case_does_not_count_every_file_waits_for_the_end() -> None:
    held = Held[str](folds_case=True)
    held.hold("A", "A")
    assert list(held.released_by("b")) == []
    assert list(held.rest()) == ["A"]


@given(st.lists(st.text("ab-/", min_size=1, max_size=6), unique=True))
def test_whoever_is_released_can_not_be_met_by_a_later_key(keys: list[str]) -> None:
    held = Held[str]()
    released: list[str] = []
    for key in sorted(keys, key=str.encode):
        assert not any(key.startswith(earlier + "/") for earlier in released)
        released += held.released_by(key)
        assert not any(key.startswith(earlier + "/") for earlier in released)
        held.hold(key, key)
    assert sorted([*released, *held.rest()]) == sorted(keys)
