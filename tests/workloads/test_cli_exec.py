"""`lab exec` in the user's container, in images with and without a shell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def execute(packaged):
    def start(*words, **options):
        argv = [sys.executable, "-m", "lab", "exec", "-p", packaged, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, **options)

    return start


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
