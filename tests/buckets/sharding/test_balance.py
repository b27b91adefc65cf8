from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from airflow_provider_neuro_buckets.buckets.sharding.balance import Balancer

WORTH = 100


@given(sizes=some.lists(some.integers(0, 10_000)), shards=some.integers(1, 20))
def test_loads_differ_by_no_more_than_the_largest_item(sizes: list[int], shards: int) -> None:
    balancer = Balancer(shards, worth=WORTH)
    for size in sizes:
        balancer.place(size)
    loads = [size + WORTH * items for size, items in zip(balancer.bytes, balancer.items, strict=True)]
    assert max(loads) - min(loads) <= max(sizes, default=0) + WORTH


@given(sizes=some.lists(some.integers(0, 10_000)), shards=some.integers(1, 20))
def test_every_item_is_in_one_shard_and_no_shard_is_empty_that_need_not_be(sizes: list[int], shards: int) -> None:
    balancer = Balancer(shards, worth=WORTH)
    placed = [balancer.place(size) for size in sizes]
    assert balancer.items == [placed.count(shard) for shard in range(shards)]
    assert balancer.bytes == [
        sum(size for size, at in zip(sizes, placed, strict=True) if at == shard) for shard in range(shards)
    ]
    assert sum(items > 0 for items in balancer.items) == min(len(sizes), shards)


def test_many_small_files_are_balanced_by_their_number_too() -> None:
    balancer = Balancer(2)
    large = balancer.place(100 * 1024 * 1024)
    small = [balancer.place(0) for _ in range(1600)]
    assert small.count(large) == 400
