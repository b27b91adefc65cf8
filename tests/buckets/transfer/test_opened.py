from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.transfer.opened import MOST, Names, OpenFolders


class Opening:
    """Opens folders below a root, and takes note of each time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened: list[Names] = []
        self.files: list[int] = []

    def __call__(self, names: Names) -> int:
        path = self.root.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        self.opened.append(names)
        self.files.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return self.files[-1]

    def still_open(self) -> int:
        """Return how many descriptors below the root this process has."""
        links = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                links.append(entry.readlink())
            except FileNotFoundError:
                continue
        return sum(link.is_relative_to(self.root) for link in links)


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    return Opening(tmp_path)


def test_a_folder_is_opened_once_for_many_files(opening: Opening) -> None:
    folders = OpenFolders(opening)
    for _ in range(3):
        for names in ((), ("a",), ("a", "b")):
            with folders.use(names) as file:
                assert Path(f"/proc/self/fd/{file}").readlink() == opening.root.joinpath(*names)
    assert opening.opened == [(), ("a",), ("a", "b")]
    folders.close()
    assert opening.still_open() == 0


def test_only_a_few_stay_open_and_those_that_were_used_last(opening: Opening) -> None:
    folders = OpenFolders(opening)
    for number in range(MOST * 2):
        with folders.use((str(number),)), folders.use(()):
            pass
    assert opening.still_open() == MOST
    assert opening.opened.count(()) == 1
    folders.close()
    assert opening.still_open() == 0


def test_a_folder_in_use_is_closed_by_nobody_but_its_last_user(opening: Opening) -> None:
    folders = OpenFolders(opening)
    with ExitStack() as users:
        files = [users.enter_context(folders.use((str(number),))) for number in range(MOST * 2)]
        folders.forget((str(MOST * 2 - 1),))
        folders.close()
        for number, file in enumerate(files):
            assert Path(f"/proc/self/fd/{file}").readlink().name == str(number)
    assert opening.still_open() == 0


def test_a_forgotten_folder_is_opened_anew(opening: Opening) -> None:
    folders = OpenFolders(opening)
    with folders.use(("a",)):
        pass
    folders.forget(("a",))
    folders.forget(("never opened",))
    with folders.use(("a",)):
        pass
    assert opening.opened == [("a",), ("a",)]
    folders.close()


def test_two_that_open_a_folder_at_the_same_time_share_one(opening: Opening) -> None:
    def open_twice(names: Names) -> int:
        if not opening.opened:
            opening(names)
            with folders.use(names):  # the other one is quicker
                pass
            return opening.files[0]
        return opening(names)

    folders = OpenFolders(open_twice)
    with folders.use(("a",)):
        assert opening.still_open() == 1
    folders.close()
    assert opening.still_open() == 0


def test_a_folder_that_cannot_be_opened_is_tried_again_the_next_time(opening: Opening) -> None:
    (opening.root / "file").touch()
    folders = OpenFolders(opening)
    for _ in range(2):
        with pytest.raises(FileExistsError), folders.use(("file",)):
            raise AssertionError("never reached")
    assert opening.still_open() == 0
