"""The poller reports changes only, and only while the controller watches."""

import os
import socket
import struct

import pytest

from lab.agent.sockets.tracker import QUEUE_INTERVAL, CounterTracker, SocketTracker, counters, owner
from lab.sockets.netlink.sockdiag import TCP, UDP
from tests.agent.rig import LocalAgent

STATE = {"ESTABLISHED": 1, "SYN_SENT": 2, "TIME_WAIT": 6, "LISTEN": 10}
ME = "192.168.40.129"


def raw(state, local=(ME, 8001), remote=("0.0.0.0", 0), queues=(0, 0), inode=5, timer=0):
    """One socket as reported by sock_diag (inet_diag_msg)."""
    ports = struct.pack(">HH", local[1], remote[1])
    addresses = b"".join(socket.inet_aton(host) + bytes(12) for host, _ in (local, remote))
    head = struct.pack("BBBB", socket.AF_INET, STATE[state], timer, 0)
    return head + ports + addresses + bytes(12) + struct.pack("IIIII", timer, *queues, 1000, inode)


class Looks:
    """A tracker; each call is a poll and returns the reports."""

    def __init__(self, addresses=(ME,)):
        self.asked = []
        self.tracker = SocketTracker(addresses, self.owner)
        self.now = 0.0

    def owner(self, inode):
        self.asked.append(inode)
        return {"pid": 7, "command": "serve"}

    def __call__(self, *sockets, after=0.005, protocol=TCP):
        self.now += after
        return list(self.tracker.poll(self.now, iter([(protocol, one) for one in sockets])))


def states(reports):
    return [(report["was"], report["state"]) for report in reports]


def test_a_socket_is_reported_when_it_is_opened_changed_and_closed():
    look, peer = Looks(), ("172.28.66.163", 9)
    assert states(look(raw("SYN_SENT", remote=peer))) == [("", "SYN_SENT")]
    assert look(raw("SYN_SENT", remote=peer)) == []
    assert states(look(raw("ESTABLISHED", remote=peer))) == [("SYN_SENT", "ESTABLISHED")]
    assert states(look()) == [("ESTABLISHED", "")]
    assert look() == []


def test_a_report_has_every_field():
    (report,) = Looks()(raw("LISTEN", queues=(2, 128)))
    assert report == {
        "at": 0.005, "id": 1, "protocol": "tcp", "family": 4, "local": f"{ME}:8001", "remote": "*:*",
        "state": "LISTEN", "was": "", "receive_queue": 2, "send_queue": 128, "pid": 7, "command": "serve",
    }  # fmt: skip


def test_a_timer_is_not_a_change():
    look = Looks()
    look(raw("LISTEN"))
    assert look(raw("LISTEN", timer=3)) == []


def test_queues_are_reported_at_intervals_and_with_their_last_value():
    look, peer = Looks(), ("172.28.66.163", 9)
    look(raw("ESTABLISHED", remote=peer))
    reports = [look(raw("ESTABLISHED", remote=peer, queues=(n, 0))) for n in range(1, 101)]
    assert sum(map(len, reports)) <= 100 * 0.005 / QUEUE_INTERVAL + 1
    last = look(raw("ESTABLISHED", remote=peer, queues=(100, 0)), after=QUEUE_INTERVAL)
    assert [report["receive_queue"] for report in [*sum(reports, []), *last]][-1] == 100


def test_a_change_of_state_is_reported_at_once():
    look, peer = Looks(), ("172.28.66.163", 9)
    look(raw("ESTABLISHED", remote=peer))
    look(raw("ESTABLISHED", remote=peer, queues=(9, 0)), after=0.001)
    assert states(look(raw("TIME_WAIT", remote=peer), after=0.001)) == [("ESTABLISHED", "TIME_WAIT")]


def test_the_same_addresses_again_are_a_new_socket():
    look, peer = Looks(), ("172.28.66.163", 9)
    look(raw("ESTABLISHED", remote=peer))
    look()
    (again,) = look(raw("SYN_SENT", remote=peer))
    assert (again["id"], again["was"]) == (2, "")


