"""A lab with routers in a row, address translation, a segment without IPv6 and a host on two segments."""

import os
import subprocess
from collections.abc import Iterator
from ipaddress import ip_interface

import pytest

from lab.control.host import Host
from lab.control.lab import Lab
from lab.control.transport import from_engine
from lab.engine.client import Engine
from lab.engine.description.rendering import FOLDERS
from lab.topology.compose.rendering import render
from lab.topology.description import parse
from lab.topology.plan import Plan, plan

from .conftest import ROOT
from .test_no_way_out import CONNECT

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("topologies")]

DESCRIPTION = """
[segments]
home = {}
isp = {}
core = {}
dc = {}
legacy = { ipv6 = false }

[hosts.alice]
segment = "home"
[hosts.bob]
segment = "home"
mounts = ["src:/src"]
environment = { GREETING = "你好, $HOME" }
[hosts.carol]
segment = "isp"
[hosts.web]
segment = "dc"
aliases = ["www"]
[hosts.old]
segment = "legacy"
[hosts.db]
segments = ["dc", "core"]

[routers.edge]
segments = ["home", "isp"]
nat = "home"
forward = { 8080 = "alice:8000", "5353/udp" = "bob:5300" }
[routers.middle]
segments = ["isp", "core"]
[routers.far]
segments = ["core", "dc", "legacy"]
"""
HOSTS = ("alice", "bob", "carol", "web", "old", "db")
NODES = (*HOSTS, "edge", "middle", "far")
STATE = """
{{ ip -4 route; ip -6 route; ip -o addr show scope global | awk '{{ print $4 }}'; }} |
    sed 's/ dev eth[0-9]*//' | sort | grep -v {mgmt}
cat /etc/hosts /run/socketlab/node
"""
# Sends its clients the address that it sees.
SERVER = """
import socket
server = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening on", flush=True)
while True:
    client, address = server.accept()
    client.sendall(address[0].removeprefix("::ffff:").encode())
    client.close()
"""
UDP_SERVER = """
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 5300))
print("listening on", flush=True)
while True:
    data, address = server.recvfrom(2048)
    server.sendto(address[0].removeprefix("::ffff:").encode(), address)
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "src").mkdir()
    (folder / "src/file").write_text("from outside")
    name = f"socketlab-topologies-{os.getpid()}"
    with Engine() as engine:
        taken = [subnet for subnet, _ in engine.subnets()]
    return plan(parse(DESCRIPTION, folder=folder, name=name), taken=taken, seed=name)


def compose(planned: Plan, *words: str, text: str) -> None:
    argv = ["docker", "compose", "-p", planned.name, "-f", "-", *words]
    done = subprocess.run(argv, cwd=ROOT, input=text, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def routed(planned: Plan) -> Iterator[Lab]:
    text = render(planned, FOLDERS)
    try:
        compose(planned, "up", "--detach", "--wait", text=text)
        with from_engine(planned.name) as lab:
            yield lab
    finally:
        compose(planned, "down", "--volumes", text=text)


def test_the_controller_learns_the_nodes(routed: Lab, planned: Plan) -> None:
    assert [host.node for host in routed.hosts] == list(planned.nodes)


def ping(host: Host, target: str, family: int = 4) -> str:
    """The TTL of the answer; "" if there is none."""
    out = host.ask(f"ping -{family} -n -c 1 -W 1 {target}").stdout
    return out.partition("ttl=")[2].partition(" ")[0]


ROUTERS_BETWEEN = {
    ("alice", "bob"): 0,
    ("alice", "carol"): 1,
    ("alice", "web"): 3,
    ("alice", "old"): 3,
    ("carol", "www"): 2,
    ("carol", "old"): 2,
    ("web", "carol"): 2,
    ("web", "old"): 1,
    ("web", "db"): 0,
    ("db", "carol"): 1,
    ("db", "old"): 1,
    ("middle", "db"): 0,
    ("middle", "far"): 0,
    ("edge", "web"): 2,
    ("edge", "far"): 1,
}


@pytest.mark.parametrize(("here", "there"), ROUTERS_BETWEEN)
def test_each_router_on_the_way_takes_one_from_the_ttl(routed: Lab, here: str, there: str) -> None:
    ttl = str(64 - ROUTERS_BETWEEN[here, there])
    assert ping(routed[here], there) == ttl
    if there != "old":
        assert ping(routed[here], there, family=6) == ttl


@pytest.mark.parametrize("family", [4, 6])
def test_fragments_pass_every_router(routed: Lab, family: int) -> None:
    assert ping(routed["alice"], "web -s 4000", family) == "61"


def test_a_segment_without_ipv6_has_none(routed: Lab) -> None:
    assert "inet6" not in routed["old"].ask("ip addr show scope global").stdout
    assert routed["old"].ask("ip -6 route show default").stdout == ""
    assert ping(routed["web"], "old", family=6) == ""


def test_names_mean_the_addresses_on_a_shared_segment_first(routed: Lab) -> None:
    def first(here: str, there: str) -> list[str]:
        return [
            routed[here].ask(f"getent {database} {there}").stdout.split()[0]
            for database in ("ahostsv4", "ahostsv6")
        ]

    dc, core = (interface for interface in routed["db"].node.interfaces)
    for here, interface in ("web", dc), ("middle", core), ("db", dc):
        assert first(here, "db") == [str(ip_interface(a).ip) for a in (interface.address, interface.address6)]
    far_core, far_dc, _ = routed["far"].node.interfaces
    for here, interface in ("web", far_dc), ("middle", far_core):
        assert first(here, "far")[0] == str(ip_interface(interface.address).ip)


def seen_by(routed: Lab, here: str, there: str, port: int = 8000, family: str = "AF_INET") -> str:
    """The address that a TCP server sees, or the error."""
    code = f"""
