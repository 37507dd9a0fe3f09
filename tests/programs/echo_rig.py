"""Shared by the tests of lab-echo and lab-udp: servers and clients as processes."""

import contextlib
import json
import signal
import subprocess
import sys

from tests.programs.command.command_rig import PEERS, ROOT, WAIT_TIMEOUT, Program


class Server(Program):
    """One of our servers on a free port; its events are read from its JSON output."""

    def __init__(self, program, *options):
        super().__init__(
            "-W", "error", "-m", f"lab.programs.{program}", "serve", "--port", 0, "--json", *options
        )
        self.port = None

    def event(self, name):
        """The next event with this name."""
        while True:
            event = json.loads(self.line())
            if event["event"] == name:
                return event


@contextlib.contextmanager
def serving(program, *options, stop_with=signal.SIGTERM):
    """Runs a server and asserts that it stops cleanly, whatever its clients did."""
    server = Server(program, *options)
    try:
        server.port = server.event("listening")["port"]
        yield server
    except BaseException:
        server.process.kill()
        server.wait()
        raise
    assert server.stop(stop_with) == 0, server.stderr
    assert not any("Traceback" in line or "Warning" in line for line in server.stderr), server.stderr


def send(program, *argv, stdin="", timeout=WAIT_TIMEOUT):
    """Runs one of our clients until it exits."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", f"lab.programs.{program}", *map(str, argv)],
        cwd=ROOT,
        input=stdin if isinstance(stdin, bytes) else stdin.encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def lines(done):
    """The lines of standard output; asserts success."""
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def events(done):
    """The events printed with --json, without their text lines; accepts any exit code."""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for event in found:
        assert event.pop("line").isprintable()
    return found


def one_line_error(done, code):
    """The one line on stderr; asserts the exit code."""
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == code, line
    return line


@contextlib.contextmanager
def tutorial_server(name):
    program = Program(PEERS / f"{name}_server.py", "127.0.0.1", 0)
    try:
        program.port = int(program.line())
        yield program
    finally:
        program.process.kill()
        program.wait()


def tutorial_client(name, port, *argv, stdin=""):
    done = subprocess.run(
        [sys.executable, PEERS / f"{name}_client.py", "127.0.0.1", str(port), *map(str, argv)],
        input=stdin.encode(),
        capture_output=True,
        timeout=WAIT_TIMEOUT,
        check=False,
    )
    return lines(done)
