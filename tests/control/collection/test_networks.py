"""The evidence of real networks: two routers in a row, of which one translates addresses."""

import json
import subprocess
import time

import pytest

from lab.control.transport import from_engine
from lab.evidence.diagnosis.diagnose import diagnose
from lab.evidence.packets.traffic import load
from lab.evidence.record import Recorder
from tests.described_lab import lab_from

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("collection-networks")]

DESCRIPTION = '''
[segments]
home = {}
isp = {}
dc = {}

[hosts.alice]
segment = "home"
[hosts.carol]
segment = "isp"
[hosts.web]
segment = "dc"
[hosts.shop]
segment = "dc"
image = "debian:trixie-slim"
command = ["perl", "-MIO::Socket::INET", "-e", """
$SIG{TERM} = sub { exit };
$s = IO::Socket::INET->new(LocalPort => 8090, Listen => 5, ReuseAddr => 1) or die;
while ($c = $s->accept) { print $c "welcome"; close $c }
"""]

[routers.edge]
segments = ["home", "isp"]
nat = "home"
forward = { 8080 = "alice:8000", "5353/udp" = "alice:5300" }
[routers.far]
segments = ["isp", "dc"]
'''
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[3])))
s.sendto(sys.argv[4].encode(), (sys.argv[1], int(sys.argv[2])))
"""
LARGE = """
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
c.sendall(b"x" * 20_000); c.shutdown(socket.SHUT_WR); print(len(c.recv(100)))
"""
SINK = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1]))); print("listening on", flush=True)
c, _ = s.accept()
while c.recv(1 << 16): pass
c.sendall(b"done")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A lab of this topology."""
    file = tmp_path_factory.mktemp("networks") / "lab.toml"
    file.write_text(DESCRIPTION)
    with lab_from(file, "networks") as name:
        yield name


class Run:
    """A run on the lab. Each test has the evidence since its start."""

    def __init__(self, lab, collector):
        self.lab, self.collector, self.since = lab, collector, 0.0

    def evidence(self):
        return self.collector.evidence(self.since)

    def traffic(self):
        return self.evidence().traffic


@pytest.fixture(scope="module")
def whole(project, tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("runs"), "run")
    with (
        from_engine(project, recorder.observe) as lab,
        lab.recording(recorder.folder) as collector,
    ):
        yield Run(lab, collector)
    recorder.close()


@pytest.fixture
def run(whole):
    whole.since = time.time()
    return whole


def as_root(lab, node, *words):
    name = f"{lab.title}-{lab[node].name}-1"
    subprocess.run(
        ["docker", "exec", "--user", "root", name, *words], check=True, capture_output=True, timeout=20
    )


def names(transit):
    return [packet.segment for packet in transit.sightings]


def test_a_connection_through_a_translation_and_a_further_router(run):
    lab = run.lab
    with lab["web"].start("lab-echo serve --mode hello --port 7401"):
        lab["alice"].run("lab-echo send web hello --mode hello --port 7401", check=True)
    traffic = run.traffic()
    assert list(traffic.captures) == ["home", "isp", "isp@far", "dc", "dc@web", "dc@shop"]
    (connection,) = traffic.connections(7401)
    assert (connection.client, connection.server, connection.handshake) == ("alice", "web", "complete")
    assert connection.translated[0].address == lab["edge"].node.addresses[1]
    assert connection.from_client.bytes == 5
    assert connection.from_server.bytes > 5
    assert connection.from_client.lost == connection.from_server.lost == 0
    ways = {tuple(names(t)) for t in traffic.transits if t.sent.protocol == "tcp" and t.fate == "crossed"}
    assert ways == {("home", "isp", "isp@far", "dc"), ("dc", "isp@far", "isp", "home")}
    assert {t.fate for t in traffic.transits if t.sent.protocol == "tcp"} == {"crossed"}


