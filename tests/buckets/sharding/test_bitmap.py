from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from airflow_provider_neuro_buckets.buckets.sharding.bitmap import Bitmap


@given(data=some.data(), length=some.integers(0, 100))
def test_a_bitmap_is_the_set_of_what_was_added_also_behind_its_bytes(data: some.DataObject, length: int) -> None:
    added = data.draw(some.sets(some.integers(0, length - 1))) if length else set()
    bitmap = Bitmap(length)
    for at in [*added, *added]:
        bitmap.add(at)
    for one in (bitmap, Bitmap(length, bitmap.content())):
        assert {at for at in range(length) if at in one} == added
        assert one.count == len(added)


@pytest.mark.parametrize("at", [-1, 9, 15])
def test_what_is_not_in_it_cannot_be_added(at: int) -> None:
    with pytest.raises(IndexError):
        Bitmap(9).add(at)


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\0\0"])
def test_bytes_of_another_length_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="bits"):
        Bitmap(9, content)
