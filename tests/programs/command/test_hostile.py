"""Hostile peers of lab-command serve: each is refused with an error code, and the next one is served."""

import contextlib
import os
import socket
import struct
import time

import pytest

from lab.protocols import framing
from lab.protocols.command import MAX_COMMAND
from tests.programs.command.command_rig import (
    Peer,
    serving,
)


@pytest.fixture(scope="module")
def port():
    """The port of one server that must survive all tests of this module."""
    with serving("--header-timeout", "1") as server:
        yield server.port
        with Peer(server.port) as peer:
            peer.ask("echo fine")
            assert peer.answer()[0] == b"fine\n"


def prefixed(header):
    return struct.pack("<i", len(header)) + header


def nested(depth):
    return b'{"total_size":0,"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


HOSTILE = [
    (struct.pack("<i", 0), "header-too-short"),
    (struct.pack("<i", 1), "header-too-short"),
    (struct.pack("<i", 65_537), "header-too-long"),
    (struct.pack("<i", 0xFFFFFF), "header-too-long"),
    (prefixed(b"[]"), "header-invalid"),
    (prefixed(b"nonsense"), "header-invalid"),
    (prefixed(b'{"total_size":0,"a":1,"a":2}'), "header-invalid"),
    (prefixed(b'{"total_size":0,"a":NaN}'), "header-invalid"),
    (prefixed(b'{"total_size":0,"a":-Infinity}'), "header-invalid"),
    (prefixed(b'{"total_size":-1}'), "header-invalid"),
    (prefixed(b'{"total_size":true}'), "header-invalid"),
    (prefixed(b'{"total_size":9007199254740993}'), "header-invalid"),
    (prefixed(b'{"total_size":0,"a":"\xff"}'), "header-invalid"),
    (prefixed(nested(33)), "header-invalid"),
    (prefixed(b'{"total_size":0}'), "op-unknown"),
    (framing.encode({"op": "walk"}), "op-unknown"),
    (framing.encode({"op": "run", "command": "ls"}, b"payload"), "payload-unexpected"),
    (framing.encode({"op": "run", "command": "ls\0"}), "command-invalid"),
    (framing.encode({"op": "run", "command": "x" * (MAX_COMMAND + 1)}), "command-too-long"),
    (framing.encode({"op": "run", "command": "ls", "timeout": 0}), "timeout-invalid"),
    (framing.encode({"op": "run", "command": "ls", "encoding": "idna"}), "encoding-unknown"),
]


@pytest.mark.parametrize(("data", "code"), HOSTILE)
def test_broken_request_is_refused_by_name(port, data, code):
    with Peer(port) as peer:
        peer.send(data)
        assert peer.error() == code


@pytest.mark.parametrize(
    ("length", "code"),
    [(-1, "header-too-short"), (-(2**31), "header-too-short"), (2**31 - 1, "header-too-long")],
)
def test_a_frame_server_refuses_an_invalid_length(length, code):
    with serving("--protocol", "frame") as server, Peer(server.port) as peer:
        peer.send(struct.pack("<i", length))
        assert peer.error() == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (struct.pack("<i", -1), "command-invalid"),
        (struct.pack("<i", 2**31 - 1), "command-invalid"),
        (b"echo \0", "command-invalid"),
        (os.urandom(1000) + b"\0\xff", "command-invalid"),
        (b"x" * (MAX_COMMAND + 1), "command-too-long"),
    ],
)
def test_garbage_on_the_header_port(port, data, code):
    if data[3] == 0:
        data = b"noise" + data
    with Peer(port) as peer:
        peer.send(data)
        assert peer.error() == code


def test_nesting_of_32_is_accepted(port):
    with Peer(port) as peer:
        peer.send(prefixed(nested(32)))
        assert peer.error() == "op-unknown"


def test_an_error_after_a_request_is_reported_after_its_answer(port):
    with Peer(port) as peer:
        peer.send(framing.encode({"op": "run", "command": "echo fine"}) + struct.pack("<i", 1))
        assert peer.answer()[0] == b"fine\n"
        assert peer.error() == "header-too-short"


def test_a_header_sent_too_slowly_is_aborted(port):
    started = time.monotonic()
    with Peer(port) as peer:
        peer.send(struct.pack("<i", 1000))
        peer.socket.settimeout(0.05)
        received = b""
        while not received:
            with contextlib.suppress(ConnectionError):
                peer.send(b" ")
            with contextlib.suppress(TimeoutError):
                received = peer.socket.recv(65_536)
    assert list(framing.Decoder().feed(received))[0].fields["error"] == "header-timeout"
    assert time.monotonic() - started >= 1, "no earlier than its time"


@pytest.mark.parametrize("data", [b"", b"\x10", b"\x10\0\0\0{", b"echo"])
@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_a_peer_that_closes_early(port, data, how):
    with Peer(port) as peer:
        peer.send(data)
        if how == "half":
            peer.socket.shutdown(socket.SHUT_WR)
            peer.rest()
        elif how == "reset":
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Peer(port) as peer:
        peer.ask("echo next")
        assert peer.answer()[0] == b"next\n"


@pytest.mark.parametrize("protocol", ["raw", "length", "header", "frame"])
def test_silent_peer_is_closed_and_logged_once(protocol):
    with serving("--protocol", protocol, "--idle-timeout", "0.3") as server:
        with Peer(server.port) as peer:
            name = "{}:{}".format(*peer.socket.getsockname())
            assert peer.rest() == b""
        with Peer(server.port) as peer:
            peer.send(b"echo next") if protocol != "frame" else peer.ask("echo next")
            assert b"next" in peer.rest()
    assert len([line for line in server.stderr if name in line]) == 1