def test_a_forwarded_port_over_two_routers(run):
    lab = run.lab
    with lab["alice"].start("lab-echo serve --mode hello --host 0.0.0.0 --port 8000"):
        lab["web"].run("lab-echo send edge hello --mode hello --port 8080", check=True)
    (connection,) = run.traffic().connections(8080)
    assert (connection.client, connection.server, connection.handshake) == ("web", "alice", "complete")
    assert str(connection.translated[1]) == f"{lab['alice'].address}:8000"
    (listener,) = [
        s for s in lab_sockets(run) if s.node == "alice" and "LISTEN" in s.names and s.port == 8000
    ]
    assert listener.ended is None or listener.ended > connection.started


# It stays connected until its input ends.
VISIT = """
import socket, sys
with socket.create_connection((sys.argv[1], 8090), 5) as connection:
    print(connection.recv(99).decode(), flush=True)
    sys.stdin.read()
"""


def lab_sockets(run):
    return run.evidence().sockets


def test_pings_and_an_error_from_the_second_router_come_back_through_the_translation(run):
    lab = run.lab
    web = lab["web"].address
    assert lab["alice"].run(f"ping -4 -n -c 2 -i 0.2 -W 2 {web}").ok
    lab["alice"].run(f"ping -4 -n -c 1 -t 2 -W 2 {web}")
    icmp = [t for t in run.traffic().transits if t.sent.protocol == "icmp"]
    assert [(t.sent.label, t.fate, t.translated) for t in icmp] == [
        ("ICMP echo request", "crossed", True),
        ("ICMP echo reply", "crossed", True),
        ("ICMP echo request", "crossed", True),
        ("ICMP echo reply", "crossed", True),
        ("ICMP echo request", "lost", True),
        ("ICMP time to live exceeded", "crossed", True),
    ]
    assert icmp[4].lost_at == "far"
    assert names(icmp[5]) == ["isp@far", "isp", "home"]


def test_ipv6_through_the_translation(run):
    assert run.lab["alice"].run(f"ping -6 -n -c 1 -W 2 {run.lab['web'].address6}").ok
    echoes = [t for t in run.traffic().transits if t.sent.label.startswith("ICMP echo")]
    assert [(t.fate, t.translated, len(t.sightings)) for t in echoes] == [("crossed", True, 4)] * 2


def test_equal_datagrams_of_one_host_from_two_ports(run):
    """They enter one after the other, which proves the ports that the router gave them."""
    for port in (6001, 6002):
        run.lab["alice"].python(SEND, run.lab["web"].address, "7402", str(port), "equal", check=True)
    datagrams = run.traffic().datagrams(7402)
    assert [(d.sender, d.receiver, d.source.port, d.fate) for d in datagrams] == [
        ("alice", "web", 6001, "crossed"),
        ("alice", "web", 6002, "crossed"),
    ]


def test_the_router_that_drops_a_packet_is_named(run):
    as_root(run.lab, "far", "iptables", "-I", "FORWARD", "-p", "udp", "--dport", "7403", "-j", "DROP")
    try:
        run.lab["alice"].python(SEND, run.lab["web"].address, "7403", "6003", "gone", check=True)
        evidence = run.evidence()
    finally:
        as_root(run.lab, "far", "iptables", "-D", "FORWARD", "-p", "udp", "--dport", "7403", "-j", "DROP")
    (datagram,) = evidence.traffic.datagrams(7403)
    assert (datagram.lost, datagram.lost_at) == (True, "far")
    assert (
        "alice sent 1 datagram to web:7403, of which 1 entered far and never left it"
        in diagnose(evidence).text
    )


def test_a_port_that_isn_t_forwarded_is_refused_by_the_router(run):
    run.lab["carol"].run("lab-echo send edge hello --mode hello --port 8081")
    assert "because edge forwards port 8080 but not this one" in diagnose(run.evidence()).text


def test_a_host_behind_the_translation_has_no_route_from_outside(run):
    run.lab["carol"].run(
        ["lab-echo", "send", run.lab["alice"].address, "hello", "--mode", "hello", "--port", "8000"]
    )
    text = diagnose(run.evidence()).text
    assert "no route to alice" in text or "alice is behind the address translation of edge" in text