@pytest.mark.parametrize(
    ("local", "remote", "reported"),
    [
        ((ME, 22), ("172.28.66.163", 50000), True),  # ssh from one host to another
        (("172.28.255.3", 22), ("172.28.255.2", 50000), False),  # the controller, over the mgmt network
        (("0.0.0.0", 22), ("0.0.0.0", 0), False),
        (("127.0.0.1", 50000), ("127.0.0.1", 22), False),
        (("127.0.0.11", 40000), ("0.0.0.0", 0), False),  # Docker's resolver
        (("127.0.0.1", 8001), ("0.0.0.0", 0), True),  # a server that only this host can reach
    ],
)
def test_the_controllers_connection_is_not_reported(local, remote, reported):
    state = "LISTEN" if remote[1] == 0 else "ESTABLISHED"
    assert bool(Looks()(raw(state, local, remote))) == reported


def test_the_owner_is_searched_only_for_listening_and_udp_sockets():
    look, peer = Looks(), ("172.28.66.163", 9)
    look(raw("LISTEN", inode=1), raw("ESTABLISHED", remote=peer, inode=2))
    look(raw("ESTABLISHED", local=(ME, 9090), inode=3), protocol=UDP)
    assert look.asked == [1, 3]


def test_udp_sockets_have_no_tcp_states():
    (unconnected,) = Looks()(raw("LISTEN", (ME, 9090)), protocol=UDP)
    (connected,) = Looks()(raw("ESTABLISHED", (ME, 9090), ("172.28.66.163", 9)), protocol=UDP)
    assert (unconnected["state"], connected["state"]) == ("OPEN", "CONNECTED")


def test_counters_are_reported_when_they_change():
    tracker = CounterTracker({"Udp.RcvbufErrors": 3})
    assert list(tracker.poll(1.0, {"Udp.RcvbufErrors": 3})) == []
    (report,) = tracker.poll(2.0, {"Udp.RcvbufErrors": 10})
    assert report == {"at": 2.0, "counter": "Udp.RcvbufErrors", "value": 10, "change": 7}
    assert list(tracker.poll(3.0, {"Udp.RcvbufErrors": 10})) == []


def test_this_kernel_has_the_counters():
    assert {"Udp.RcvbufErrors", "Tcp.RetransSegs", "TcpExt.ListenOverflows"} <= set(counters())


def test_the_owner_of_our_own_sockets_is_this_process():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inode = int(socket_link(listener).strip("socket:[]"))
        found = owner(inode)
    assert "python" in found["command"] or "pytest" in found["command"]
    assert owner(1) == {}


def socket_link(sock):

    return os.readlink(f"/proc/self/fd/{sock.fileno()}")


@pytest.fixture
def agent():
    with LocalAgent() as started:
        yield started


def reports_of(port, reports):
    return [(r["was"], r["state"]) for r in reports if r.get("local") == f"127.0.0.1:{port}"]


def test_a_change_is_reported_before_the_answer_to_the_next_poll(agent):
    agent.ok("watch", interval=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reports_of(port, agent.ask("poll")[1]) == [("", "LISTEN")]
    assert reports_of(port, agent.ask("poll")[1]) == [("LISTEN", "")]


def test_changes_are_reported_without_a_request(agent):
    agent.ok("watch")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        while not reports_of(port, [agent.line()["report"]]):
            pass


def test_unwatch_reports_the_last_changes_and_then_nothing(agent):
    agent.ok("watch", interval=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reports_of(port, agent.ask("unwatch")[1]) == [("", "LISTEN")]
        assert agent.ask("clock")[1] == []
        assert agent.ask("poll")[0]["code"] == 2


def test_watch_starts_afresh(agent):
    agent.ok("watch", interval=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reports_of(port, agent.ask("poll")[1]) == [("", "LISTEN")]
        agent.ok("watch", interval=60)
        assert reports_of(port, agent.ask("poll")[1]) == [("", "LISTEN")]


def test_the_controller_s_connection_is_not_reported_whatever_its_port():
    sockets = [(TCP, raw("ESTABLISHED", (ME, 2222), ("192.0.2.1", 50000))), (TCP, raw("LISTEN", (ME, 22)))]
    reports = list(SocketTracker([], lambda inode: {}, ssh_port=2222).poll(1.0, iter(sockets)))
    assert [report["local"] for report in reports] == [f"{ME}:22"]
