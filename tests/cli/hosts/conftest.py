"""`lab` as a process of its own, on the session's lab."""

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

from tests.processes import Process

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def lab_process(lab_topology):
    """Starts `lab COMMAND -p PROJECT WORDS`; ``options`` are those of Process."""

    def start(command, *words, **options):
        argv = [sys.executable, "-m", "lab", command, "-p", lab_topology.project, *words]
        return Process(argv, **({"cwd": ROOT, "env": ENVIRONMENT} | options))

    return start


@pytest.fixture
def terminal():
    """Both ends of a terminal of 91 columns and 33 rows."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 91, 0, 0))
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def on_terminal(lab_process, terminal):
    """Starts `lab COMMAND -p PROJECT WORDS` on this terminal."""

    def start(command, *words):
        return lab_process(command, *words, preexec_fn=lambda: os.login_tty(os.dup(terminal[1])))

    return start


@pytest.fixture(scope="session")
def lab_run(lab_process):
    """Runs the same command to its end: its exit code, output and errors, as bytes."""

    def run(command, *words, stdin=b"", **options):
        with lab_process(command, *words, **options) as process:
            out, errors = process.communicate(stdin, timeout=60)
        return process.returncode, out, errors

    return run


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROJECT_NAME"}
