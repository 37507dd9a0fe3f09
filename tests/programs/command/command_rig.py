"""Shared by the tests of lab-command: a real server, a peer that sends raw bytes, processes in /proc."""

import contextlib
import json
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab.protocols import framing

ROOT = Path(__file__).parents[3]
PEERS = ROOT / "tests" / "peers"
WAIT_TIMEOUT = 30.0  # seconds; ample even under load


class Program:
    """A server process whose output lines are collected."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(
            [sys.executable, *map(str, argv)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._lines = queue.Queue()
        self.stderr = []
        self._readers = [
            threading.Thread(target=self._collect, args=(self.process.stdout, self._lines.put)),
            threading.Thread(target=self._collect, args=(self.process.stderr, self.stderr.append)),
        ]
        for reader in self._readers:
            reader.start()

    def _collect(self, file, keep):
        with file:
            for line in file:
                keep(line.rstrip("\n"))

    def line(self):
        """The next line of standard output."""
        return self._lines.get(timeout=WAIT_TIMEOUT)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        code = self.process.wait(WAIT_TIMEOUT)
        for reader in self._readers:
            reader.join(WAIT_TIMEOUT)
        return code

    def peak_memory(self):
        """Bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024


@contextlib.contextmanager
def serving(*options):
    """Runs a lab-command server on a free port of 127.0.0.1; asserts that it stops cleanly."""
    program = Program(
        "-m", "lab.programs.command", "serve", "--host", "127.0.0.1", "--port", 0, "--json", *options
    )
    try:
        program.port = json.loads(program.line())["port"]
        yield program
    finally:
        if program.process.poll() is None:
            code = program.stop()
            assert code == 0, program.stderr
        else:
            program.wait()
    assert not any("Traceback" in line for line in program.stderr), program.stderr


@contextlib.contextmanager
def tutorial_server(name):
    """A server of tests/peers on a free port."""
    program = Program(PEERS / f"{name}_server.py", "127.0.0.1", 0)
    try:
        program.port = int(program.line())
        yield program
    finally:
        program.process.kill()
        program.wait()


def run(port, *command, options=(), stdin="", timeout=WAIT_TIMEOUT):
    """Runs lab-command run until it exits."""
    argv = ["run", "--port", str(port), *map(str, options), "127.0.0.1", *command]
    return lab_command(*argv, stdin=stdin, timeout=timeout)


def lab_command(*argv, stdin="", timeout=WAIT_TIMEOUT):
    return subprocess.run(
        [sys.executable, "-m", "lab.programs.command", *argv],
        cwd=ROOT,
        input=stdin if isinstance(stdin, bytes) else stdin.encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )


class Peer:
    """A client that sends raw bytes or frames."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_TIMEOUT)
        self._decoder = framing.Decoder()
        self._events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, command, **fields):
        self.send(framing.encode({"op": "run", "command": command, **fields}))

    def frame(self):
        """The next frame: its header's fields and its payload. None at the end of the stream."""
        payload = b""
        fields = None
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, framing.Header):
                    fields = event.fields
                elif isinstance(event, framing.Payload):
                    payload += event.data
                else:
                    return fields, payload
            data = self.socket.recv(65_536)
            if not data:
                self._decoder.end()
                return None
            self._events += self._decoder.feed(data)

    def answer(self):
        """The whole answer of one command: stdout, stderr, and the exit frame."""
        output = {"stdout": b"", "stderr": b""}
        while True:
            frame = self.frame()
            assert frame is not None, "the stream ended before the exit frame"
            fields, payload = frame
            if fields.get("op") not in output:
                return output["stdout"], output["stderr"], fields
            output[fields["op"]] += payload

    def rest(self):
        """Everything up to the end of the stream."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(65_536):
                parts.append(data)
        return b"".join(parts)

    def error(self):
        """The code of the error frame with which the server ends the session."""
        fields, _ = self.frame()
        assert self.frame() is None
        return fields["error"]


def unique_sleep():
    """A duration for sleep that no other process uses."""
    return f"{random.randrange(10_000, 99_999)}.{random.randrange(10**6, 10**7)}"


def sleepers(seconds):
    """The pids of the processes ``sleep SECONDS``."""
    wanted = b"sleep\0" + seconds.encode() + b"\0"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes() == wanted:
                    found.append(int(entry.name))
    return found


def wait_until(condition, what):
    """Polls for a state that causes no event."""
    until = time.monotonic() + WAIT_TIMEOUT
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def wait_for_sleepers(seconds, number):
    wait_until(lambda: len(sleepers(seconds)) == number, f"{number} × sleep {seconds}")
