"""Output for files, pipes and NO_COLOR has no escape codes."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ESCAPE = b"\x1b"
WITHOUT_LAB = [
    ["--help"],
    ["list"],
    ["explain", "sticky-packets"],
    ["run", "no-such-scenario"],
    ["topology"],
    ["run", "--no-such-option"],
]


def on_terminal(*words, **environment):
    """The output of `lab WORDS` on a terminal."""
    master, slave = pty.openpty()
    argv = [sys.executable, "-m", "lab", *words]
    variables = {**os.environ, "TERM": "xterm-256color", **environment}
    output = b""
    with subprocess.Popen(argv, cwd=ROOT, env=variables, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        while select.select([master], [], [], 60)[0]:
            try:
                output += os.read(master, 1 << 16)
            except OSError:  # EIO: the other end is closed
                break
        process.wait(60)
    os.close(master)
    return output


@pytest.mark.parametrize("words", WITHOUT_LAB, ids=" ".join)
def test_a_pipe_gets_no_escape_codes(words):
    argv = [sys.executable, "-m", "lab", *words]
    environment = {**os.environ, "TERM": "xterm-256color"}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert done.stdout + done.stderr
    assert ESCAPE not in done.stdout + done.stderr


@pytest.mark.parametrize("words", WITHOUT_LAB, ids=" ".join)
def test_no_color_is_respected_on_a_terminal(words):
    output = on_terminal(*words, NO_COLOR="1")
    assert output
    assert ESCAPE not in output


def test_a_terminal_gets_escape_codes():
    assert ESCAPE in on_terminal("list")


@pytest.mark.lab
@pytest.mark.parametrize("words", [["status"], ["link", "show"], ["up"]], ids=" ".join)
def test_no_color_is_respected_with_a_lab(words, lab_topology):
    output = on_terminal(*words, "-p", lab_topology.project, NO_COLOR="1")
    assert output
    assert ESCAPE not in output
