from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.transfer.crew import Folders, KeyFolders, parent_of, share, work_off


class Stop(BaseException):
    """Like a task's time-out: nobody may catch it as an error."""


async def numbers(count: int, closed: list[str] | None = None) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            yield number
    finally:
        if closed is not None:
            closed.append("closed")


@settings(deadline=None)
@given(count=st.integers(0, 50), workers=st.integers(1, 8))
def test_every_item_is_worked_on_once_and_never_by_more_than_the_workers(count: int, workers: int) -> None:
    async def run(*, shared: bool) -> None:
        done: list[int] = []
        busy = most = 0

        async def work(item: int) -> None:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            done.append(item)

        if shared:
            await share(range(count), work, workers=workers)
        else:
            await work_off(numbers(count), work, workers=workers)
        assert sorted(done) == list(range(count))
        assert most == min(count, workers)

    asyncio.run(run(shared=True))
    asyncio.run(run(shared=False))


async def test_sharing_an_endless_number_of_items_takes_one_task_for_each_worker() -> None:
    before = len(asyncio.all_tasks())
    seen = 0

    async def work(item: int) -> None:
        nonlocal seen
        seen += 1
        assert len(asyncio.all_tasks()) <= before + 4
        if item == 1000:
            raise KeyError(item)
        await asyncio.sleep(0)

    with pytest.raises(KeyError):
        await share(iter(range(10**12)), work, workers=4)
    assert seen >= 1000


@pytest.mark.parametrize("error", [KeyError("it"), Stop()])
async def test_the_first_failure_arrives_as_it_was_and_ends_the_others(error: BaseException) -> None:
    ended: list[int] = []
    closed: list[str] = []

    async def work(item: int) -> None:
        if item == 2:
            raise error
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(item)

    with pytest.raises(type(error)) as caught:
        await work_off(numbers(10_000_000, closed), work, workers=3)
    assert caught.value is error
    assert sorted(ended) == [0, 1]
    assert closed == ["closed"]


async def test_cancelling_closes_the_source_and_the_workers() -> None:
    closed: list[str] = []

    async def work(_: int) -> None:
        await asyncio.sleep(1000)

    task = asyncio.create_task(work_off(numbers(10_000_000, closed), work, workers=3))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["closed"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@given(seed=st.integers(), size=st.integers(1, 30))
def test_a_folder_is_left_once_after_all_that_lies_below_it(seed: int, size: int) -> None:
    chance = random.Random(seed)
    tree = [""]
    for number in range(size):
        tree.append(chance.choice(tree) + f"d{number}/")
    left: list[str] = []
    folders = Folders(left.append)
    work: list[str] = []

    def walk(folder: str) -> None:
        """Enter as a walk does: a folder stays open until the next one is entered."""
        folders.enter(folder)
        for _ in range(chance.randrange(3)):
            folders.add(folder)
            work.append(folder)
        for below in tree:
            if below and parent_of(below) == folder:
                walk(below)
        folders.done(folder)

    walk("")
    assert not any(folder in left and folder in work for folder in tree)
    chance.shuffle(work)
    while work:
        folders.done(work.pop())
        assert not any(busy.startswith(folder) for folder in left for busy in work)
    assert sorted(left) == sorted(tree)
    assert all(left.index(folder) < left.index(parent_of(folder)) for folder in tree if folder)


def test_folders_nested_deeper_than_the_interpreter_recurses_are_left() -> None:
    left: list[str] = []
    folders = Folders(left.append)
    path = ""
    folders.enter(path)
    paths = [path]
    for _ in range(2000):
        path += "d/"
        folders.enter(path)
        folders.done(parent_of(path))
        paths.append(path)
    folders.done(path)
    assert left == paths[::-1]


@given(keys=st.lists(st.text("ab/", min_size=1, max_size=8)))
def test_folders_of_keys_are_entered_from_the_top_down_and_left_after_the_last_key(keys: list[str]) -> None:
    told: list[tuple[str, str]] = []
    folders = KeyFolders(
        enter=lambda path: told.append(("enter", path)), leave=lambda path: told.append(("leave", path))
    )
    homes = [key[: key.rfind("/") + 1] for key in keys]
    folders.reach("")
    for home in homes:
        folders.reach(home)
        folders.add(home)
        folders.done(home)
    entered = [path for verb, path in told if verb == "enter"]
    assert len(told) == len(entered) == len(set(entered))
    assert set(homes) <= set(entered)
    assert all(entered.index(parent_of(path)) < entered.index(path) for path in entered if path)
    folders.end()
    assert told[len(entered) :] == [("leave", path) for path in reversed(entered)]


def test_the_parent_of_a_path_ends_with_a_slash_and_is_empty_at_the_top() -> None:
    assert [parent_of(path) for path in ("a", "a/", "a/b", "a/b/", "")] == ["", "", "a/", "a/", ""]
