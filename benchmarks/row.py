"""One row while it is measured: what is where, who does it, and what must be there afterwards."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.data import MIB, Dataset, Digest, digests_of
from benchmarks.job import Job, JobFailed, Peer, Sample, Verb
from benchmarks.places import Blob
from benchmarks.results import Cell
from benchmarks.servers import Arena
from benchmarks.works import Server, Work

log = logging.getLogger(__name__)

SEED, WARM = "seed", "warm"
FEW_FILES = 100
TOLD_APART_SECONDS = 1.1
"""After so long a blob that is written again has another time: providers tell whole seconds."""


@dataclass(kw_only=True)
class Row:
    """One row while it is measured.

    :ivar count: files, or keys.
    :ivar folder: for files that come and go.
    """

    work: Work
    data: Dataset
    count: int
    arena: Arena
    folder: Path
    _before: Mapping[str, Blob] | None = None

    def prepare(self, seeder: Peer) -> None:
        """Put into the bucket what all jobs share."""
        if self.work.server is Server.MANY_KEYS:
            return
        if self.work.verb in {Verb.UPLOAD_DIR, Verb.UPLOAD_FILE, Verb.DELETE}:
            self._warm(seeder)
        else:
            self._seed(seeder, SEED)
        if self.work.verb is Verb.UPDATE_DIR:
            self._before = self.arena.place.blobs(SEED + "/")
            time.sleep(TOLD_APART_SECONDS)

    def _warm(self, seeder: Peer) -> None:
        """Write one file, so that no peer pays for what the server does once for a new bucket."""
        with _fresh(self.folder / WARM) as folder:
            path = folder / "file.bin"
            path.write_bytes(b"1")
            seeder.do(Job(verb=Verb.UPLOAD_FILE, place=self.arena.place, prefix=WARM, local=path))

    def _seed(self, seeder: Peer, prefix: str) -> None:
        verb = Verb.UPLOAD_FILE if self.data.root.is_file() else Verb.UPLOAD_DIR
        seeder.do(Job(verb=verb, place=self.arena.place, prefix=prefix, local=self.data.root))

    def cell(self, number: int, peer: Peer, seeder: Peer) -> Cell:
        """Let a peer do the job, and judge what it did."""
        own = f"{number}-{peer.name}".replace(" ", "-").replace(",", "")
        with _fresh(self.folder / "to", keeping=self.folder / f"{self.work.name}-{own}") as target:
            job = self._job(own, target)
            try:
                if job.verb is Verb.DELETE:
                    self._seed(seeder, own)
                os.sync()  # what earlier jobs have written is not written during this one
                sample = peer.do(job)
                self._judge(job, sample)
            except JobFailed as failed:
                log.warning("%-12s %d  %-20s FAILED: %s", self.work.name, number + 1, peer.name, failed)
                return Cell(round=number, peer=peer.name, error=str(failed))
        log.info(
            "%-12s %d  %-20s %8.2f s  %8.2f s CPU  %6.0f MiB",
            self.work.name,
            number + 1,
            peer.name,
            sample.seconds,
            sample.cpu_seconds,
            sample.peak_bytes / MIB,
        )
        return Cell(round=number, peer=peer.name, sample=sample)

    def _job(self, own: str, target: Path) -> Job:
        root, verb = self.data.root, self.work.verb
        prefix, local = {
            Verb.UPLOAD_DIR: (own, root),
            Verb.UPLOAD_FILE: (own, root),
            Verb.DOWNLOAD_DIR: (SEED, target),
            Verb.DOWNLOAD_FILE: (SEED, target / root.name),
            Verb.UPDATE_DIR: (SEED, root),
            Verb.LIST: ("" if self.work.server is Server.MANY_KEYS else SEED, root),
            Verb.DELETE: (own, root),
        }[verb]
        return Job(verb=verb, place=self.arena.place, prefix=prefix, local=local)

    def _judge(self, job: Job, sample: Sample) -> None:
        """Compare what is there with what should be.

        :raises JobFailed: the job was not done.
        """
        if job.verb is Verb.LIST:
            if sample.listed != self.count:
                raise JobFailed(f"it listed {sample.listed} of {self.count} keys")
        elif job.verb is Verb.DELETE:
            left = self.arena.place.blobs(job.prefix + "/")
            if left or not self.arena.place.blobs(WARM):
                raise JobFailed(f"it left {len(left)} of {self.count} keys, or deleted others")
        elif job.verb is Verb.UPDATE_DIR:
            if self.arena.place.blobs(SEED + "/") != self._before:
                raise JobFailed("it uploaded what was there already")
        else:
            self._compare(self._found(job))

    def _found(self, job: Job) -> dict[str, Digest]:
        """Return what an upload or a download has made; of blobs whose MD5 nobody tells the bytes are read."""
        if job.verb in {Verb.DOWNLOAD_DIR, Verb.DOWNLOAD_FILE}:
            return digests_of(job.local)
        place = job.place
        if job.verb is Verb.UPLOAD_FILE:
            blob = place.blobs(job.prefix).get("")  # the blob of exactly this key
            read = place.md5s([job.prefix] if blob else [])
            return {job.local.name: Digest(blob.digest.size, read[job.prefix])} if blob else {}
        folder = job.prefix + "/"
        there = place.blobs(folder)
        blobs = {name: there[name].digest for name in there if name and not name.endswith("/")}  # a marker is no file
        read = place.md5s([folder + name for name, digest in blobs.items() if not digest.md5])
        return {name: Digest(digest.size, read.get(folder + name, digest.md5)) for name, digest in blobs.items()}

    def _compare(self, found: Mapping[str, Digest]) -> None:
        wanted = self.data.files
        wrong = [name for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
        missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
        if wrong or missing or extra:
            raise JobFailed(
                f"of {len(wanted)} files {len(missing)} are missing and {len(wrong)} wrong, {len(extra)} are too many, "
                f"such as {next(iter([*missing, *wrong, *extra]))}"
            )


@contextmanager
def _fresh(folder: Path, *, keeping: Path | None = None) -> Iterator[Path]:
    """Give an empty folder.

    :param keeping: where a folder of many files goes afterwards, to be deleted when all is measured: for minutes after
        many files were deleted, ext4 looks longer for a free inode, and the next peer would pay for that.
    """
    folder.mkdir()
    try:
        yield folder
    finally:
        if keeping is not None and len(list(islice(folder.rglob("*"), FEW_FILES))) == FEW_FILES:
            folder.rename(keeping)
        else:
            shutil.rmtree(folder)
