"""Shared by the tests of lab-transfer: a server in a thread, the program, and a raw peer."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab.programs.console import Console
from lab.programs.transfer.client import Client
from lab.programs.transfer.frame_stream import TimeLimits
from lab.programs.transfer.serve import serve
from lab.programs.transfer.storage.root import Root
from lab.sockets.blocking import connect, listen
from lab.sockets.stop import Stop

DEADLINE = 30.0  # seconds, for each wait
MIB = 1 << 20
CHECKOUT = Path(__file__).parents[3]


def content(size: int, seed: bytes = b"seed") -> bytes:
    """Bytes that differ in each block, so that a mixture of two files is detected."""
    block = hashlib.shake_256(seed).digest(min(size, 65_536))
    parts = bytearray()
    while len(parts) < size:
        parts += len(parts).to_bytes(8, "big") + block
    return bytes(parts[:size])


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wait_until(condition: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def server(root: Path, **options: Any) -> Iterator[int]:
    """Runs a server in a thread of this process; yields its port."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with Root(str(root)) as below, contextlib.closing(Stop()) as stop:
        arguments = (listener, below, Console(as_json=True), stop)
        thread = threading.Thread(target=serve, args=arguments, kwargs=options)
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join(DEADLINE)
            assert not thread.is_alive()


@contextlib.contextmanager
def client(port: int, limits: TimeLimits = TimeLimits(idle=DEADLINE)) -> Iterator[Client]:  # noqa: B008
    stream = connect("127.0.0.1", port)
    try:
        yield Client(stream, limits)
    finally:
        stream.close()


class RawPeer:
    """A peer that sends exactly the given bytes, over a plain socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(DEADLINE)

    @classmethod
    @contextlib.contextmanager
    def to(cls, port: int) -> Iterator[RawPeer]:
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            yield cls(sock)

    def send(self, payload: bytes = b"", **fields: Any) -> None:
        """Sends a frame with any fields."""
        fields.setdefault("total_size", len(payload))
        self.send_header(json.dumps(fields).encode(), payload)

    def send_header(self, header: bytes, payload: bytes = b"") -> None:
        self.socket.sendall(struct.pack("<i", len(header)) + header + payload)

    def receive(self) -> dict[str, Any]:
        """The fields of the next header."""
        (length,) = struct.unpack("<i", self.exactly(4))
        fields = json.loads(self.exactly(length))
        assert isinstance(fields, dict)
        return fields

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, f"the stream ended after {data!r}"
            data += part
        return data

    def at_end(self) -> bool:
        """Whether the peer closed without sending anything else."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


@contextlib.contextmanager
def raw_server(talk: Callable[[RawPeer], None]) -> Iterator[int]:
    """Runs a server that serves one client with ``talk``; yields its port."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                talk(RawPeer(connection))
        except (ConnectionError, AssertionError) as error:  # the client may close first
            failures.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(DEADLINE)
            assert not thread.is_alive()


def environment() -> dict[str, str]:
    """A program's environment: UTF-8 as on the hosts, warnings are errors, ``lab`` is importable anywhere."""
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONWARNINGS": "error", "PYTHONPATH": str(CHECKOUT)}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "lab.programs.transfer", *map(str, arguments)]


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs lab-transfer until it exits."""
    options.setdefault("env", environment())
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=DEADLINE, **options)


@contextlib.contextmanager
def program_server(root: Path, *options: str, **popen: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs ``lab-transfer serve`` as a process; yields it and its port."""
    arguments = command("serve", "--host", "127.0.0.1", "--port", "0", "--root", root, "--json", *options)
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), **popen
    ) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], DEADLINE)[0], "no announcement"
            announcement = json.loads(process.stdout.readline())
            assert announcement["event"] == "listening"
            yield process, str(announcement["port"])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))
