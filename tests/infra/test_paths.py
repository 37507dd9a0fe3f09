"""Packets between the segments take the router, and names mean segment addresses."""

import pytest

from .conftest import HOSTS, NODES, ComposeLab

pytestmark = pytest.mark.lab
OTHER = {"client": "server", "server": "client"}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("family", [4, 6])
def test_one_hop_is_taken_from_the_ttl(lab: ComposeLab, host: str, family: int) -> None:
    out = lab.ask(host, f"ping -{family} -n -c 1 -W 5 {OTHER[host]}")
    assert "ttl=63" in out


@pytest.mark.parametrize("family", [4, 6])
def test_traceroute_shows_the_router(lab: ComposeLab, family: int) -> None:
    out = lab.ask("client", f"traceroute -{family} -n -q 1 -w 2 server")
    hops = [line.split()[1] for line in out.splitlines()[1:]]
    router = lab.environment["LAB_CLIENTS_PREFIX" + ("6" if family == 6 else "")]
    assert hops == [router + ("::2" if family == 6 else ".2"), lab.addresses["server"][family == 6]]


@pytest.mark.parametrize("family", [4, 6])
def test_each_packet_that_causes_an_icmp_error_gets_one(lab: ComposeLab, family: int) -> None:
    out = lab.ask("client", f"ping -{family} -n -t 1 -c 30 -i 0.002 -W 2 server || true")
    assert out.count("ime to live exceeded" if family == 4 else "op limit") == 30


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(
    ("name", "host"), [("server",) * 2, ("win10", "server"), ("client",) * 2, ("kali", "client")]
)
def test_names_are_segment_addresses(lab: ComposeLab, node: str, name: str, host: str) -> None:
    out = lab.ask(node, f"getent ahosts {name}")
    assert {line.split()[0] for line in out.splitlines()} == set(lab.addresses[host])


@pytest.mark.parametrize("node", NODES)
def test_the_router_is_reached_by_its_name(lab: ComposeLab, node: str) -> None:
    mgmt = lab.mgmt_address("router")
    for family in 4, 6:
        assert "1 received" in lab.ask(node, f"ping -{family} -n -c 1 -W 5 router")
    assert mgmt not in lab.ask(node, "getent ahosts router")


@pytest.mark.parametrize(("node", "name"), [("server", "win10"), ("client", "kali"), ("router", "router")])
def test_a_node_knows_its_own_name(lab: ComposeLab, node: str, name: str) -> None:
    assert lab.ask(node, "hostname") == name


def test_a_host_does_not_forward(lab: ComposeLab) -> None:
    for host in HOSTS:
        assert (
            lab.ask(host, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")
            == "0\n0"
        )


def test_cabling_twice_changes_nothing(lab: ComposeLab) -> None:
    state = "ip -4 route; ip -6 route; cat /etc/hosts; ip -br addr"
    for node in NODES:
        before = lab.ask(node, state)
        lab.ask(
            node,
            "cd /tmp && echo x >topology.json && PYTHONPATH=/tmp HOSTNAME=x sudo -n /usr/lib/socketlab/boot",
        )
        assert lab.ask(node, state) == before


def test_a_restarted_host_is_cabled_again(lab: ComposeLab) -> None:
    key = lab.ask("client", "cat /etc/socketlab/keys/host_client.pub")
    assert lab.compose("restart", "client").returncode == 0
    assert lab.compose("up", "--detach", "--wait", "--no-recreate", "client").returncode == 0
    assert "ttl=63" in lab.ask("client", "ping -n -c 1 -W 5 server")
    assert lab.ask("client", "cat /etc/socketlab/keys/host_client.pub") == key
    assert lab.ask("server", "ssh client hostname") == "kali"
