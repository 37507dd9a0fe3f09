"""`lab exec` and `lab cp` in the user's container, in images with and without a shell."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from functools import partial
from pathlib import Path

import pytest

from tests.processes import Process, read_until

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lab(packaged):
    def start(command, *words, **options):
        argv = [sys.executable, "-m", "lab", command, "-p", packaged, *words]
        return Process(argv, cwd=ROOT, **options)

    return start


@pytest.fixture
def execute(lab):
    return partial(lab, "exec")


def output(process, data=b""):
    with process:
        out, errors = process.communicate(data, timeout=60)
    return process.returncode, out, errors


def test_it_runs_in_the_container_if_there_is_one_and_elsewhere_on_request(execute):
    data = os.urandom(3_000_000)
    assert output(execute("cache", "--", "sh", "-c", "cat; whoami >&2; exit 7"), data) == (
        7,
        data,
        b"redis\n",
    )
    assert output(execute("--on", "host", "cache", "whoami"))[:2] == (0, b"lab\n")
    assert output(execute("-e", "A=b", "-w", "/etc", "cache", "sh", "-c", "echo $A; pwd"))[1] == b"b\n/etc\n"
    assert output(execute("greeter", "--", "/hello", "echo"), b"hello")[:2] == (0, b"hello")
    assert output(execute("alice", "whoami"))[:2] == (0, b"lab\n")


def test_the_command_gets_a_terminal_of_this_size_and_the_keys(execute):
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 91, 0, 0))
    script = "trap 'exit 9' INT; trap 'stty size' WINCH; stty size; echo $TERM; while :; do sleep 0.02; done"
    environment = {**os.environ, "TERM": "vt100"}
    with execute(
        "cache", "--", "sh", "-c", script, preexec_fn=lambda: os.login_tty(slave), env=environment
    ) as process:
        os.close(slave)
        assert read_until(master, b"vt100").split() == [b"33", b"91", b"vt100"]
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 34, 91, 0, 0))
        read_until(master, b"34 91")
        os.write(master, b"\x03")
        assert process.wait(20) == 9
    os.close(master)


@pytest.mark.parametrize(
    ("host", "command"),
    [("cache", ["cat"]), ("greeter", ["/hello", "echo"])],
    ids=["shell", "no shell"],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_gets_a_signal_and_ends_with_the_process_that_started_it(
    execute, servers, host, command, number
):
    def processes():
        return servers[host].workload.container.top()["Processes"]

    def wait_for(count):
        until = time.monotonic() + 20
        while len(processes()) != count:
            assert time.monotonic() < until, processes()
            time.sleep(0.02)

    before = len(processes())
    with execute(host, "--", *command) as process:
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hello\n"
        process.send_signal(number)
        assert process.wait(20) == (143 if number == signal.SIGTERM else -9)
        wait_for(before)


def test_files_are_copied_into_images_without_a_program_and_back(lab, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "prog").write_bytes(os.urandom(1_000_000))
    (tmp_path / "folder" / "prog").chmod(0o755)
    assert output(lab("cp", str(tmp_path / "folder"), "greeter:new")) == (0, b"", b"")
    assert output(lab("cp", "greeter:/new/prog", str(tmp_path / "back"))) == (0, b"", b"")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "folder" / "prog").read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o755
    code, _, errors = output(lab("cp", "greeter:/nothing", str(tmp_path)))
    assert (code, errors) == (2, b"lab: greeter:/nothing: No such file or directory\n")
    code, _, errors = output(lab("cp", "--on", "host", "greeter:/new/prog", str(tmp_path)))
    assert (code, errors) == (2, b"lab: greeter:/new/prog: No such file or directory\n")
