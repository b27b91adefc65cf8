"""A whole Airflow as child processes of the tests: in a home of its own, at free ports, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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
MARK = "NEURO_BUCKETS_AIRFLOW_MARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A process of Airflow.

    :ivar parent: the id of the process that started it.
    :ivar session: the id of the process that was started by the test, and has started this one in the end.
    """

    pid: int
    parent: int
    session: int
    command: str


@dataclass(slots=True, kw_only=True)
class RunningAirflow:
    """Commands of Airflow that run in one home, asked through its REST API.

    :ivar home: the folder that everything of it is in.
    :ivar started: the processes that were started here and are to run until the end.
    """

    home: Path
    port: int
    environment: Mapping[str, str] = field(repr=False)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _token: str = field(default="", repr=False)

    @classmethod
    def at(cls, home: Path, settings: Mapping[str, str]) -> Self:
        """Return an Airflow of which nothing runs yet."""
        port = free_port()
        return cls(home=home, port=port, environment={**_environment(home, port), **settings})

    def start(self, name: str, command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a command of Airflow, such as ``scheduler``.

        :param name: what it writes goes into a file of this name.
        :param settings: more for its environment.
        """
        with (self.home / f"{name}.out").open("wb") as out:
            process = _popen(command, {**self.environment, **settings}, out)
        self.started.append(process)
        return process

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

    def until(self, what: str, question: Callable[[], T | None], *, seconds: float = PATIENCE_SECONDS) -> T:
        """Ask until there is an answer that counts as true, and return it; for so many seconds at most.

        While the API does not answer, or has no such thing, there is none. Fails when a command has ended.
        """
        end = time.monotonic() + seconds
        problem: object = None
        while time.monotonic() < end and all(process.poll() is None for process in self.started):
            try:
                if answer := question():
                    return answer
            except (HTTPError, URLError, ConnectionError, TimeoutError) as error:
                problem = error
            time.sleep(GLANCE_SECONDS)
        raise AssertionError(f"never came: {what} (last problem: {problem})\n{self.said()}")

    def until_well(self, *names: str) -> None:
        """Wait until some of its components are well, such as the ``scheduler``."""

        def is_well() -> bool:
            health = self.get("/monitor/health")
            return all(health[name]["status"] == "healthy" for name in names)

        self.until("everything has started", is_well)

    # Its processes

    def components(self) -> list[Component]:
        """Return all processes of it that run."""
        return list(_running(self.environment[MARK], {process.pid for process in self.started}))

    def said(self) -> str:
        """Return how everything that was written ends, but for who asked the API what."""
        ends = {
            log.name: [line for line in log.read_text(errors="replace").splitlines() if "[http.access]" not in line]
            for log in sorted(self.home.glob("*.out"))
        }
        return "\n".join(f"--- {name}\n" + "\n".join(lines[-TAIL:]) for name, lines in ends.items())

    def stop(self) -> None:
        """Ask all to end; whoever has not ended in time, and whoever was left alone, is ended by its id."""
        for process in self.started:
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + STOP_SECONDS
        while self.components() and time.monotonic() < end:
            time.sleep(GLANCE_SECONDS)
        while left := self.components():
            kill(left)
            time.sleep(GLANCE_SECONDS)
        for process in self.started:
            process.wait()


def kill(components: list[Component]) -> None:
    """End processes at once, each by its id."""
    for component in components:
        with suppress(ProcessLookupError):
            os.kill(component.pid, signal.SIGKILL)


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


def _popen(command: str, environment: Mapping[str, str], out: BinaryIO) -> subprocess.Popen[bytes]:
    parent_is_gone = dies_with_parent(signal.SIGINT)

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell may have had it ignored
        parent_is_gone()

    return subprocess.Popen(
        [sys.executable, "-m", "airflow", *command.split()],
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
                yield Component(pid=int(process.name), parent=int(parent), session=int(session), command=command)
