"""The probe of one host, which measures the way to itself: its steps, and its end."""

import os
import signal
import socket

import pytest

from lab.link.probe_format import TRAIN_SIZE
from tests.agent.rig import LocalAgent
from tests.agent.test_root import is_running, wait_until_gone


@pytest.fixture
def agent():
    with LocalAgent() as started:
        yield started


@pytest.fixture
def port():
    """A free UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listen(agent, port, **options):
    return agent.ok("probe", step="listen", peer="127.0.0.1", port=port, **options)


def children(agent):
    with open(f"/proc/{agent.child.pid}/task/{agent.child.pid}/children") as file:
        return [int(word) for word in file.read().split()]


def test_probes_are_sent_and_arrive(agent, port):
    assert listen(agent, port)["port"] == port
    sent = agent.ok("probe", step="send", count=100, interval=0.0005, train=10)
    arrived = agent.ok("probe", step="stop")
    assert [number for number, _ in arrived["arrivals"]] == list(range(100))
    assert (arrived["corrupted"], arrived["overflowed"], sent["offered"] > 0) == (0, 0, True)
    assert arrived["train_bytes"] > 9 * TRAIN_SIZE


def test_the_agent_answers_and_polls_while_probes_are_sent(agent, port):
    listen(agent, port)
    sending = agent.send("probe", step="send", count=200, interval=0.001, train=0)
    agent.ok("clock")
    assert agent.line()["id"] == sending


def test_a_side_that_opens_is_answered(agent, port):
    listen(agent, port, opens=True)
    assert agent.ok("probe", step="opened", seconds=10) == {"opened": True}
    with LocalAgent() as other:
        listen(other, port + 1)
        assert other.ok("probe", step="opened", seconds=0.01) == {"opened": False}


def test_the_child_ends_after_its_last_step(agent, port):
    listen(agent, port)
    (child,) = children(agent)
    agent.ok("probe", step="stop")
    wait_until_gone(child)
    assert "error" in agent.ask("probe", step="stop")[0]


def test_a_new_measurement_ends_the_previous_one(agent, port):
    listen(agent, port)
    (child,) = children(agent)
    listen(agent, port)
    assert not is_running(child)
    agent.ok("probe", step="abandon")
    agent.ok("probe", step="abandon")
    assert children(agent) == []


def test_the_child_ends_with_the_agent(agent, port):
    listen(agent, port)
    (child,) = children(agent)
    agent.child.kill()
    wait_until_gone(child)


def test_a_measurement_that_is_abandoned_ends_at_once(agent, port):
    listen(agent, port)
    sending = agent.send("probe", step="send", count=100, interval=60, train=0)
    abandoned = agent.send("probe", step="abandon")
    answers = {message["id"]: message for message in (agent.line(), agent.line())}
    assert "error" in answers[sending]
    assert answers[abandoned]["ok"] == {}
    assert listen(agent, port)


def test_a_child_that_is_killed_ends_the_measurement_but_not_the_agent(agent, port):
    listen(agent, port)
    (child,) = children(agent)
    os.kill(child, signal.SIGSTOP)
    waiting = agent.send("probe", step="opened", seconds=10)
    agent.ok("clock")
    os.kill(child, signal.SIGKILL)
    assert agent.line() == {"id": waiting, "error": "the probe has ended", "code": 3}
    assert "error" in agent.ask("probe", step="send", count=1, interval=1, train=0)[0]
    assert agent.ok("clock")


def test_a_port_that_is_taken_is_the_reason(agent, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", port))
        answer, _ = agent.ask("probe", step="listen", peer="127.0.0.1", port=port)
    assert answer["code"] == 3
    assert "Address already in use" in answer["error"]
    assert listen(agent, port)


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"step": "walk"}, {"step": ["listen"]}, {"step": "send"}, {"step": "send", "count": -1},
        {"step": "send", "count": 1, "interval": "1", "train": 0}, {"step": "opened", "seconds": "1"},
        {"step": "send", "count": 10**9, "interval": 1, "train": 0}, {"step": "opened", "seconds": 1e9},
        {"step": "listen"}, {"step": "listen", "peer": 1},
        {"step": "listen", "peer": "127.0.0.1", "port": 1e5}, {"step": "listen", "peer": "::1", "port": "22"},
    ],
)  # fmt: skip
def test_a_wrong_step_is_refused(agent, port, request_):
    listen(agent, port)
    assert agent.ask("probe", **request_)[0]["code"] == 2
    assert agent.ok("clock")


def test_a_probe_that_is_sending_ends_with_its_agent(agent, port):
    listen(agent, port)
    agent.send("probe", step="send", count=1000, interval=1.0, train=0)
    agent.ok("clock")
    (child,) = children(agent)
    assert agent.finish()[0] == 0
    wait_until_gone(child)
