from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.ignore import IgnoreRules, is_ignored
from airflow_provider_neuro_buckets.buckets.transfer.walk import LocalFile, Walk

RULES = ".rules"


def verdicts(text: str, *paths: str) -> list[bool | None]:
    rules = IgnoreRules.parse("", text)
    return [rules.verdict(path) for path in paths]


@pytest.mark.parametrize(
    ("text", "ignored", "others"),
    [
        ("*.log\n", ["x.log", "d/x.log", "x.log/"], ["x.txt"]),
        ("build\n", ["build", "build/", "d/build/"], ["builds"]),
        ("build/\n", ["build/", "d/build/"], ["build", "d/build"]),
        ("/top\n", ["top", "top/"], ["d/top"]),
        ("a/b\n", ["a/b", "a/b/"], ["x/a/b"]),
        ("**/z\n", ["z", "q/z", "q/w/z"], ["zz"]),
        ("a/**/b\n", ["a/b", "a/x/b", "a/x/y/b"], ["a/x"]),
        ("x/**\n", ["x/a", "x/b/"], ["x/", "x"]),
        ("x/*\n", ["x/a", "x/b/"], ["x/", "x/b/c"]),
        ("?\n", ["a", "d/b"], ["ab"]),
        ("[ab].txt\n", ["a.txt"], ["c.txt"]),
        ("[!ab].txt\n", ["c.txt"], ["a.txt"]),
        ("# comment\n#also\n", [], ["# comment", "#also", "also"]),
        ("\\#file\n\\!file\n", ["#file", "!file"], ["file"]),
        ("a \n", ["a"], ["a "]),
        ("a\\ \n", ["a "], ["a"]),
        ("a\\   \n", ["a "], ["a", "a   "]),
        ("   \n\n", [], ["d/", "f", " "]),
        ("a\r\nb\r\n", ["a", "b"], ["a\r"]),
        ("\ufeffa\n", ["a"], []),
        ("a\u2028b\n", ["a\u2028b"], ["a", "b"]),
        ("é/ü\n", ["é/ü"], ["é/u"]),
        ("A\n", ["A"], ["a"]),
        ("/\n", [], ["d/", "f"]),
    ],
)
def test_a_pattern_ignores_what_git_would(text: str, ignored: list[str], others: list[str]) -> None:
    assert verdicts(text, *ignored) == [True] * len(ignored)
    assert verdicts(text, *others) == [None] * len(others)


def test_the_last_pattern_that_matches_decides() -> None:
    assert verdicts("*.log\n!keep.log\n", "keep.log", "a.log", "a.txt") == [False, True, None]
    assert verdicts("!keep.log\n*.log\n", "keep.log") == [True]


def test_a_folder_that_is_taken_back_is_entered_and_its_files_are_judged_by_themselves() -> None:
    rules = "*\n!*/\n!*.txt\n"
    assert verdicts(rules, "d/", "d/e/", "d/a.txt", "d/e/a.txt", "d/a.bin") == [False, False, False, False, True]


def test_rules_say_nothing_of_what_lies_outside_their_folder() -> None:
    rules = IgnoreRules.parse("d/", "x\n/y\n")
    assert [rules.verdict(path) for path in ("x", "d/x", "d/e/x", "d/y", "d/e/y", "dd/x")] == [
        None,
        True,
        True,
        True,
        None,
        None,
    ]


def test_the_nearest_file_that_mentions_a_path_decides() -> None:
    outer, inner = IgnoreRules.parse("", "*.log\n*.tmp\n"), IgnoreRules.parse("d/", "!keep.log\n*.txt\n")
    assert is_ignored("d/keep.log", [outer, inner]) is False
    assert is_ignored("keep.log", [outer, inner]) is True
    assert is_ignored("d/x.tmp", [outer, inner]) is True
    assert is_ignored("d/x.txt", [outer, inner]) is True
    assert is_ignored("d/x.bin", [outer, inner]) is None


@pytest.mark.parametrize("line", ["!", "a\\", "*" * 40 + "a" * 20, "a*" * 20 + "b", "a" * 2000])
def test_a_line_that_is_no_pattern_or_made_to_be_slow_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"pattern"):
        IgnoreRules.parse("", f"ok\n{line}\n")


def test_a_comment_may_have_as_many_stars_as_it_likes() -> None:
    assert verdicts("#" + "* " * 1000 + "\na\n", "a") == [True]


def tracked_by_git(tree: Path) -> list[str]:
    command = ["git", "-C", str(tree), "ls-files", "--others", f"--exclude-per-directory={RULES}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


segments = st.sampled_from(["a", "b", "ab", "*", "?", "**", "a*", "*b", "[ab]", "[!a]", "a?", "\\a"])
patterns = st.builds(
    lambda negated, anchored, parts, folder: f"{negated}{anchored}{'/'.join(parts)}{folder}",
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(segments, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git, whose judgement is the measure, is not installed")
    root = tmp_path_factory.mktemp("tree")
    for path in ("a/a/a", "a/a/b", "a/ab/a", "a/ab/ab", "a/b", "b/a/a", "b/a/ab", "b/ab/b", "b/b", "ab"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outer=st.lists(patterns, max_size=4), inner=st.lists(patterns, max_size=3))
async def test_a_walk_finds_exactly_what_git_would_track(tree: Path, outer: list[str], inner: list[str]) -> None:
    (tree / RULES).write_text("\n".join(outer))
    (tree / "a" / RULES).write_text("\n".join(inner))
    tracked = tracked_by_git(tree)
    walk = Walk(root=tree, ignore_file_names={RULES})
    found = [step.relative async for step in walk.steps() if isinstance(step, LocalFile)]
    assert sorted(path for path in found if not path.startswith(".git/")) == sorted(tracked)
