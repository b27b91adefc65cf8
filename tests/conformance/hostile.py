"""Keys that file systems, URLs, XML or shells would like to mean something else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from conformance.rigs.base import Rig

#: The keys, by what is hostile about them.
HOSTILE: Mapping[str, Sequence[str]] = {
    "white space": [
        "with space",
        " space first",
        "space last ",
        "two  spaces",
        "new\nline",
        "carriage\rreturn",
        "tab\tstop",
        "no\u00a0break",
        "line\u2028separator",
    ],
    "unicode": [
        "caf\u00e9",
        "cafe\u0301",
        "\u65e5\u672c\u8a9e/\u540d\u524d",
        "\U0001f600/\U0001f680",
        "\u202eright to left",
        "\ufeffbyte order mark",
    ],
    "percent": ["100%", "%", "%20", "%2F", "a%2Fb/c", "%E0%A4%A", "a+b"],
    "marks of a URL": [
        "#fragment",
        "question?x=1",
        "a&b=c",
        "[brackets]",
        "~tilde",
        "star*",
        "semi;colon:comma,at@",
    ],
    "marks of a shell and of XML": [
        "{braces}",
        "(parentheses)",
        "it's",
        'say "hi"',
        "`tick` $(x) !",
        "<tag>&amp;",
        "pipe|caret^",
        "back\\slash",
    ],
    "slashes": ["a//b", "a///b", "/leading", "//two leading", "trailing/", "trailing//"],
    "dots": [".", "..", "a/.", "a/..", "a/./b", "a/../b", "../up", "...", ".hidden", "dot at the end."],
    "control characters": ["\x01\x1f", "\x7f", "nul\x00"],
    "length": ["k" * 1024, "/".join(["s" * 204] * 5)],
}
#: Keys that some servers keep under another name, and report as a success.
REWRITTEN = ["a//b", "/a/b", "a\\b", "a/./b", "a/x/../b", "a/b/", "a/b/."]


async def try_each(rig: Rig, kind: str, subtests: pytest.Subtests, check: Callable[[str], Awaitable[object]]) -> None:
    """Check each key of a kind in the empty bucket; skipped, by name, are those that the server itself refuses."""
    for key in HOSTILE[kind]:
        with subtests.test(key=ascii(key)[:40]):
            if reason := rig.refuses(key):
                pytest.skip(f"{rig.provider}: {reason}")
            try:
                await check(key)
            finally:
                await rig.store.delete(await rig.names())
