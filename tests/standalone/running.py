"""`airflow standalone` as a child of the tests: in a home of its own, at free ports, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from airflow_provider_neuro_buckets.local.process import dies_with_parent
from platform_rig import free_port

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""How long anything may take on a machine that is busy with something else. What comes sooner is seen sooner."""
GLANCE_SECONDS = 0.5
STOP_SECONDS = 60.0
TAIL = 60
MARK = "NEURO_BUCKETS_STANDALONE_MARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A process of Airflow.

    :ivar parent: the id of the process that started it.
    """

    pid: int
    parent: int
    command: str


@dataclass(slots=True, kw_only=True)
class Standalone:
    """A running `airflow standalone`, asked through its REST API.

    :ivar home: the folder that everything of it is in.
    """

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str] = field(repr=False)
    _others: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _token: str = field(default="", repr=False)

    @classmethod
    @contextmanager
    def start(cls, home: Path, settings: Mapping[str, str]) -> Iterator[Self]:
        """Start it, and wait until all four components are well; leaving the block ends every process of it."""
        port = free_port()
        environment = {**_environment(home, port), **settings}
        process = _start("standalone", environment, home)
        running = cls(home=home, port=port, process=process, environment=environment)
        try:
            running.until("everything has started", running._is_well)
            yield running
        finally:
            running._stop()

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    # Its REST API

    def get(self, path: str) -> Any:
        """Return what the API has at a path, such as ``/dags``."""
        return self._call(Request(f"{self.url}/api/v2{path}"))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what the API answers."""
        return self._send("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what the API answers to a change."""
        return self._send("PATCH", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        return self._call(Request(f"{self.url}/api/v2{path}", json.dumps(body).encode(), headers, method=method))

    def _call(self, request: Request) -> Any:
        self._token = self._token or _json(Request(f"{self.url}/auth/token"))["access_token"]
        request.add_header("Authorization", f"Bearer {self._token}")
        return _json(request)

    def until(self, what: str, question: Callable[[], T | None]) -> T:
        """Ask until there is an answer that counts as true, and return it.

        While the API does not answer, or has no such thing, there is none. Fails when Airflow has ended.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        problem: object = None
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if answer := question():
                    return answer
            except (HTTPError, URLError, ConnectionError, TimeoutError) as error:
                problem = error
            time.sleep(GLANCE_SECONDS)
        raise AssertionError(f"never came: {what} (last problem: {problem})\n{self.said()}")

    def _is_well(self) -> bool:
        health = self.get("/monitor/health")
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor"))

    # Its processes

    def components(self) -> list[Component]:
        """Return all processes of it that run."""
        return list(_running(self.environment[MARK], {process.pid for process in self._started()}))

    def stop_triggerer(self) -> None:
        """End the triggerer as a machine that is shut down does, and wait until nothing of it runs."""
        family = _family(self.components())
        os.kill(family[0], signal.SIGTERM)
        self.until("the end of the triggerer", lambda: not {one.pid for one in self.components()} & set(family))

    def start_triggerer(self) -> None:
        """Start another, just as `airflow standalone` has started the first."""
        self._others.append(_start("triggerer", self.environment, self.home))

    def said(self) -> str:
        """Return how everything that was written ends, but for who asked the API what."""
        ends = {
            log.name: [line for line in log.read_text(errors="replace").splitlines() if "[http.access]" not in line]
            for log in sorted(self.home.glob("*.out"))
        }
        return "\n".join(f"--- {name}\n" + "\n".join(lines[-TAIL:]) for name, lines in ends.items())

    def _stop(self) -> None:
        """Ask all to end; whoever has not ended in time, and whoever was left alone, is ended by its id."""
        for process in self._started():
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + STOP_SECONDS
        while self.components() and time.monotonic() < end:
            time.sleep(GLANCE_SECONDS)
        while left := self.components():
            for component in left:
                with suppress(ProcessLookupError):
                    os.kill(component.pid, signal.SIGKILL)
            time.sleep(GLANCE_SECONDS)
        for process in self._started():
            process.wait()

    def _started(self) -> list[subprocess.Popen[bytes]]:
        return [self.process, *self._others]


def _environment(home: Path, port: int) -> dict[str, str]:
    temporary = home / "tmp"
    temporary.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return inherited | {
        MARK: uuid.uuid4().hex,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it starts `airflow` by its name
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(PATIENCE_SECONDS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": str(int(PATIENCE_SECONDS)),
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": str(PATIENCE_SECONDS),  # after five seconds a task would fail
    }


def _start(command: str, environment: Mapping[str, str], home: Path) -> subprocess.Popen[bytes]:
    parent_is_gone = dies_with_parent(signal.SIGINT)

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell may have had it ignored
        parent_is_gone()

    with (home / f"{command}.out").open("wb") as out:
        return _popen(command, environment, out, prepare)


def _popen(
    command: str, environment: Mapping[str, str], out: BinaryIO, prepare: Callable[[], None]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "airflow", command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 - nothing in it takes a lock
    )


def _json(request: Request) -> Any:
    request.add_header("Accept", "application/json")
    with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


def _running(mark: str, sessions: set[int]) -> Iterator[Component]:
    """Yield the processes of some sessions, and those with the mark in their environment.

    Whoever gives itself a title overwrites its environment; whoever leaves the session keeps the environment.
    """
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                state, parent, _, session, *_ = (process / "stat").read_text().rpartition(")")[2].split()
                environment = (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue  # it has ended, or is of another user
            if state != "Z" and (int(session) in sessions or mark.encode() in environment):
                yield Component(pid=int(process.name), parent=int(parent), command=command)


def _family(components: list[Component]) -> list[int]:
    """Return the ids of the one triggerer among the processes, and of all that it has started."""
    family = [one.pid for one in components if one.command.endswith("airflow triggerer")]
    family = [one.pid for one in components if one.pid in family and one.parent not in family]
    assert len(family) == 1, components
    for ancestor in family:  # it grows meanwhile
        family += [one.pid for one in components if one.parent == ancestor]
    return family
