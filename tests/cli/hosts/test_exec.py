"""`lab exec` on a host: the streams, signals, terminal and exit code of the command are those of `lab`."""

import fcntl
import os
import signal
import struct
import termios
import time

import pytest

from tests.processes import read_until

pytestmark = pytest.mark.lab

TRAPS = """
for name in INT TERM HUP QUIT; do trap "echo $name" $name; done
trap "echo USR1; exit 9" USR1
echo ready
while :; do sleep 0.02; done
"""


def line_of(process):
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line


def test_streams_are_binary_and_apart_and_the_exit_code_is_that_of_the_command(lab_run):
    data = os.urandom(3_000_000)
    code, out, errors = lab_run("exec", "client", "--", "sh", "-c", "cat; echo oops >&2; exit 7", stdin=data)
    assert (code, out, errors) == (7, data, b"oops\n")


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        (["echo", "-p", "--on", "--help", "--", "$HOME *"], 0, b"-p --on --help -- $HOME *\n"),
        (["--", "whoami"], 0, b"lab\n"),
        (["--", "sh", "-c", "kill -TERM $$"], 143, b""),
        (["--", "no-such-program"], 127, b""),
    ],
)
def test_everything_after_the_host_belongs_to_the_command(lab_run, command, code, output):
    assert lab_run("exec", "client", *command)[:2] == (code, output)


def test_environment_folder_and_place_are_options(lab_run):
    command = ("sh", "-c", 'echo "$A-$LAB_TEST"; pwd')
    words = ("-e", "A=b c", "-e", "LAB_TEST", "--workdir", "/etc", "--on", "host", "client", *command)
    environment = {**os.environ, "LAB_TEST": "here"}
    assert lab_run("exec", *words, env=environment)[:2] == (0, b"b c-here\n/etc\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "true"], "no node 'nobody'; there are client, "),
        (["client", "--"], "no command given: `lab exec client -- COMMAND`"),
        (
            ["--on", "container", "client", "true"],
            "has no container of yours: leave out --on container",
        ),
        (["--on", "roof", "client", "true"], "no place 'roof'; there are: host, container"),
        (["-e", "=x", "client", "true"], "'=x' isn't NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(lab_run, words, said):
    code, out, errors = lab_run("exec", *words)
    assert (code, out) == (2, b"")
    (line,) = errors.decode().splitlines()
    assert said in line


def test_signals_reach_the_command(lab_process):
    with lab_process("exec", "client", "--", "bash", "-c", TRAPS) as process:
        assert line_of(process) == b"ready\n"
        for name in ("INT", "TERM", "HUP", "QUIT", "USR1"):
            process.send_signal(getattr(signal, f"SIG{name}"))
            assert line_of(process) == f"{name}\n".encode()
        assert process.wait(20) == 9


def test_a_command_ends_with_the_process_that_started_it(lab_process, shared_lab):
    with lab_process("exec", "client", "--", "sh", "-c", "echo $$; exec sleep 1000") as process:
        number = int(line_of(process))
        process.kill()
    until = time.monotonic() + 20
    while shared_lab.client.run(f"kill -0 {number}").ok:
        assert time.monotonic() < until, "the command still runs"


def test_a_reader_that_closes_the_pipe_ends_the_command(lab_process, shared_lab):
    with lab_process("exec", "client", "--", "sh", "-c", "echo $$; exec yes") as process:
        number = int(line_of(process))
        process.stdout.close()
        assert process.wait(20) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""
    assert not shared_lab.client.run(f"kill -0 {number}").ok


def test_closed_standard_input_is_empty(lab_run):
    code, out, errors = lab_run("exec", "client", "--", "wc", "-c", preexec_fn=lambda: os.close(0))
    assert (code, out, errors) == (0, b"0\n", b"")


def test_the_command_is_killed_at_the_deadline(lab_run):
    code, out, errors = lab_run("exec", "--timeout", "0.3", "client", "--", "sh", "-c", "echo a; sleep 1000")
    assert (code, out) == (4, b"a\n")
    assert errors.strip().endswith(b"killed after 0.3 s")


def test_the_command_gets_a_terminal_of_this_size_and_the_keys(on_terminal, terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    script = "trap 'stty size' WINCH; tty; stty size; while :; do sleep 0.02; done"
    with on_terminal("exec", "client", "--", "bash", "-c", script) as process:
        assert b"/dev/pts/" in read_until(master, b"33 91")
        assert termios.tcgetattr(slave) != before
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 70, 0, 0))
        read_until(master, b"20 70")
        os.write(master, b"\x03")
        assert process.wait(20) == 130
    assert termios.tcgetattr(slave) == before


def test_the_terminal_is_restored_if_the_connection_breaks(on_terminal, terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    broken = "echo gone; kill -9 $(ps -o ppid= -p $$)"  # the sshd of this very connection
    with on_terminal("exec", "client", "--", "bash", "-c", broken) as process:
        assert process.wait(20) == 3
    assert termios.tcgetattr(slave) == before
    assert b"the connection broke" in read_until(master, b"broke")


def test_there_is_no_terminal_if_it_is_not_wanted(on_terminal, terminal):
    master, _ = terminal
    with on_terminal("exec", "-T", "client", "--", "sh", "-c", "tty; exit 3") as process:
        read_until(master, b"not a tty")
        assert process.wait(20) == 3


def test_there_is_no_terminal_if_the_output_goes_elsewhere(lab_process, terminal):
    _, slave = terminal
    with lab_process("exec", "client", "--", "sh", "-c", "tty; exit 3", stdin=slave) as process:
        assert process.stdout.read() == b"not a tty\n"
        assert process.wait(20) == 3