import socket
try:
    address = socket.getaddrinfo({there!r}, {port}, socket.{family}, socket.SOCK_STREAM)[0][4]
    print(socket.create_connection(address[:2], 5).makefile().read())
except OSError as error:
    print(type(error).__name__, error)
"""
    return str(routed[here].python(code, check=True).stdout.strip())


def address(routed: Lab, node: str, segment: str, family: str = "AF_INET") -> str:
    found = next(each for each in routed[node].node.interfaces if each.segment == segment)
    return str(ip_interface(found.address if family == "AF_INET" else found.address6).ip)


FAMILIES = pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])


@FAMILIES
def test_packets_from_inside_have_the_address_of_the_router(routed: Lab, family: str) -> None:
    with routed["web"].start_python(SERVER):
        assert seen_by(routed, "alice", "web", family=family) == address(routed, "edge", "isp", family)
        assert seen_by(routed, "carol", "web", family=family) == address(routed, "carol", "isp", family)
        assert seen_by(routed, "edge", "web", family=family) == address(routed, "edge", "isp", family)
    with routed["bob"].start_python(SERVER):  # not translated within the segment
        assert seen_by(routed, "alice", "bob", family=family) == address(routed, "alice", "home", family)


@FAMILIES
def test_from_outside_only_a_forwarded_port_is_reached(routed: Lab, planned: Plan, family: str) -> None:
    carol = routed["carol"]
    home = planned.segment("home")
    prefix = home.prefix if family == "AF_INET" else home.prefix6
    route = f"{prefix} via {address(routed, 'edge', 'isp', family)}"
    alice = address(routed, "alice", "home", family)
    with routed["alice"].start_python(SERVER):
        assert seen_by(routed, "bob", "alice", family=family) == address(routed, "bob", "home", family)
        assert "nreachable" in seen_by(routed, "carol", alice, family=family)
        as_root(planned, "carol", f"ip route add {route}")  # even with a route
        assert "nreachable" in seen_by(routed, "carol", alice, family=family)
        assert seen_by(routed, "carol", "edge", 8080, family) == address(routed, "carol", "isp", family)
        assert seen_by(routed, "web", "edge", 8080, family) == address(routed, "web", "dc", family)
        carol.ask("sudo -n /usr/lib/socketlab/boot")
        assert str(prefix) not in carol.ask("ip -4 route; ip -6 route").stdout


@FAMILIES
def test_a_forwarded_port_is_reached_from_inside_too(routed: Lab, family: str) -> None:
    with routed["alice"].start_python(SERVER):
        for segment in "home", "isp":
            there = address(routed, "edge", segment, family)
            assert seen_by(routed, "bob", there, 8080, family) == address(routed, "edge", "home", family)


def test_a_forwarded_udp_port(routed: Lab) -> None:
    with routed["bob"].start_python(UDP_SERVER):
        out = routed["carol"].ask("echo x | socat -t 2 - UDP4:edge:5353").stdout
    assert out == address(routed, "carol", "isp")


def test_only_the_router_with_address_translation_tracks_connections(routed: Lab) -> None:
    assert ping(routed["alice"], "web")
    tracked = "cat /proc/sys/net/netfilter/nf_conntrack_count"
    assert int(routed["edge"].ask(tracked).stdout) > 0
    for router in "middle", "far":
        assert routed[router].ask(tracked).stdout.strip() == "0"


def test_packets_that_a_link_delays_and_duplicates_are_translated(routed: Lab) -> None:
    link = routed.link("home", "isp")
    link.set(delay=0.02, duplication=1.0, verify=False)
    try:
        replies = routed["alice"].ask("ping -n -i 10 -w 1 carol").stdout
    finally:
        link.clear()
    times = [float(word.removeprefix("time=")) for word in replies.split() if word.startswith("time=")]
    assert len(times) == 4  # a duplicate of the request and two of the replies
    assert all(40 <= each < 60 for each in times)


@pytest.mark.parametrize("node", ["alice", "db", "edge", "far"])
def test_no_packet_leaves_the_lab(routed: Lab, planned: Plan, node: str) -> None:
    outside = {"192.0.2.1", "2001:db8::1"}
    own = (
        routed[node].ask("hostname -I").stdout.split()
    )  # Engine 28 gives the first address of mgmt to a node
    machine = {str(network[1]) for network in planned.networks()} - set(own)
    script = CONNECT.format(addresses=sorted(outside | machine), port=22)
    lines = routed[node].run(script, check=True).stdout.splitlines()
    results = dict(line.split(" ", 1) for line in lines)
    assert set(results) == outside | machine
    assert all("unreachable" in results[address] for address in outside), results
    assert "connected" not in results.values()
    assert all("timed out" not in result for result in results.values()), results


def state(routed: Lab, planned: Plan, node: str) -> str:
    """The network of a node, without its address on mgmt, which Docker chooses at each start."""
    mgmt = str(planned.mgmt.network_address).rpartition(".")[0]
    return routed[node].ask(STATE.format(mgmt=mgmt)).stdout


def test_configuring_a_node_twice_changes_nothing(routed: Lab, planned: Plan) -> None:
    for node in NODES:
        before = state(routed, planned, node)
        assert routed[node].ask("sudo -n /usr/lib/socketlab/boot").ok
        assert state(routed, planned, node) == before


@pytest.mark.parametrize("node", ["db", "far"])
def test_a_node_on_several_segments_is_unplugged_and_plugged_in(
    routed: Lab, planned: Plan, node: str
) -> None:
    before = state(routed, planned, node)
    assert ping(routed["web"], node)
    with routed[node].cable_pulled():
        assert not ping(routed["web"], node)
    assert state(routed, planned, node) == before
    assert ping(routed["web"], node)
    assert ping(routed["carol"], "old") == "62"


def test_a_power_cut_restores_everything(routed: Lab, planned: Plan) -> None:
    before = {node: state(routed, planned, node) for node in ("edge", "db")}
    for node in before:
        routed[node].power_off()
    assert not ping(routed["alice"], "carol")
    for node in before:
        routed[node].power_on()
        assert state(routed, planned, node) == before[node]
    assert ping(routed["alice"], "web") == "61"
    with routed["alice"].start_python(SERVER):
        assert seen_by(routed, "carol", "edge", 8080) == address(routed, "carol", "isp")


def test_a_plain_host_has_its_environment_and_mounts(routed: Lab) -> None:
    assert routed["bob"].ask('echo "$GREETING"; cat /src/file').stdout == "你好, $HOME\nfrom outside"


def as_root(planned: Plan, node: str, command: str) -> None:
    argv = ["docker", "exec", "--user", "root", f"{planned.name}-{node}-1", "sh", "-c", command]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
