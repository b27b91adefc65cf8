"""The rows of the table: what is done, with which files, and what this package must reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from benchmarks.data import MIB
from benchmarks.job import Verb

OURS, COROUTINE, S5CMD, RCLONE, OFFICIAL, S3HOOK = (
    "ours",
    "ours, in a coroutine",
    "s5cmd",
    "rclone",
    "official SDK",
    "S3Hook",
)
PEERS = (OURS, S5CMD, RCLONE, OFFICIAL, S3HOOK)


class Server(StrEnum):
    """What the peers work against."""

    SEAWEEDFS = "seaweedfs"
    AZURITE = "azurite"
    MANY_KEYS = "many keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What must be reached; where nothing is said, the figure is only told.

    :ivar ratios: our seconds to those of a peer, at most.
    :ivar cpu_ratios: likewise CPU seconds.
    :ivar peak_bytes: memory above idle, at most.
    """

    ratios: Mapping[str, float] = field(default_factory=dict)
    cpu_ratios: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    peak_bytes: int | None = None
    loop_gap_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One row.

    :ivar data: the files, as `Shelf.get` takes them; for a bucket of made-up keys how many.
    :ivar peers: who takes part.
    :ivar most_rounds: where one round takes long.
    :ivar seeded_by: who writes what is read, and so decides what is known of it.
    """

    name: str
    title: str
    verb: Verb
    data: str
    limits: Limits = field(default_factory=Limits)
    peers: tuple[str, ...] = PEERS
    server: Server = Server.SEAWEEDFS
    most_rounds: int | None = None
    seeded_by: str = S5CMD


def _against(s5cmd: float, official: float, *, cpu: float | None = None) -> Limits:
    cpu_ratios = {} if cpu is None else {S5CMD: cpu}
    return Limits(ratios={S5CMD: s5cmd, OFFICIAL: official}, cpu_ratios=cpu_ratios)


_SMALL, _FILE, _TREE, _MANY = "4KiB*2000", "512MiB", "airflow", "4KiB*50000"
_QUICK = (OURS, S5CMD, RCLONE)
_FOLDERS = (("up", Verb.UPLOAD_DIR), ("down", Verb.DOWNLOAD_DIR))

_FILE_DOWN = Work(
    name="file-down",
    title="512 MiB down",
    verb=Verb.DOWNLOAD_FILE,
    data=_FILE,
    limits=_against(0.7, 0.02),
    seeded_by=OURS,
)

_TABLE = (
    Work(
        name="small-up",
        title="2,000 files × 4 KiB up",
        verb=Verb.UPLOAD_DIR,
        data=_SMALL,
        limits=_against(1.0, 0.12, cpu=1.0),
    ),
    Work(
        name="small-down",
        title="2,000 files × 4 KiB down",
        verb=Verb.DOWNLOAD_DIR,
        data=_SMALL,
        limits=_against(0.9, 0.1, cpu=1.0),
    ),
    Work(name="file-up", title="512 MiB up", verb=Verb.UPLOAD_FILE, data=_FILE, limits=_against(1.0, 0.5)),
    _FILE_DOWN,
    Work(name="tree-up", title="Airflow's source up", verb=Verb.UPLOAD_DIR, data=_TREE, limits=_against(1.0, 0.12)),
    Work(
        name="tree-down", title="Airflow's source down", verb=Verb.DOWNLOAD_DIR, data=_TREE, limits=_against(0.9, 0.1)
    ),
    Work(
        name="update",
        title="Airflow's source, nothing to do",
        verb=Verb.UPDATE_DIR,
        data=_TREE,
        limits=_against(1.0, 0.1),
    ),
    Work(name="list", title="list 50,000 keys", verb=Verb.LIST, data=_MANY, limits=_against(0.6, 0.2)),
    Work(name="delete", title="delete 10,000 keys", verb=Verb.DELETE, data="1B*10000", limits=_against(1.0, 0.1)),
)

_PLAIN = replace(
    _FILE_DOWN,
    name="file-plain-down",
    title="512 MiB down, written by s5cmd: no CRC32",
    peers=_QUICK,
    seeded_by=S5CMD,
)

_MEDIUM = tuple(
    Work(
        name=f"medium-{way}",
        title=f"64 files × 8 MiB {way}",
        verb=verb,
        data="8MiB*64",
        limits=Limits(ratios={S5CMD: 1.0}),
        peers=_QUICK,
        seeded_by=OURS,
    )
    for way, verb in _FOLDERS
)

_GROWTH = tuple(
    Work(
        name=f"growth-{count}-{way}",
        title=f"{count:,} files × 4 KiB {way}",
        verb=verb,
        data=f"4KiB*{count}",
        limits=Limits(peak_bytes=150 * MIB if count == 50_000 else None),  # noqa: PLR2004 - the promise names it
        peers=_QUICK,
        most_rounds=3,
    )
    for count in (10_000, 50_000)
    for way, verb in _FOLDERS
)

_HUGE = tuple(
    Work(
        name=f"huge-{way}",
        title=f"4 GiB {way}",
        verb=verb,
        data="4096MiB",
        limits=Limits(peak_bytes=150 * MIB),
        peers=_QUICK,
        most_rounds=1,
        seeded_by=OURS,
    )
    for way, verb in (("up", Verb.UPLOAD_FILE), ("down", Verb.DOWNLOAD_FILE))
)

_MILLION = Work(
    name="million",
    title="list 1,000,000 keys",
    verb=Verb.LIST,
    data="1000000",
    limits=Limits(seconds=15.0, peak_bytes=60 * MIB, loop_gap_seconds=0.1),
    peers=(OURS, COROUTINE, S5CMD, RCLONE, S3HOOK),
    server=Server.MANY_KEYS,
    most_rounds=3,
)

_AZURE = tuple(
    replace(
        work,
        name=f"azure-{work.name}",
        limits=Limits(ratios={RCLONE: 1.0}),
        peers=(OURS, RCLONE),
        server=Server.AZURITE,
        seeded_by=RCLONE,
    )
    for work in _TABLE
)

GROWTH: Mapping[str, tuple[str, ...]] = {
    way: (f"small-{way}", f"growth-10000-{way}", f"growth-50000-{way}") for way in ("up", "down")
}
"""The rows that differ in nothing but the number of files, which is `SIZES`."""
SIZES = (2_000, 10_000, 50_000)
MOST_GROWTH = 1.2
"""Time a file in the largest folder to that in the smallest."""

ALL = (*_TABLE, _PLAIN, *_MEDIUM, *_GROWTH, *_HUGE, _MILLION, *_AZURE)


def named(names: str) -> tuple[Work, ...]:
    """Return the rows that begin with one of some names, divided by commas; all for an empty text.

    :raises ValueError: a name that no row begins with.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if not any(work.name.startswith(name) for work in ALL):
            raise ValueError(f"{name!r} begins no row; there are {', '.join(work.name for work in ALL)}")
    return tuple(work for work in ALL if not wanted or work.name.startswith(tuple(wanted)))
