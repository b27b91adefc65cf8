"""The ports of the storage server: free, and never those of another platform."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from airflow_provider_neuro_buckets.local.weed import reserved_ports


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
