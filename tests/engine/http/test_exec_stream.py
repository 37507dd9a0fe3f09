"""The stream of a docker exec: its frames decoded, and no byte lost."""

import http.client
import socket
import struct
import subprocess
import sys
import time

import pytest

from lab.engine.client import Engine
from lab.engine.http.exec_stream import ExecStream


def chunk(stream, data):
    return struct.pack(">BxxxL", stream, len(data)) + data


WIRE = chunk(1, b"hello ") + chunk(2, b"complaint") + chunk(1, b"") + chunk(1, b"world")


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.mark.parametrize("step", [1, 3, 7, 8, 9, len(WIRE)])
@pytest.mark.parametrize("limit", [1, 4, 65_536])
def test_stdout_is_decoded_from_chunks_of_any_size(ends, step, limit):
    here, there = ends
    stream = ExecStream(here)
    received = b""
    for start in range(0, len(WIRE), step):
        there.sendall(WIRE[start : start + step])
    there.shutdown(socket.SHUT_WR)
    while part := stream.recv(limit):
        assert len(part) <= limit
        received += part
    assert received == b"hello world"
    assert stream.stderr == b"complaint"


def test_data_is_sent_unchanged(ends):
    here, there = ends
    assert ExecStream(here).send(b"abc") == 3
    assert there.recv(10) == b"abc"


def test_a_deadline_holds(ends):
    stream = ExecStream(ends[0])
    stream.settimeout(0.01)
    with pytest.raises(TimeoutError):
        stream.recv(1)


@pytest.mark.lab
def test_data_received_together_with_the_header_is_not_lost(lab_topology, monkeypatch):
    """A client that is slow to read finds the command's first output right behind the header."""
    begin = http.client.HTTPResponse.begin

    def begin_late(response):
        time.sleep(0.5)  # like a busy machine: meanwhile the command has written output
        begin(response)

    with Engine() as engine:
        container = engine.nodes(lab_topology.project)[0]
        monkeypatch.setattr(http.client.HTTPResponse, "begin", begin_late)
        stream = engine.open_stream(container, ["echo", "hello"])
        monkeypatch.undo()
        stream.settimeout(10)
        received = b""
        while part := stream.recv(100):
            received += part
        stream.close()
    assert received == b"hello\n"


CLOSED = """
import sys
from lab.engine.client import Engine
from lab.engine.http.exec_stream import ExecStream
with Engine() as engine:
    container = engine.nodes(sys.argv[1])[0]
    execution = engine.sdk.exec_create(container.id, ["echo", "hello"])
    stream = ExecStream(engine.sdk.exec_start(execution, socket=True))
    while stream.recv(100): pass
    stream.close()
"""


@pytest.mark.lab
def test_a_stream_of_the_sdk_is_closed_without_a_warning(lab_topology):
    """With -X dev, Python reports a reader that is closed after the object below it."""
    argv = [sys.executable, "-X", "dev", "-c", CLOSED, lab_topology.project]
    assert subprocess.run(argv, capture_output=True, text=True).stderr == ""
