"""A packet's path: the nodes that it passed, and the captures at the beginning and the end of each leg."""

from dataclasses import replace

import pytest

from lab.evidence.diagram.packet_path import Leg, Paths
from lab.evidence.packets.traffic import load
from tests.evidence.forge import crossed, past, tcp, traffic, udp
from tests.evidence.office_run import HOSTS, OUTSIDE, ROUTERS, OfficeRun, office


def path(found, number=0):
    """The path of one packet of this traffic."""
    return Paths(found).of(found.transits[number])


@pytest.fixture
def run(tmp_path):
    return OfficeRun(tmp_path / "run")


def datagram(run, source, target, **options):
    """The traffic of one datagram."""
    run.datagram(0.1, HOSTS[source], HOSTS[target], (1000, 2000), b"hello", **options)
    return load(run.save())


def test_a_packet_through_one_router_has_two_legs():
    found = path(traffic(crossed(udp(1.0))))
    assert found.legs == (Leg("kali", "router", 0, 0), Leg("router", "win10", 1, 1))
    assert (found.lost_at, found.unsent) == ("", False)


def test_a_packet_through_two_routers_has_three_legs(run):
    found = path(datagram(run, "dave", "web"))
    assert found.legs == (Leg("dave", "branch", 0, 0), Leg("branch", "core", 1, 2), Leg("core", "web", 3, 3))


def test_a_lost_packet_ends_at_the_router_that_lost_it(run):
    found = path(datagram(run, "dave", "web", lost_at="core"))
    assert found.nodes == ("dave", "branch", "core")
    assert (found.lost_at, found.receiver) == ("core", "web")


def test_a_packet_lost_between_two_routers_ends_at_the_first(run):
    datagram(run, "dave", "web", lost_at="core")
    run.frames["backbone@core"].clear()
    found = path(load(run.save()))
    assert found.nodes == ("dave", "branch")
    assert (found.lost_at, found.lost_on) == ("branch", "backbone")


def test_a_packet_that_was_captured_past_the_router_only_begins_there():
    found = path(traffic(past(udp(1.0))))
    assert (found.nodes, found.sender, found.unsent) == (("router", "win10"), "kali", True)


def test_a_packet_to_the_router_ends_there():
    found = path(traffic(replace(udp(1.0), destination="192.168.40.2")))
    assert found.legs == (Leg("kali", "router", 0, 0),)


def test_a_broadcast_is_drawn_to_the_router():
    assert path(traffic(replace(udp(1.0), destination="255.255.255.255"))).nodes == ("kali", "router")


def test_an_error_of_a_router_in_the_middle_crosses_those_on_its_way(run):
    quoted = bytes.fromhex("45000028000100000111000000000000") + bytes(12)
    error = bytes([11, 0, 0, 0, 0, 0, 0, 0]) + quoted
    run.packet(0.1, ROUTERS["core"]["backbone"], HOSTS["dave"], error, 1)
    found = path(load(run.save()))
    assert found.legs == (Leg("core", "branch", 0, 1), Leg("branch", "dave", 2, 2))


def test_through_a_translation_the_ends_are_the_hosts(run):
    run.datagram(0.1, HOSTS["alice"], HOSTS["web"], (1000, 2000), b"hello")
    run.datagram(0.2, HOSTS["web"], OUTSIDE, (2000, 1000), b"answer")
    found = load(run.save())
    there, back = path(found), path(found, 1)
    assert (there.nodes, back.nodes) == (("alice", "edge", "core", "web"), ("web", "core", "edge", "alice"))
    texts = [[(t.node, t.text, t.short) for t in Paths(found).translations(x)] for x in found.transits]
    assert texts == [
        [("edge", "10.1.0.10:1000 → 172.28.0.2:1000", "172.28.0.2:1000")],
        [("edge", "172.28.0.2:1000 → 10.1.0.10:1000", "10.1.0.10:1000")],
    ]


def test_a_corrupted_port_is_no_translation():
    packet = udp(1.0, ident=5)
    found = traffic(packet, replace(past(packet), sport=50001))
    assert list(Paths(found).translations(found.transits[0])) == []


def test_without_a_node_in_between_two_legs_are_one(run):
    found = path(datagram(run, "dave", "web"))
    assert found.among({"dave", "core", "web"}).legs == (Leg("dave", "core", 0, 2), Leg("core", "web", 3, 3))
    assert found.among({"dave", "web"}).legs == (Leg("dave", "web", 0, 3),)


def test_all_packets_of_a_run_have_a_path(tmp_path):
    found = load(office(tmp_path / "run").save())
    paths = Paths(found)
    assert all(paths.of(transit).legs for transit in found.transits)


def test_a_segment_of_tcp_that_was_split_has_the_path_of_one_packet():
    whole = tcp(1.0, "PA", 1000, length=200)
    parts = [past(tcp(1.0 + n / 1e4, "PA", 1000 + 100 * n, length=100, ident=n)) for n in (0, 1)]
    assert path(traffic(whole, parts)).nodes == ("kali", "router", "win10")
