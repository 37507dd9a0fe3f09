"""`lab shell`: a shell on a host, on this terminal."""

import fcntl
import os
import struct
import termios

import pytest

from tests.processes import read_until

pytestmark = pytest.mark.lab


def test_the_shell_has_this_terminal_and_its_exit_code(on_terminal, terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with on_terminal("shell", "client") as process:
        read_until(master, b"$ ")
        os.write(master, b"echo $((40 + 2)) is $(stty size)\n")
        read_until(master, b"42 is 33 91")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 70, 0, 0))
        os.write(master, b"until stty size | grep '20 7[0]'; do sleep 0.02; done; exit 7\n")
        read_until(master, b"20 70")
        assert process.wait(20) == 7
    assert termios.tcgetattr(slave) == before


def test_an_unknown_host_is_a_usage_error(lab_run):
    code, out, errors = lab_run("shell", "nobody")
    assert (code, out) == (2, b"")
    assert errors.startswith(b"lab: no node 'nobody'; there are client, ")
