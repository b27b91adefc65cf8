from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry

SECONDS = some.none() | some.floats(0, 4e9)
TEXTS = some.none() | some.text()
KEYS = some.text(some.characters(codec=None, exclude_categories=()))
"""Any text, halves of surrogate pairs included: a listing may tell of such keys."""


@given(
    entry=some.builds(
        Entry, KEYS, some.integers(0), etag=TEXTS, md5=TEXTS, modified=SECONDS, changed=SECONDS, problem=TEXTS
    )
)
@example(Entry("a\nb", 0))
@example(Entry('"quoted" \\ \r\u2028\0', 1))
@example(Entry("a//b/", 0))
@example(Entry("half of a pair \ud800", 0))
def test_a_line_leads_back_to_its_entry(entry: Entry) -> None:
    line = entry.line()
    assert Entry.of(line) == entry
    assert b"\n" not in line
    assert line.isascii()


@given(moment=some.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)))  # noqa: DTZ001 - made aware below
def test_what_a_provider_said_of_a_blob_is_the_same_behind_a_manifest(moment: datetime) -> None:
    modified = moment.replace(tzinfo=UTC)
    entry = Entry("b", 3, etag="e", md5="m", modified=modified.timestamp())
    meta = Entry.of(entry.line()).meta("a/")
    assert (meta.key, meta.size, meta.etag, meta.md5, meta.modified_at) == ("a/b", 3, "e", "m", modified)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"key": "a"}',
        b'{"key": "a", "size": -1}',
        b'{"key": "a", "size": "1"}',
        b'{"key": null, "size": 1}',
        b'{"key": "a", "size": 1, "mode": 511}',
        b'{"key": "a", "size": 1, "etag": 5}',
        b'{"key": "a", "size": 1',
    ],
)
def test_a_line_that_is_no_entry_is_an_error(line: bytes) -> None:
    with pytest.raises(InvalidAnswer, match="manifest"):
        Entry.of(line)
