"""The way of a packet through the lab."""

import pytest

from lab.control.link.paths import ways
from lab.topology.node import Interface, Node, PortForward, Route

OFFICE, CORE, DMZ = "10.1.0.0/24", "10.4.0.0/24", "10.2.0.0/24"


def node(name, role, interfaces, *routes, **fields):
    attached = tuple(Interface(segment, f"{address}/24") for segment, address in interfaces.items())
    return Node(name, role, (name,), attached, routes=tuple(Route(*route) for route in routes), **fields)


ALICE = node("alice", "host", {"office": "10.1.0.10"}, ("default", "10.1.0.2"))
BOB = node("bob", "host", {"dmz": "10.2.0.10"}, ("default", "10.2.0.2"))


def routers(nat1=(), nat2=(), forwards=()):
    """office – r1 – core – r2 – dmz"""
    to_dmz, to_office = (DMZ, "10.4.0.3"), (OFFICE, "10.4.0.2")
    return (
        node("r1", "router", {"office": "10.1.0.2", "core": "10.4.0.2"}, to_dmz, nat=nat1),
        node("r2", "router", {"core": "10.4.0.3", "dmz": "10.2.0.2"}, to_office, nat=nat2, forwards=forwards),
    )


def crossed(way):
    return [(c.router.name, c.coming, c.leaving, c.source, c.target) for c in way.crossings]


def test_a_packet_crosses_the_routers_on_its_route():
    (way,) = ways([ALICE, BOB, *routers()], ALICE, BOB)
    assert crossed(way) == [
        ("r1", "office", "core", "10.1.0.10", "10.2.0.10"),
        ("r2", "core", "dmz", "10.1.0.10", "10.2.0.10"),
    ]
    assert (way.source, way.target) == ("10.1.0.10", "10.2.0.10")


def test_the_source_is_translated_after_the_rules_of_the_router():
    (way,) = ways([ALICE, BOB, *routers(nat1=("office",))], ALICE, BOB)
    assert [c[3] for c in crossed(way)] == ["10.1.0.10", "10.4.0.2"]
    assert way.source == "10.4.0.2"


def test_a_host_behind_a_translation_is_reached_by_port_forwarding_only():
    closed = [ALICE, BOB, *routers(nat2=("dmz",))]
    assert list(ways(closed, ALICE, BOB)) == []
    opened = [ALICE, BOB, *routers(nat2=("dmz",), forwards=(PortForward(8080, 80, "10.2.0.10"),))]
    (way,) = ways(opened, ALICE, BOB)
    assert crossed(way) == [
        ("r1", "office", "core", "10.1.0.10", "10.4.0.3"),
        ("r2", "core", "dmz", "10.1.0.10", "10.2.0.10"),
    ]
    assert way.target == "10.4.0.3"


def test_hosts_on_one_segment_need_no_router():
    carol = node("carol", "host", {"office": "10.1.0.11"})
    (way,) = ways([ALICE, carol, *routers()], ALICE, carol)
    assert crossed(way) == []


def test_the_most_specific_route_is_followed():
    three = node("r3", "router", {"office": "10.1.0.3", "dmz": "10.2.0.3"})
    alice = node("alice", "host", {"office": "10.1.0.10"}, ("default", "10.1.0.2"), (DMZ, "10.1.0.3"))
    (way,) = ways([alice, BOB, *routers(), three], alice, BOB)
    assert [c[0] for c in crossed(way)] == ["r3"]


def test_a_host_with_two_addresses_is_reached_at_each():
    both = node("both", "host", {"dmz": "10.2.0.11", "core": "10.4.0.11"})
    assert [way.target for way in ways([ALICE, both, *routers()], ALICE, both)] == ["10.2.0.11", "10.4.0.11"]


@pytest.mark.parametrize("via", ["10.1.0.99", "10.9.9.9"])
def test_there_is_no_way_without_a_router_at_the_end_of_a_route(via):
    alice = node("alice", "host", {"office": "10.1.0.10"}, ("default", via))
    assert list(ways([alice, BOB, *routers()], alice, BOB)) == []


def test_a_loop_of_routes_ends():
    r1, r2 = routers()
    r2 = node("r2", "router", {"core": "10.4.0.3"}, (DMZ, "10.4.0.2"))
    assert list(ways([ALICE, BOB, r1, r2], ALICE, BOB)) == []
