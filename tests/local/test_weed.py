"""The ports of the storage server: free, and never those of another platform."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.local.weed import Ports, remove_leftovers, reserved_ports
from local.processes import until


def test_no_two_platforms_are_given_the_same_ports() -> None:
    with ExitStack() as stack:
        given = [port for _ in range(200) for port in stack.enter_context(reserved_ports()).all()]

    assert len(given) == len(set(given)) == 200 * 10


def test_ports_are_given_again_when_a_platform_is_done_with_them() -> None:
    for _ in range(8):
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(reserved_ports())


def test_every_port_is_below_those_that_the_kernel_gives_and_can_be_bound() -> None:
    with reserved_ports() as ports:
        for port in ports.all():
            assert 11_000 <= port < 32_768
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))


def _sockets(ports: Ports) -> list[Path]:
    names = (f"seaweedfs-test-{ports.s3}.sock", f"seaweedfs-test-grpc-{ports.all()[-1]}.sock")
    return [Path("/tmp", name) for name in names]


def test_the_sockets_of_a_killed_platform_are_removed_by_the_next_that_starts() -> None:
    with reserved_ports() as ports:
        left = _sockets(ports)
        for file in left:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(file))
        remove_leftovers()
        assert all(file.exists() for file in left), "their owner lives, and may be about to listen"

    remove_leftovers()
    until(lambda: not any(file.exists() for file in left))


def test_sockets_in_use_are_left_alone() -> None:
    with reserved_ports() as ports:
        in_use, _ = _sockets(ports)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(in_use))
        listener.listen()
        remove_leftovers()
        assert in_use.exists()
    in_use.unlink()


@pytest.mark.parametrize("port", ["8888", "31000", "x"])
def test_sockets_of_other_ports_are_left_alone(port: str) -> None:
    file = Path("/tmp", f"seaweedfs-{uuid4().hex}-{port}.sock")
    file.touch()
    remove_leftovers()

    assert file.exists()
    file.unlink()
