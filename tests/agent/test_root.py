"""The root half of the agent: it trusts nothing, and neither half outlives the other or the controller."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lab.agent import root
from tests.agent.rig import TIMEOUT, LocalAgent

# Both halves, as the user who runs the tests.
HALVES = """
import lab.agent.__main__ as agent
from lab.agent import root
agent.become = lambda name: None
root.compile_in_background = lambda: None
agent.main()
"""
HANGING = HALVES.replace(
    "agent.main()",
    """
import time
from lab.agent import ops
ops.lab_op = lambda op: lambda agent, request: time.sleep(60)
agent.main()""",
)

HOSTILE = HALVES.replace(
    "agent.main()",
    """
from lab.agent import ops
def shout(agent, request):
    return (yield agent.root, {"op": "x" * 2_000_000})
ops.lab_op = lambda op: shout
agent.main()""",
)


@pytest.fixture
def agent():
    with LocalAgent([sys.executable, "-S", "-c", HALVES]) as started:
        started.ok("clock")
        yield started


def child_of(process):
    with open(f"/proc/{process}/task/{process}/children") as file:
        (child,) = map(int, file.read().split())
    return child


def wait_until_gone(process, seconds=TIMEOUT):
    deadline = time.monotonic() + seconds
    while is_running(process):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a process that isn't a child can't be waited for


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"op": 7}', b'{"op": null}', b'{"op": []}',
        b'{"op": {}}', b'{"op": "clock"}', b'{"op": "probe"}', b'{"op": "os:system"}',
        b'{"op": "impair\\u0000"}', b'{"op": "__init__"}',
        b'{"op": "impair"}', b'{"op": "impair", "request": {"op": "show"}}',
    ],
)  # fmt: skip
def test_the_root_half_refuses_what_is_no_request_and_what_only_a_router_does(line):
    answer = root.answer(line)
    assert answer.keys() == {"error", "code"}
    assert answer["code"] == 2
    assert len(answer["error"].splitlines()) == 1


def test_a_request_goes_through_both_halves_and_others_are_served_meanwhile(agent):
    first = agent.send("impair", request={"op": "show"})
    second = agent.send("clock")
    answers = {message["id"]: message for message in (agent.line(), agent.line())}
    assert answers[first]["error"] == "only a router impairs links"
    assert "ok" in answers[second]


def test_end_of_input_ends_both_halves(agent):
    assert agent.finish() == (0, b"", "")


def test_a_lab_half_that_is_killed_ends_the_root_half(agent):
    os.kill(child_of(agent.child.pid), signal.SIGKILL)
    assert agent.finish() == (128 + signal.SIGKILL, b"", "agent: killed by signal 9\n")


def test_a_lab_half_that_sends_nonsense_is_ended():
    with LocalAgent([sys.executable, "-S", "-c", HOSTILE]) as agent:
        agent.send("clock")
        assert agent.child.wait(TIMEOUT) == 0


def test_a_root_half_that_is_killed_ends_the_lab_half(agent):
    lab_half = child_of(agent.child.pid)
    agent.child.kill()
    wait_until_gone(lab_half)


def test_a_lab_half_that_hangs_is_killed_when_the_controller_is_gone():
    with LocalAgent([sys.executable, "-S", "-c", HANGING]) as agent:
        agent.send("clock")
        code, _, errors = agent.finish()
    assert (code, errors) == (128 + signal.SIGKILL, "agent: killed by signal 9\n")


def test_a_lab_half_that_is_stopped_is_continued(agent):
    for _ in range(20):
        os.kill(child_of(agent.child.pid), signal.SIGSTOP)
        assert agent.ok("clock")


def test_sigterm_to_either_half_ends_both(agent):
    lab_half = child_of(agent.child.pid)
    os.kill(lab_half, signal.SIGTERM)
    assert agent.child.wait(TIMEOUT) == 128 + signal.SIGTERM
    with LocalAgent([sys.executable, "-S", "-c", HALVES]) as other:
        other.ok("clock")
        lab_half = child_of(other.child.pid)
        other.child.terminate()
        assert other.child.wait(TIMEOUT) == -signal.SIGTERM
        wait_until_gone(lab_half)


@pytest.mark.lab
def test_on_a_node_root_kills_a_lab_half_that_hangs_without_the_right_to_signal_other_users(shared_lab):
    """``docker exec`` gives root the capabilities of the node, and CAP_KILL isn't one of them."""
    code = HANGING.replace("agent.become = lambda name: None\n", "")
    name = f"{shared_lab.title}-{shared_lab.client.name}-1"
    argv = ["docker", "exec", "-i", "-u", "root", "-e", "PYTHONPATH=/opt/socketlab", name]
    done = subprocess.run(
        [*argv, "python3", "-S", "-c", code],
        input=b'{"id": 1, "op": "clock"}\n',
        capture_output=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGKILL, b"agent: killed by signal 9\n")
