"""The half of the agent that runs as lab, as a process: requests, mistakes in them, its end."""

import signal
import threading
import time

import pytest

from lab.agent.lines import MAX_LINE
from tests.agent.rig import LocalAgent


@pytest.fixture
def agent():
    with LocalAgent() as started:
        yield started


def test_the_clock_is_that_of_this_machine(agent):
    before = time.time()
    clock = agent.ok("clock")
    assert before <= clock["time"] <= time.time()
    assert (clock["backlog"] >= 0, len(clock["boot_id"])) == (True, 36)


def test_many_requests_in_one_write_are_answered_in_order(agent):
    agent.write(b"".join(b'{"id": %d, "op": "clock"}\n' % number for number in range(500)))
    assert [agent.line()["id"] for _ in range(500)] == list(range(500))


def test_a_request_may_arrive_byte_by_byte(agent):
    for byte in b'{"id": 7, "op": "clock"}\n':
        agent.write(bytes([byte]))
    assert agent.line()["id"] == 7


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[1]", b"null", b"clock", b"\xff\xfe", b"[" * 99_999,
        b'{"a":' * 50_000, b'{"op": "clock"}',
        b'{"id": "7", "op": "clock"}', b'{"id": true, "op": "clock"}', b'{"id": 1e999, "op": "clock"}',
        b'{"id": 7}', b'{"id": 7, "op": null}', b'{"id": 7, "op": ["clock"]}', b'{"id": 7, "op": {"a": 1}}',
        b'{"id": 7, "op": "__class__"}', b'{"id": 7, "op": "os:system"}', b'{"id": 7, "op": "clock\\u0000"}',
        b'{"id": 7, "op": "watch", "addresses": "10.0.0.1"}', b'{"id": 7, "op": "watch", "addresses": [1]}',
        b'{"id": 7, "op": "watch", "interval": 0}', b'{"id": 7, "op": "watch", "interval": true}',
        b'{"id": 7, "op": "watch", "interval": NaN}', b'{"id": 7, "op": "watch", "interval": "1"}',
        b'{"id": 7, "op": "watch", "interval": 1e99}', b'{"id": 7, "op": "poll"}',
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_and_the_next_one_served(agent, line):
    agent.write(line + b"\n")
    answer = agent.line()
    assert answer["code"] == 2
    assert len(answer["error"].splitlines()) == 1
    assert agent.ok("clock")


def test_a_line_that_is_too_long_ends_the_agent(agent):
    agent.write(b"x" * (MAX_LINE + 70_000))
    code, output, errors = agent.finish()
    assert (code, output, errors) == (2, b"", f"agent: a line has more than {MAX_LINE} bytes\n")


def test_what_needs_root_is_unsupported_without_a_root_half(agent):
    answer, _ = agent.ask("impair", request={"op": "show"})
    assert (answer["code"], answer["unsupported"]) == (3, True)


def test_end_of_input_ends_the_agent_after_the_last_answer(agent):
    agent.write(b'{"id": 1, "op": "clock"}\n{"id": 2, "op": "clo')
    code, output, errors = agent.finish()
    assert (code, output.count(b"\n"), errors) == (0, 1, "")


def test_a_controller_that_is_gone_ends_the_agent(agent):
    agent.ok("watch", interval=0.01)
    agent.child.stdout.close()
    agent.child.stdin.close()
    assert agent.child.wait(10) == 0
    assert agent.child.stderr.read() == b""
    agent.child.stdout = agent.child.stdin = None


def test_sigterm_ends_the_agent(agent):
    agent.ok("clock")
    agent.child.send_signal(signal.SIGTERM)
    assert agent.child.wait(10) == -signal.SIGTERM


def test_an_agent_that_does_not_watch_uses_no_cpu(agent):
    agent.ok("watch", interval=0.001)
    agent.ok("unwatch")
    before = cpu(agent)
    agent.ok("clock")
    time.sleep(0.2)  # the interval that is measured
    assert cpu(agent) - before <= 1


def cpu(agent):
    """The time that the agent has used, in hundredths of a second; see proc(5)."""
    with open(f"/proc/{agent.child.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_controller_that_reads_nothing_costs_bounded_memory_and_gets_every_answer(agent):
    asked = 20_000
    lines = b"".join(b'{"id": %d, "op": "clock"}\n' % number for number in range(asked))
    writer = threading.Thread(target=agent.write, args=(lines,))
    writer.start()
    time.sleep(0.3)  # while nothing is read
    assert memory(agent) < 40_000
    assert [agent.line()["id"] for _ in range(asked)] == list(range(asked))
    writer.join()


def memory(agent):
    """Its resident memory in KiB."""
    with open(f"/proc/{agent.child.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
