"""The nodes of a diagram: their order follows the cables, and nodes that take no part have no lane."""

from dataclasses import replace

import pytest

from lab.errors import UsageError
from lab.evidence.diagram.lanes import lanes, order, titles_of
from lab.evidence.packets.traffic import CaptureInfo, Traffic, load
from tests.evidence.forge import CAPTURES, NAMES, handshake, traffic
from tests.evidence.office_run import office


def cables(*links, hosts):
    """Captures and names of a lab: ``links`` are (router, segment), ``hosts`` maps a host to its segment."""
    segments = list(dict.fromkeys(segment for _, segment in links))
    network = {segment: f"10.0.{number}.0/24" for number, segment in enumerate(segments)}
    captures, names = [], {}
    for number, (router, segment) in enumerate(links, 2):
        address = network[segment].replace("0/24", str(number))
        names[address] = router
        name = f"{segment}@{router}" if any(c.segment == segment for c in captures) else segment
        captures.append(
            CaptureInfo(name, "", segment, router, networks=(network[segment],), router=(address,))
        )
    for number, (host, segment) in enumerate(hosts.items(), 100):
        names[network[segment].replace("0/24", str(number))] = host
    return captures, names


def test_two_segments_are_client_router_server():
    assert order(CAPTURES, NAMES) == ["kali", "router", "win10"]


def test_the_hosts_of_a_segment_are_in_the_order_of_their_numbers():
    hosts = {"alice-10": "a", "alice-2": "a", "server": "b"}
    assert order(*cables(("r", "a"), ("r", "b"), hosts=hosts)) == ["alice-2", "alice-10", "r", "server"]


def test_a_chain_is_in_the_order_of_the_path():
    links = (("r1", "a"), ("r1", "m"), ("r2", "m"), ("r2", "b"))
    hosts = {"client": "a", "server": "b"}
    assert order(*cables(*links, hosts=hosts)) == ["client", "r1", "r2", "server"]


def test_a_chain_begins_at_its_edge_even_if_its_middle_is_described_first():
    links = (("r1", "m"), ("r1", "a"), ("r2", "m"), ("r2", "b"))
    hosts = {"client": "a", "server": "b"}
    assert order(*cables(*links, hosts=hosts)) == ["client", "r1", "r2", "server"]


def test_the_router_of_a_star_stands_behind_the_first_host():
    names = [f"n{number}" for number in range(1, 6)]
    links = [("hub", f"s-{name}") for name in names]
    hosts = {name: f"s-{name}" for name in names}
    assert order(*cables(*links, hosts=hosts)) == ["n1", "hub", "n2", "n3", "n4", "n5"]


def test_hosts_stand_beside_their_router_before_the_way_leads_on():
    links = (("r1", "a"), ("r1", "m"), ("r1", "c"), ("r2", "m"), ("r2", "b"))
    hosts = {"client": "a", "near": "c", "far": "b"}
    assert order(*cables(*links, hosts=hosts)) == ["client", "r1", "near", "r2", "far"]


def test_routers_in_a_ring_have_one_lane_each():
    links = (("r1", "a"), ("r1", "x"), ("r2", "x"), ("r2", "y"), ("r3", "y"), ("r3", "a"))
    hosts = {"client": "a", "server": "y"}
    assert order(*cables(*links, hosts=hosts)) == ["client", "r1", "r2", "server", "r3"]


def test_a_host_on_two_segments_has_one_lane():
    captures, names = cables(("r", "a"), ("r", "b"), hosts={"client": "a", "server": "b"})
    names["10.0.1.77"] = "client"
    assert order(captures, names) == ["client", "r", "server"]


def test_a_node_that_is_on_no_captured_segment_comes_last():
    captures, names = cables(("r", "a"), ("r", "b"), hosts={"client": "a", "server": "b"})
    assert order(captures, names | {"192.0.2.1": "away"}) == ["client", "r", "server", "away"]


# --- which nodes have a lane -----------------------------------------------------------------------------


@pytest.fixture
def eight(tmp_path):
    """The traffic of eight hosts and three routers."""
    return load(office(tmp_path / "run").save())


def test_nodes_that_take_no_part_are_folded(eight):
    found = lanes(eight)
    assert found.shown == ("alice", "edge", "core", "db", "dns", "web", "branch", "dave")
    assert found.folded == ("bob", "carol", "erin")


def test_a_node_with_a_program_takes_part_without_packets(eight):
    assert lanes(eight, active={"bob"}).folded == ("carol", "erin")


def test_the_wanted_nodes_have_lanes_in_the_usual_order(eight):
    found = lanes(eight, wanted=("web", "alice", "edge"))
    assert found.shown == ("alice", "edge", "web")
    assert set(found.folded) == {"bob", "carol", "core", "db", "dns", "branch", "dave", "erin"}


def test_a_small_lab_is_shown_as_a_whole():
    assert lanes(traffic()).shown == lanes(traffic(handshake())).shown == ("kali", "router", "win10")


def test_the_receiver_of_a_lost_packet_takes_part(eight):
    sent = [packet for packet in eight.packets if packet.dport == 514 and packet.segment == "plant"][:1]
    alone = Traffic(sent, eight.captures.values(), eight.names, eight.topology)
    assert lanes(alone).shown == ("web", "branch", "dave")


def test_address_resolution_makes_no_node_take_part(eight):
    packet = next(p for p in eight.packets if p.segment == "office")
    request = replace(packet, protocol="arp", source="10.1.0.11", destination="10.1.0.2")
    found = Traffic([*eight.packets, request], eight.captures.values(), eight.names, eight.topology)
    assert "bob" in lanes(found).folded


def test_a_node_is_chosen_by_any_of_its_names():
    names = {"kali": ["client", "kali"], "win10": ["server", "win10"]}
    assert titles_of(["server", "kali", "win10"], names) == ("win10", "kali")


def test_an_unknown_name_is_an_error_that_lists_the_names():
    with pytest.raises(UsageError, match="no node 'nobody'; there are kali, win10"):
        titles_of(["kali", "nobody"], {"kali": ["kali"], "win10": ["win10"]})