def test_a_smaller_mtu_in_the_middle_is_reported_through_the_translation(run):
    lab = run.lab
    device = run.collector.packets().captures["dc"].interface
    as_root(lab, "far", "ip", "link", "set", "dev", device, "mtu", "1300")
    try:
        with lab["web"].start_python(SINK, "7404"):
            lab["alice"].python(LARGE, lab["web"].address, "7404", check=True)
    finally:
        as_root(lab, "far", "ip", "link", "set", "dev", device, "mtu", "1500")
    traffic = run.traffic()
    errors = [t for t in traffic.transits if t.sent.label == "ICMP fragmentation needed"]
    assert errors
    assert {(t.fate, t.translated) for t in errors} == {("crossed", True)}
    (connection,) = traffic.connections(7404)
    assert (connection.from_client.bytes, connection.from_client.lost > 0) == (20_000, True)


def test_the_sockets_of_a_user_s_container_are_those_of_its_host(run):
    with run.lab["alice"].start_python(VISIT, "shop", announce="welcome"):
        sockets = [s for s in lab_sockets(run) if s.node == "shop" and s.port == 8090]
    (listener,) = [s for s in sockets if "LISTEN" in s.names]
    assert listener.ended is None
    assert any(s.remote.address == run.lab["edge"].node.addresses[1] for s in sockets)
    (connection,) = run.traffic().connections(8090)
    assert (connection.client, connection.server, connection.from_server.bytes) == ("alice", "shop", 7)


def test_packets_between_two_hosts_of_a_segment_are_captured_by_both(run):
    fetch = "import socket, sys; print(socket.create_connection((sys.argv[1], 8090), 5).recv(99))"
    assert "welcome" in run.lab["web"].python(fetch, "shop", check=True).stdout
    traffic = run.traffic()
    (connection,) = traffic.connections(8090)
    assert (connection.client, connection.server, connection.handshake) == ("web", "shop", "complete")
    assert connection.from_server.bytes == 7
    ways = {tuple(names(t)) for t in traffic.transits if 8090 in (t.sent.sport, t.sent.dport)}
    assert ways == {("dc@web", "dc@shop"), ("dc@shop", "dc@web")}
    run.lab["web"].run("lab-echo send shop hello --mode hello --port 8091")
    assert "web was refused by shop" in diagnose(run.evidence()).text


def test_a_host_that_is_off_does_not_stop_the_evidence_of_the_others(run):
    run.lab["shop"].power_off()
    run.lab["alice"].python(SEND, run.lab["web"].address, "7406", "6006", "on", check=True)
    (datagram,) = run.traffic().datagrams(7406)
    assert datagram.fate == "crossed"
    run.lab["shop"].power_on()


def test_the_record_gives_the_same_packets(project, tmp_path):
    (tmp_path / "events.jsonl").touch()
    with from_engine(project) as lab:
        lab.connect()
        started = time.monotonic()
        with lab.recording(tmp_path) as collector:
            running = time.monotonic()
            lab["alice"].python(SEND, lab["web"].address, "7405", "6005", "kept", check=True)
            ending = time.monotonic()
        ended = time.monotonic()
        nodes = {h.title: {"addresses": h.node.addresses, "addresses6": h.node.addresses6} for h in lab.hosts}
    (tmp_path / "record.json").write_text(json.dumps(collector.to_dict() | {"nodes": nodes}))
    again, live = load(tmp_path), collector.traffic
    assert [d.to_dict() for d in again.datagrams(7405)] == [d.to_dict() for d in live.datagrams(7405)]
    assert [d.fate for d in again.datagrams(7405)] == ["crossed"]
    files = {path.name for path in tmp_path.glob("*.pcapng")}
    assert files == {f"{name}.pcapng" for name in ("home", "isp", "isp@far", "dc", "dc@web", "dc@shop")}
    assert [capture.node for capture in again.cabling] == ["edge", "edge", "far", "far"]
    assert {node["name"] for node in again.topology} == {"alice", "carol", "web", "shop", "edge", "far"}
    assert running - started + ended - ending < 10  # all captures and monitors at once
