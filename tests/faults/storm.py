"""The mix of faults of the soak: what may happen to which request, drawn by one seeded dice."""

from __future__ import annotations

import random
import re

from faults.proxy import Plan, Seen, chaos
from faults.toxics import (
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    Answer,
    Corrupt,
    CorruptRequest,
    Disguise,
    EndlessBody,
    EndlessHeaders,
    Fault,
    Headers,
    Late,
    ResetAnswer,
    ResetRequest,
    Slow,
    Stall,
    StallRequest,
    Told,
    Truncate,
    s3_error,
)

MIB = 1024 * 1024
_BODY = re.compile(r"/[^?]+/[^?]+(\?partNumber=.*)?$")


def storage(*, seed: int, rate: float) -> Plan:
    """What happens before an S3 service."""
    return chaos(lambda seen, dice: _any(dice) if not _is_blob(seen) else _of_blob(seen, dice), seed=seed, rate=rate)


def control_plane(*, seed: int, rate: float) -> Plan:
    """What happens before the platform."""
    return chaos(lambda _, dice: _any(dice), seed=seed, rate=rate)


def _is_blob(seen: Seen) -> bool:
    return seen.method in {"GET", "PUT"} and _BODY.match(seen.target) is not None


def _any(dice: random.Random) -> Fault:
    """What may happen to every request, and cannot be taken for something else."""
    faults: list[Fault] = [
        ResetRequest(0),
        ResetAnswer(dice.randrange(600)),
        ResetAnswer(0),
        StallRequest(0),
        Stall(dice.randrange(600)),
        INTERNAL_ERROR,
        Answer(502, b"<html>bad gateway</html>"),
        s3_error(503, "SlowDown", retry_after=1),
        s3_error(429, "TooManyRequests"),
        Disguise(INTERNAL_ERROR),
        Truncate(dice.randrange(200)),
        Late(0.3, spread=0.3),
    ]
    return dice.choice(faults)


def _of_blob(seen: Seen, dice: random.Random) -> Fault:
    """What may happen to the bytes of a blob too: they have a checksum."""
    at = dice.choice([0, dice.randrange(1000), dice.randrange(300_000), dice.randrange(3 * MIB)])
    faults: list[Fault] = [
        _any(dice),
        ResetAnswer(at),
        Stall(at),
        Truncate(at, dice.choice(list(Told))),
        Corrupt(at),
        Slow(MIB, step=16 * 1024),
        EXPIRED_TOKEN,
        Headers((("ETag", '"00000000000000000000000000000000"'),)),
        EndlessHeaders(),
    ]
    if seen.method == "PUT":
        faults += [ResetRequest(at), CorruptRequest(at), StallRequest(at)]
    else:
        faults.append(EndlessBody(b"garbage"))
    return dice.choice(faults)
