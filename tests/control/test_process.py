"""Processes on real hosts, and the limits on the memory that their output uses in the controller."""

import pytest

from lab.control import agent
from lab.control.agent import NodeAgent
from lab.control.collection.socket_monitor import SocketMonitor
from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure, HostTimeout
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play

pytestmark = pytest.mark.lab


def test_a_helper_s_output_goes_to_its_callback_and_not_into_the_timeline(lab_topology):
    events, output = [], bytearray()
    with from_engine(lab_topology.project, events.append) as lab:
        helper = lab.client.helper("echo out; echo err >&2; exec cat", output.extend)
        helper.send("question\n")
        helper.wait_until(lambda: b"question" in output, "no answer", 10)
        helper.close_stdin()
        assert helper.finish()
    assert (bytes(output), helper.errors, events) == (b"out\nquestion\n", "err\n", [])


def test_the_last_line_of_a_helper_that_exits_is_the_reason(shared_lab):
    helper = shared_lab.client.helper("echo no such luck >&2; exit 1", bytearray().extend)
    with pytest.raises(EnvironmentFailure, match=r"kali: can't help: no such luck"):
        helper.wait_until(lambda: False, "can't help", 10)


def test_a_silent_helper_exceeds_the_deadline(shared_lab):
    helper = shared_lab.client.helper("exec sleep 4721", bytearray().extend)
    with pytest.raises(HostTimeout, match=r"not within 0.2 s"):
        helper.wait_until(lambda: False, "can't help", 0.2)
    assert not helper.finish(timeout=0.2)
    assert shared_lab.client.run("pgrep -fx 'sleep 4721'").exit_code == 1


def test_a_helper_whose_output_is_refused_is_killed(shared_lab):
    def refuse(data):
        raise ValueError("no thanks")

    helper = shared_lab.client.helper("echo something; exec sleep 4722", refuse)
    with pytest.raises(EnvironmentFailure, match=r"can't help: no thanks"):
        helper.wait_until(lambda: False, "can't help", 10)
    assert shared_lab.client.run("pgrep -fx 'sleep 4722'").exit_code == 1


def test_input_for_a_program_that_has_exited_is_discarded(shared_lab):
    with shared_lab.client.start("true", announce="") as program:
        program.wait(10)
        program.send("too late")
        program.close_stdin()
    assert program.result.ok


def test_a_line_without_an_end_ends_the_monitor_before_it_fills_the_memory(shared_lab, monkeypatch):
    client = shared_lab.client
    monkeypatch.setattr(agent, "MAX_LINE", 1 << 16)
    endless = NodeAgent(client.connect, client.title, "head -c 300M /dev/zero; exec sleep 4723 #")
    monkeypatch.setattr(client, "agent", endless)
    monitor = SocketMonitor(client, ignore)
    with pytest.raises(EnvironmentFailure, match=r"kali: .*a line of more than 65536 bytes"):
        monitor.start()
    monitor.stop()
    assert "a line of more than 65536 bytes" in monitor.ended
    assert client.run("pgrep -fx 'sleep 4723'").exit_code == 1


@pytest.fixture
def shadowed(shared_lab):
    """Hosts whose user has a file named json.py, as learners do."""
    for host in shared_lab.hosts:
        host.put("raise SystemExit('shadowed')\n", "/home/lab/json.py")
    yield
    for host in shared_lab.hosts:
        host.run("rm -f /home/lab/json.py")


@pytest.mark.usefixtures("shadowed")
def test_a_json_py_in_the_home_directory_does_not_stop_a_run(lab_topology, tmp_path):
    def run(lab):
        lab.link.set(delay=0.01)
        return {"sockets": len(lab.states())}

    scenario = Scenario("made-up", "A title", "", run, lambda record: None)
    outcome = play(scenario, lambda observe: from_engine(lab_topology.project, observe), ignore, tmp_path)
    assert (outcome.verdict, outcome.reason) == ("pass", "")


def test_evidence_is_collected_again_after_a_helper_s_host_was_off(shared_lab, tmp_path):
    (tmp_path / "events.jsonl").touch()
    with shared_lab.recording(tmp_path) as collector:
        shared_lab.client.reboot()
        assert shared_lab.client.run("ping -c1 -W2 server").ok
        assert collector.packets().seen("servers", protocol="icmp")
