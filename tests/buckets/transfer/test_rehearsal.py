"""A dry run says what the real run then does, and asks nothing of the storage that changes or moves anything."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.progress import AbstractDeleteProgress, StorageProgressDelete
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.transfer import engine
from airflow_provider_neuro_buckets.buckets.transfer.engine import DRY, REAL, Existing, Movers, Refusals, Symlinks
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART
from buckets.transfer.asking import window
from buckets.transfer.trees import age, plant, snapshot
from buckets.transfer.watched import WatchedStore, remote
from conformance.asking import fill
from conformance.rigs.base import Rig

LOOKING = {"head", "pages", "first part"}
TREE = {
    "same": b"same",
    "other": b"changed",
    "new": b"new",
    "deep/er/one": b"1",
    "large": bytes(PART + 1),
    "empty/": None,
}
THERE = {"same": b"same", "other": b"before", "extra": b"extra"}

Transfer = Callable[[Movers, Existing], Awaitable[TransferReport]]


class World:
    """A local folder and two in a bucket, of which each has something of the others."""

    def __init__(self, rig: Rig, home: Path) -> None:
        self.rig = rig
        self.home = home
        self.local = plant(home / "local", TREE)
        age(self.local, 3600)
        self.stores: list[WatchedStore] = []

    async def fill(self) -> None:
        for key, content in THERE.items():
            await self.rig.put(f"there/{key}", content)
        for name, planted in TREE.items():
            if planted is not None and name != "large":
                await self.rig.put(f"source/{name}", planted)
        plant(self.home / "down", {"same": b"same", "other": b"before"})
        later = self.rig.store.skew + 3600  # so that times tell
        for path in (self.home / "down").iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime + later))

    def at(self, key: str) -> engine.Remote:
        place, store = remote(self.rig, key)
        self.stores.append(store)
        return place

    @property
    def verbs(self) -> set[str]:
        return {call.verb for store in self.stores for call in store.calls}

    async def state(self) -> tuple[object, object]:
        blobs = {key: await self.rig.get(key) for key in await self.rig.names()}
        return blobs, snapshot(self.home)

    def transfers(self) -> dict[str, Transfer]:
        """Return each transfer, yet to be asked who does it."""
        given: dict[str, Any] = {"window": window(), "progress": None}
        folder = {**given, "filter": None}
        copy: dict[str, Any] = {"refusals": Refusals()}
        local, down = self.local, self.home / "down"
        return {
            "upload_dir": lambda movers, existing: engine.upload_dir(
                local,
                self.at("there"),
                symlinks=Symlinks.INSIDE,
                ignore_file_names=frozenset(),
                existing=existing,
                movers=movers,
                **folder,
            ),
            "upload_file": lambda movers, existing: engine.upload_file(
                local / "large", self.at("there/large"), existing=existing, movers=movers, **given
            ),
            "download_dir": lambda movers, existing: engine.download_dir(
                self.at("source"), down, existing=existing, movers=movers, **folder
            ),
            "download_elsewhere": lambda movers, existing: engine.download_dir(
                self.at("source"), self.home / "not" / "there", existing=existing, movers=movers, **folder
            ),
            "download_file": lambda movers, existing: engine.download_file(
                self.at("source/other"), down / "other", existing=existing, movers=movers, **given
            ),
            "copy_dir": lambda movers, existing: engine.copy_dir(
                self.at("source"), self.at("there"), existing=existing, movers=movers, **folder, **copy
            ),
            "copy_blob": lambda movers, existing: engine.copy_blob(
                self.at("source/other"), self.at("there/other"), existing=existing, movers=movers, **given, **copy
            ),
        }


NAMES = ["upload_dir", "upload_file", "download_dir", "download_elsewhere", "download_file", "copy_dir", "copy_blob"]


@pytest.mark.parametrize("existing", [Existing.REPLACE, Existing.UPDATE])
@pytest.mark.parametrize("name", NAMES)
async def test_a_dry_run_says_what_the_real_run_then_does(
    aws: Rig, tmp_path: Path, name: str, existing: Existing
) -> None:
    world = World(aws, tmp_path)
    await world.fill()
    before = await world.state()
    said = await world.transfers()[name](DRY, existing)
    assert world.verbs <= LOOKING
    assert await world.state() == before
    done = await world.transfers()[name](REAL, existing)
    assert (said.files, said.bytes, said.unchanged) == (done.files, done.bytes, done.unchanged)
    assert (dict(said.skipped), dict(said.failed)) == (dict(done.skipped), dict(done.failed))
    assert done.files > 0
    assert not world.verbs <= LOOKING
    assert await world.state() != before


async def test_every_provider_is_only_looked_at(rig: Rig, tmp_path: Path) -> None:
    world = World(rig, tmp_path)
    await world.fill()
    before = await world.state()
    for transfer in world.transfers().values():
        assert (await transfer(DRY, Existing.REPLACE)).files > 0
        await transfer(DRY, Existing.UPDATE)
    assert world.verbs <= LOOKING
    assert await world.state() == before


async def test_a_dry_run_refuses_what_the_real_run_would(aws: Rig, tmp_path: Path) -> None:
    world = World(aws, tmp_path)
    (world.local / "leads out").symlink_to("/")
    for key in ("source/../../evil", "source/a", "source/a/b", "source/good"):
        await aws.put(key, b"x")
    for name, refused in (("upload_dir", 1), ("download_dir", 3)):
        errors = []
        for movers in (DRY, REAL):
            with pytest.raises(TransferError) as error:
                await world.transfers()[name](movers, Existing.REPLACE)
            errors.append(error.value)
        assert len(errors[0].failures) == refused
        assert {address: str(why) for address, why in errors[0].failures.items()} == {
            address: str(why) for address, why in errors[1].failures.items()
        }


class Heard(AbstractDeleteProgress):
    """What a removal tells."""

    def __init__(self) -> None:
        self.uris: list[str] = []

    def delete(self, data: StorageProgressDelete) -> None:
        self.uris.append(str(data.uri))


@pytest.mark.parametrize("path", ["d", "d/", "", "d/deep/b"])
async def test_a_removal_is_rehearsed_by_the_same_rules(aws: Rig, path: str) -> None:
    listing = Listing(aws.bucket, aws.store)
    await fill(aws.store, ["d", "d/a", "d/deep/b", "dd"])
    before = await aws.names()
    dry, real = Heard(), Heard()
    said = await remove_path(listing, path, recursive=True, progress=dry, dry_run=True)
    assert await aws.names() == before
    assert await remove_path(listing, path, recursive=True, progress=real) == said
    assert dry.uris == real.uris
