"""The probe socket: arrival times from the kernel, and datagrams that don't fit into its buffer.

The socket is connected to itself, over loopback.
"""

import contextlib
import socket
import time

import pytest

from lab.sockets.prober import ProbeSocket


@pytest.fixture
def probe():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    with contextlib.closing(ProbeSocket(port, "127.0.0.1")) as probe:
        yield probe


def test_a_datagram_has_the_time_of_its_arrival(probe):
    before = time.time_ns()
    assert probe.send(b"hello")
    data, arrived = probe.receive()
    assert data == b"hello"
    assert before <= arrived <= time.time_ns()
    assert probe.receive() is None


def test_datagrams_that_do_not_fit_into_the_buffer_are_counted(probe):
    sent = 0
    while not probe.overflowed:
        assert probe.send(bytes(1000))
        sent += 1
        assert sent < 1_000_000
    received = 0
    while probe.receive():
        received += 1
    assert received + probe.overflowed == sent
