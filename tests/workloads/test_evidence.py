"""Output, starts and ends of the users' containers in the timeline, and in the diagnosis."""

import re
import time

import pytest

from lab.control.collection import workload_monitor
from lab.evidence.diagnosis.diagnose import diagnose
from lab.evidence.event_text import render
from lab.evidence.events import Note, Output, WorkloadEnded, WorkloadStarted
from lab.evidence.record import Recorder
from lab.remote.line_splitter import MAX_LINE

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]


@pytest.fixture
def recorder(tmp_path, seen):
    recorder = Recorder(tmp_path, "test")
    yield recorder
    recorder.close()


@pytest.fixture
def run(servers, recorder):
    """A function that collects the evidence of a run while a context lasts."""
    return lambda: servers.recording(recorder.folder, observe=recorder.observe)


def lines(seen, node):
    return [event.line for event in seen if isinstance(event, Output) and event.node == node]


def of(seen, kind, node):
    return [event for event in seen if isinstance(event, kind) and event.node == node]


def test_the_output_of_a_run_is_complete_and_that_of_earlier_runs_is_left_out(servers, run, seen):
    servers.alice.run("nc greeter 7000", check=True)
    with run():
        for _ in range(3):
            servers.alice.run("nc greeter 7000", check=True)
    assert lines(seen, "greeter") == ["greeted a client"] * 3
    (started,) = of(seen, WorkloadStarted, "greeter")
    assert (started.container, started.command) == ("greeter-workload", "/hello 7000")
    output = [event for event in seen if isinstance(event, Output) and event.node == "greeter"]
    assert {event.program for event in output} == {started.program}
    assert all(started.at - 0.1 <= event.at <= time.time() for event in output)


def test_a_burst_of_output_just_before_the_end_is_whole(servers, run, seen):
    long = "head -c 40000 /dev/zero | tr '\\0' x; echo"
    with run():
        servers.cache.exec(f"{{ seq 5000; {long}; }} >/proc/1/fd/1")
    assert lines(seen, "cache")[:5000] == [str(number) for number in range(1, 5001)]
    pieces = lines(seen, "cache")[5000:]
    assert "".join(pieces) == "x" * 40000
    assert max(map(len, pieces)) < 3 * MAX_LINE


def test_output_without_end_is_bounded(servers, run, seen, monkeypatch):
    monkeypatch.setattr(workload_monitor, "MAX_OUTPUT", 10_000)
    with run():
        servers.cache.exec("seq 100000 >/proc/1/fd/1")
    assert 100 < len(lines(seen, "cache")) < 10_000
    notes = [event.text for event in seen if isinstance(event, Note) and event.node == "cache"]
    assert len(notes) == 1
    assert "is left out after" in notes[0]


def test_a_container_that_ends_by_itself_is_named_with_its_last_lines(servers, run, seen):
    with run() as collector:
        assert servers.alice.run("nc mortal 7000").stdout == "hello from C\n"
        assert not servers.alice.run("nc -4 -w 2 mortal 7000", timeout=10).ok
        diagnosis = diagnose(collector.evidence())
        servers.mortal.reboot()
    (ended,) = of(seen, WorkloadEnded, "mortal")
    assert (ended.exit_code, ended.signal) == (3, None)
    # The engine reads stdout and stderr from two pipes: their order isn't known.
    assert {"greeted a client", "hello: no more clients, please"} <= set(ended.last_lines.splitlines())
    assert re.match(
        r"The container of mortal ended \(exit code 3\) [\d.e-]+ s before mortal refused alice at port 7000",
        diagnosis.text,
    )
    assert "hello: no more clients, please" in diagnosis.text
    assert len(of(seen, WorkloadStarted, "mortal")) == 2


def test_the_end_of_a_container_is_reported_in_its_run_and_in_later_ones(servers, run, seen):
    container = servers.cache.workload.container
    container.update(mem_limit="24m", memswap_limit="24m")
    with run():
        servers.cache.exec("tail /dev/zero", timeout=20)
        servers.cache.exec(["redis-cli", "SHUTDOWN", "NOSAVE"])
    with run():
        pass
    container.update(mem_limit="1g", memswap_limit="1g")
    ended, later = of(seen, WorkloadEnded, "cache")
    assert ended.out_of_memory
    assert not ended.earlier
    assert later.earlier > 0
    assert "isn't running: it ended" in render(later)
    servers.cache.reboot()


def test_a_container_that_the_engine_restarts_is_followed_again(servers, run, seen):
    container = servers.mortal.workload.container
    container.update(restart_policy={"Name": "always"})
    with run():
        for _ in range(2):
            servers.alice.run("until nc -4 mortal 7000 | grep hello; do sleep 0.05; done", check=True)
        wait_for(lambda: len(of(seen, WorkloadEnded, "mortal")) == 2)
    container.update(restart_policy={"Name": "no"})
    assert [event.exit_code for event in of(seen, WorkloadEnded, "mortal")] == [3, 3]
    assert lines(seen, "mortal").count("greeted a client") == 2


def wait_for(condition, timeout=10.0):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_output_continues_after_a_power_cut(servers, run, seen):
    with run():
        servers.alice.run("nc greeter 7000", check=True)
        servers.greeter.reboot()
        servers.alice.run("nc greeter 7000", check=True)
    assert lines(seen, "greeter") == ["greeted a client", "listening on port 7000", "greeted a client"]
    (ended,) = of(seen, WorkloadEnded, "greeter")
    assert ended.signal == "KILL"
