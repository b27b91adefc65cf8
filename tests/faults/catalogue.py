"""What is promised when things go wrong, case by case, and which tests show it.

A test shows case 17 when its name has `f17` as a word of its own: `test_a_busy_server_is_waited_out_f17`. Run as a
program, this file prints the cases that no test shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_CASE = re.compile(r"(?<=_)f0*([1-9][0-9]*)(?=_|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What holds for a whole kind of trouble; `cases` says what that means, by number."""

    promise: str
    cases: Mapping[int, str]


PROMISES = (
    Promise(
        promise="A network that refuses, breaks, stalls or crawls costs time, never a byte",
        cases={
            1: "A port where nobody listens is tried again with growing pauses; then the error names the address",
            2: "A host name that does not resolve is looked up again at each attempt",
            3: "A server that takes the connection and never answers is left after `timeout_seconds` and asked again",
            4: "A download that breaks, at whatever byte, goes on from there, and its bytes are right",
            5: "A part of an upload that breaks is sent again, by itself, five times at most",
            6: "A download that falls silent is broken off, and goes on where it stood, in the same version",
            7: "Slow is not dead: no transfer is cut for the time it takes",
            9: "Connections that break every other time end well, each attempt in the log",
            11: "Latency is hidden by requests side by side; none waits in a pool until it is out of time",
            12: "A refusal in the middle of an upload is read and told, not a broken pipe",
            13: "A certificate that is expired, of another host or of nobody's is refused at once, with no retry",
            15: "A proxy in the environment is not used",
        },
    ),
    Promise(
        promise="A server is not believed: no wrong bytes as a success, and nothing deleted for a listing that is none",
        cases={
            17: "A server that asks to slow down is waited out for as long as its `Retry-After` says",
            18: "A server that is always down is asked a known number of times, within a deadline",
            20: "One failure of any one verb is not noticed",
            21: "An error document under status 200 is never taken for the blob",
            22: "An upload that is completed with an error under status 200 is completed again",
            23: "An upload that was completed, but whose answer was lost, is a success",
            25: "A body that is shorter than it was announced is gone on with, or an error",
            26: "A range that is shorter than it was asked for is gone on with, or an error",
            28: "A server that ignores ranges gives no byte twice",
            31: "A body in chunks whose end never comes is gone on with, or an error",
            32: "A flipped bit in a download is noticed: it is read once more, then refused",
            33: "A flipped bit in one of many ranges is noticed",
            34: "A flipped bit in an upload is noticed, and wrong bytes that were stored do not stay",
            36: "A blob replaced while it is read arrives as one version",
            37: "A blob deleted while a folder is read is told of; the others arrive",
            38: "A compressed blob arrives as it is stored",
            39: "A listing that is none is an error, and nothing is deleted for it",
            40: "A listing that goes round in circles is an error",
            43: "A listing with sizes that are none is an error that names the key",
            44: "XML that would blow up memory, or reads files, is refused",
            47: "An answer without end is cut off",
            48: "A compressed answer that would blow up memory is refused",
            50: "An answer with missing or wrong fields is an error that names the field; unknown ones do not matter",
            51: "No redirect takes a request, a token or a signature elsewhere",
            52: "A bucket of another region is told of, with what to set",
            54: "A server without newer checksums is talked to without them",
            55: "Parts are sized for what the server takes",
            56: "A large blob is copied in parts, all of one version",
        },
    ),
    Promise(
        promise="Credentials that end are renewed in the middle of a transfer; refused ones fail at once",
        cases={
            58: "Credentials that end in the middle of an upload are renewed, and the same upload goes on",
            59: "However many requests meet ended credentials, they are renewed once",
            60: "Renewed credentials that are refused too are an error, and no storm",
            61: "While the platform is away, credentials are used as long as they are good",
            63: "A missing permission fails at once, and the error names what and where",
            65: "Revoked credentials fail at once",
            67: "Credentials of one bucket are never sent to another",
        },
    ),
    Promise(
        promise="On a disk, a file is whole or not there, and the good file that was there stays until then",
        cases={
            68: "A full disk fails at once, keeps the old file and leaves no temporary one",
            69: "A file that has no room is refused before its first byte",
            70: "A folder that may not be written fails its own files; the others arrive",
            71: "A folder where a file should go, or the other way round, is an error of that file",
            72: "A file that changes while it is uploaded fails, and nothing of it is kept",
            73: "What is no file, or cannot be read, is told of and hangs nothing",
            74: "Links that go round in circles end",
            75: "No link in the destination leads a download out of it",
            77: "Names too long for the disk are errors of their own files",
            78: "A killed transfer leaves only what the next one cleans up",
        },
    ),
    Promise(
        promise="Names from a bucket write nothing outside of the destination, and no blob is left out silently",
        cases={
            79: "Keys with `..` stay inside, or are refused by name",
            80: "Keys that look like absolute paths or drives stay inside, or are refused by name",
            81: "Control characters in keys are escaped in errors and logs",
            82: "Names that other systems reserve are plain names here",
            83: "A blob `a` beside a blob `a/b` is told of; neither is lost silently",
            84: "Keys that differ in case only do not overwrite each other",
            85: "A key that the server would store under another name is refused",
        },
    ),
    Promise(
        promise="Cancelled, interrupted or killed, a transfer cleans up within seconds, or the next one does",
        cases={
            87: "Cancelled at any moment, a transfer ends as cancelled and leaves nothing open",
            88: "SIGTERM in the middle of an upload aborts it within seconds",
            89: "A second signal, or Ctrl-C, does as well",
            90: "A task that is out of time cleans up, and ends as out of time",
            91: "An upload that is given up is aborted, again while a part may still come; if that fails, it is told",
            95: "One file that fails does not keep the others from arriving; the result names it",
            97: "Many tasks at a server that is down do not multiply their requests",
        },
    ),
    Promise(
        promise="In Airflow: retries are safe, waiting blocks no triggerer, and nothing large or secret is stored",
        cases={
            98: "A task that is tried again goes on or begins anew, and leaves no upload of its earlier try",
            99: "A killed task stops its transfer",
            100: "A thousand waiting tasks do not hold up the triggerer",
            101: "What a deferred task stores is plain and holds no secret",
            102: "A triggerer that restarts goes on waiting, and does nothing twice",
            103: "A connection is read without blocking the triggerer",
            104: "A huge result is not pushed whole",
            105: "A watcher tells of each version of a blob once",
            106: "A key from a template is taken literally",
            107: "A connection that cannot be used is told of by its id and field, without values",
        },
    ),
    Promise(
        promise="No secret is in a log, an error, an XCom, a rendered template or the metadata database",
        cases={
            109: "No error and no cause of one holds a secret",
            110: "No redirect carries a secret to another host",
            111: "No logged address holds a signature",
            112: "At DEBUG, no library logs a secret",
            113: "What is pickled holds no secret",
            114: "No `repr` in a traceback shows a secret",
        },
    ),
)

CASES = {number: words for promise in PROMISES for number, words in promise.cases.items()}


@cache
def shown() -> dict[int, list[tuple[str, str]]]:
    """Return the tests that show each case, as the path of their file below this folder's parent and their name."""
    found: dict[int, list[tuple[str, str]]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _TEST.findall(path.read_text()):
            for number in _CASE.findall(name):
                found.setdefault(int(number), []).append((path.relative_to(TESTS).as_posix(), name))
    return dict(sorted(found.items()))


def files_showing(numbers: Iterable[int]) -> list[str]:
    """Return the files with tests of some cases, those with most of them first."""
    tests = shown()
    files = Counter(file for number in numbers for file in {path for path, _ in tests.get(number, [])})
    return [file for file, _ in sorted(files.items(), key=lambda item: (-item[1], item[0]))]


if __name__ == "__main__":
    print(*(f"{number:4} {words}" for number, words in CASES.items() if number not in shown()), sep="\n")  # noqa: T201 - a command prints
