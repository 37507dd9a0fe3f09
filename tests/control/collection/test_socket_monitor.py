"""Socket states of real hosts, on one clock; and the clock's arithmetic."""

import time

import pytest

from lab.control.collection.clock import Clock, compare
from lab.control.collection.socket_monitor import as_event, share
from lab.evidence.events import CounterChanged
from lab.evidence.record import Recorder, read_events
from lab.evidence.socket_history import socket_histories

needs_lab = pytest.mark.lab


def report(**fields):
    told = {"at": 100.0, "id": 1, "protocol": "tcp", "family": 4, "local": "192.168.40.129:40112"}
    told |= {
        "remote": "172.28.66.163:8001",
        "state": "SYN_SENT",
        "was": "",
        "receive_queue": 0,
        "send_queue": 0,
    }
    return told | fields


def test_reports_become_events_on_the_controller_s_clock():
    ahead = Clock(offset=2.5, uncertainty=0.001)
    event = as_event("kali", ahead, report(pid=7, command="serve"))
    assert (event.at, event.node, event.kind) == (97.5, "kali", "socket")
    assert (event.local, event.remote) == (("192.168.40.129", 40112), ("172.28.66.163", 8001))
    assert (event.state, event.pid, event.command) == ("SYN_SENT", 7, "serve")
    counter = as_event("kali", ahead, {"at": 100.0, "counter": "Udp.NoPorts", "value": 9, "change": 2})
    assert counter == CounterChanged(97.5, "kali", "Udp.NoPorts", 9, 2)


@pytest.mark.parametrize("fields", [{"local": "nowhere"}, {"state": None}, {"odd": 1}])
def test_an_invalid_report_is_refused(fields):
    with pytest.raises(ValueError, match=f"socket event: .*{next(iter(fields)) if 'odd' in fields else ''}"):
        as_event("kali", Clock(), report(**fields))


def test_an_offset_within_its_uncertainty_isn_t_applied():
    assert Clock(offset=0.002, uncertainty=0.003).correct(10.0) == 10.0
    assert Clock(offset=0.004, uncertainty=0.003).correct(10.0) == pytest.approx(9.996)
    assert Clock(offset=-0.004, uncertainty=0.003).correct(10.0) == pytest.approx(10.004)


@pytest.mark.parametrize("offset", [-7.0, 0.0, 0.0001, 3600.0])
@pytest.mark.parametrize(("there", "back"), [(0.001, 0.001), (0.0, 0.03), (0.03, 0.0)])
def test_a_clock_s_offset_is_within_its_uncertainty(offset, there, back):
    clock = compare(100.0, 100.0 + there + offset, 100.0 + there + back)
    assert abs(clock.offset - offset) <= clock.uncertainty + 1e-9


class Known:
    """A monitor whose clock has been read."""

    def __init__(self, boot_id, clock):
        self.boot_id, self.clock, self.begun = boot_id, clock, None

    def begin(self, clock):
        self.begun = clock


def test_nodes_of_one_kernel_share_the_most_precise_clock_offset():
    rough, fine, other = Clock(5.2, 0.5), Clock(5.0, 0.01), Clock(1.0, 0.3)
    monitors = [Known("a", rough), Known("a", fine), Known("b", other), Known("", rough)]
    share(monitors)
    assert [monitor.begun for monitor in monitors] == [fine, fine, other, rough]


@pytest.fixture
def collector(shared_lab, tmp_path):
    recorder = Recorder(tmp_path, "monitor")
    with shared_lab.recording(recorder.folder, observe=recorder.observe) as found:
        yield found
    recorder.close()


def state_of(collector, socket):
    known = socket_histories(collector.evidence().events)
    return next(s.last for s in known if (s.node, s.id) == (socket.node, socket.id))


@needs_lab
def test_states_of_both_ends_from_listen_to_the_end(shared_lab, collector):
    with shared_lab.server.start("lab-echo serve --mode reverse --port 7201") as server:
        program = (
            "import socket, sys\nc = socket.create_connection(('win10', 7201))\nprint('there', flush=True)\n"
        )
        with shared_lab.client.start(
            ["python3", "-c", program + "sys.stdin.read()"], announce="there"
        ) as client:
            sockets = socket_histories(collector.evidence().events)
            (listener,) = [s for s in sockets if s.port == 7201 and "LISTEN" in s.names]
            assert listener.command.endswith("--port 7201")
            assert listener.pid > 0
            ends = {s.node: s for s in sockets if 7201 in (s.port, s.remote_port) and "LISTEN" not in s.names}
            assert {s.last for s in ends.values()} == {"ESTABLISHED"}
            assert ends["kali"].local == ends["win10"].remote
            client.close_stdin()
            client.wait()
            deadline = time.monotonic() + 10  # the peer's FIN may arrive later
            while state_of(collector, ends["kali"]) != "TIME_WAIT":
                assert time.monotonic() < deadline
    sockets = socket_histories(collector.evidence().events)
    assert server.result.ok
    (listener,) = [s for s in sockets if s.port == 7201 and "LISTEN" in s.names]
    assert listener.ended is not None


@needs_lab
def test_a_changed_counter_is_reported_with_its_host(shared_lab, collector):
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('win10', 7202))"
    shared_lab.client.run(["python3", "-c", send], check=True)
    deadline = time.monotonic() + 10
    while not collector.evidence().counter_change("win10", "Udp.NoPorts"):
        assert time.monotonic() < deadline
    assert not collector.evidence().counter_change("kali", "Udp.NoPorts")


@needs_lab
def test_the_controller_s_own_sockets_are_not_reported(shared_lab, collector):
    shared_lab.client.run("true", check=True)
    shared_lab.client.run(["ssh", "-o", "BatchMode=yes", "win10", "true"], check=True)
    seen = [s for s in socket_histories(collector.evidence().events) if 22 in (s.port, s.remote_port)]
    assert "kali" in {s.node for s in seen}  # whose TIME_WAIT stays for a minute
    segments = [a for host in shared_lab.hosts for a in (*host.node.addresses, *host.node.addresses6)]
    assert [s for s in seen if s.local.address not in segments] == []


@needs_lab
def test_a_frozen_host_does_not_block_the_collection(shared_lab, collector):
    with shared_lab.server.paused():
        started = time.monotonic()
        collector.evidence()
        assert time.monotonic() - started < 30
    with shared_lab.server.start("lab-echo serve --mode hello --port 7203"):
        assert any(s.port == 7203 for s in socket_histories(collector.evidence().events))


@needs_lab
def test_after_a_power_cut_old_sockets_are_closed_and_new_ones_are_reported(shared_lab, collector):
    with shared_lab.server.start("lab-echo serve --mode hello --port 7204"):
        assert any(s.port == 7204 and s.ended is None for s in socket_histories(collector.evidence().events))
        shared_lab.server.power_off()
    shared_lab.server.power_on()
    (before,) = [s for s in socket_histories(collector.evidence().events) if s.port == 7204]
    assert before.ended is not None
    with shared_lab.server.start("lab-echo serve --mode hello --port 7204"):
        assert [s.ended is None for s in socket_histories(collector.evidence().events) if s.port == 7204] == [
            False,
            True,
        ]


@needs_lab
def test_the_record_has_the_clock_offsets(shared_lab, collector):
    collector.packets()
    clocks = collector.to_dict()["clocks"]
    assert set(clocks) == {host.title for host in shared_lab.hosts}
    for clock in clocks.values():
        assert clock["uncertainty"] < 1.0
    assert read_events(collector.folder) is not None
