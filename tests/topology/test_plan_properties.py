"""Any topology: addresses are unique, prefixes don't overlap, and packets take the shortest way."""

import itertools
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.topology.model import Forward, Router, Topology
from lab.topology.plan import plan
from lab.topology.prefixes import overlap
from tests.topology.forwarding import Dropped, Forwarding, address_on
from tests.topology.random_topologies import connected, on, router, topologies

TAKEN = [
    *(ip_network(f"172.28.{third}.0/24") for third in range(0, 200, 3)),
    ip_network("10.28.0.0/17"),
    ip_network("fd28:4::/32"),
]


def behind(router, routers):
    return connected(router.nat, [each for each in routers if each != router])


def distance(starts, target, routers):
    """The smallest number of routers from one of the segments to ``target``, None if translation hides it."""
    walls = [behind(each, routers) for each in routers if each.nat]
    starts = [s for s in starts if not any(target in wall and s not in wall for wall in walls)]
    near, steps = set(starts), 0
    while near and target not in near:
        wider = {s for each in routers if near & set(on(each)) for s in on(each)} | near
        if wider == near:
            return None
        near, steps = wider, steps + 1
    return steps if near else None


def routers_of(topology):
    """Its routers, or the one that joins all segments."""
    names = [segment.name for segment in topology.segments]
    return topology.routers or ((router("router", names),) if len(names) > 1 else ())


def pairs(found):
    """Each host, with each address of each other host."""
    hosts = [node for node in found.nodes if node.role == "host"]
    for one, other in itertools.permutations(hosts, 2):
        for interface in other.interfaces:
            for text in filter(None, (interface.address, interface.address6)):
                yield one, interface.segment, text.partition("/")[0]


@given(topologies(), st.sampled_from(["", "one", "two"]))
@settings(max_examples=150, deadline=None)
def test_no_address_is_given_twice_and_no_prefix_overlaps(topology, seed):
    found = plan(topology, taken=TAKEN, seed=seed)
    addresses = [address for node in found.nodes for address in (*node.addresses, *node.addresses6)]
    assert len(addresses) == len(set(addresses))
    networks = found.networks()
    assert not any(overlap(one, other) for one, other in itertools.combinations(networks, 2))
    free = [n for n in networks if str(n) not in [segment.prefix for segment in topology.segments]]
    assert not any(overlap(one, other) for one in free for other in TAKEN)
    for segment in topology.segments:
        assert (found.segment(segment.name).prefix6 is not None) == segment.ipv6


@given(topologies(overrides=False))
@settings(max_examples=150, deadline=None)
def test_each_packet_takes_the_shortest_path_unless_translation_hides_its_destination(topology):
    found = plan(topology)
    forwarding, routers = Forwarding(found), routers_of(topology)
    ipv6 = {segment.name for segment in topology.segments if segment.ipv6}
    routers6 = [
        Router(
            each.name,
            tuple(a for a in each.attachments if a.segment in ipv6),
            nat=tuple(set(each.nat) & ipv6),
        )
        for each in routers
    ]
    for host, segment, to in pairs(found):
        starts = [name for name in host.segments if ":" not in to or name in ipv6]
        steps = distance(starts, segment, routers6 if ":" in to else routers)
        if steps is None:
            with pytest.raises(Dropped):
                forwarding.send(host.name, to)
        else:
            packet = forwarding.send(host.name, to)
            assert len(packet.routers) == steps
            assert_answered(forwarding, packet, to)


def assert_answered(forwarding, packet, to):
    """The answer to ``packet`` arrives at the host, or at the router that translated the packet last."""
    receiver, _ = forwarding.owners[to]
    assert forwarding.send(receiver, packet.source).to == packet.source


@given(topologies())
@settings(max_examples=150, deadline=None)
def test_no_override_creates_a_loop(topology):
    found = plan(topology)
    forwarding = Forwarding(found)
    for host, _, to in pairs(found):
        try:
            forwarding.send(host.name, to)
        except Dropped:
            assert ":" in to or any(router.nat for router in topology.routers)


@given(topologies(overrides=False), st.data())
@settings(max_examples=100, deadline=None)
def test_a_forwarded_port_leads_to_its_host(topology, data):
    translating = [router for router in topology.routers if router.nat]
    if not translating:
        return
    gate = data.draw(st.sampled_from(translating))
    hosts = [host for host in topology.hosts if set(on(host)) & set(gate.nat) and host.count == 1]
    if not hosts:
        return
    host = data.draw(st.sampled_from(hosts))
    open_gate = Router(gate.name, gate.attachments, nat=gate.nat, forwards=(Forward(8080, host.name, 80),))
    routers = tuple(open_gate if each is gate else each for each in topology.routers)
    found = plan(Topology(topology.name, topology.segments, topology.hosts, routers))
    (node,) = (node for node in found.nodes if node.name == gate.name)
    (forward,) = node.forwards
    segment = Forwarding(found).owners[forward.address][1]
    assert segment in gate.nat
    assert forward.address == address_on(next(n for n in found.nodes if n.name == host.name), segment, "")
    assert Forwarding(found).send(gate.name, forward.address).routers == []
