"""Rules on networks of several routers: forged captures of planned labs."""

import socket
from dataclasses import replace

import dpkt
import pytest

from lab.evidence.diagnosis.diagnose import Evidence, diagnose
from lab.evidence.endpoint import Endpoint
from lab.evidence.events import (
    FaultChanged,
    LinkChanged,
    Note,
    Output,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
)
from lab.link.settings import LinkSettings
from tests.evidence.packets.synthetic import Network, error, rewrite, tcp, topology, udp

ROW = topology(
    {"alice": ["left"], "bob": ["right"], "carol": ["side"]},
    {"r1": ["left", "middle"], "r2": ["middle", "right"], "r3": ["left", "side"]},
)
HOME = topology(
    {"alice": ["office"], "web": ["office"], "bob": ["net"]},
    {"edge": ["office", "net"]},
    nat={"edge": ["office"]},
    forwards={"edge": [(8080, "web", 80), (53, "web", 53, "udp")]},
)
CUT = LinkSettings(cut=frozenset({"to-right", "to-left"}))
END = Note(9.0, "lab", "the end of the run")


@pytest.fixture
def row():
    return Network(ROW)


@pytest.fixture
def home():
    return Network(HOME)


def sentences(events, traffic):
    return diagnose(Evidence(sorted([*events, END], key=lambda e: e.at), traffic)).sentences


def ends(net, version=4):
    return net.address("alice", version=version), net.address("bob", version=version)


def handshake(net, client, server, at=1.0, port=80):
    return [
        net.send(at, tcp(client, 5000, server, port, "S", seq=10)),
        net.send(at + 0.1, tcp(server, port, client, 5000, "SA", seq=70, ack=11)),
        net.send(at + 0.2, tcp(client, 5000, server, port, "A", seq=11, ack=71)),
    ]


def syns(net, count, **options):
    alice, bob = ends(net)
    return [net.send(1.0 + n, tcp(alice, 5000, bob, 80, "S", seq=10), **options) for n in range(count)]


def test_the_router_that_lost_the_syns_is_named(row):
    (sentence,) = sentences([], row.traffic(*syns(row, 2, lost_at="r2")))
    assert sentence.startswith("alice sent 2 SYNs to bob:80: they reached r2 and none left it on the next")


def test_the_segment_on_which_a_syn_was_lost_is_named(row):
    (sentence,) = sentences([], row.traffic(*syns(row, 1, lost_on="middle")))
    assert sentence == "alice sent 1 SYN to bob:80: it never reached the next router on the segment middle."


def test_the_router_that_the_unanswered_syns_left_is_named(row):
    (sentence,) = sentences([], row.traffic(*syns(row, 2)))
    assert "of which 2 left r2, but bob didn't answer" in sentence


def test_the_router_that_lost_the_answer_is_named(row):
    alice, bob = ends(row)
    answer = row.send(1.1, tcp(bob, 80, alice, 5000, "SA", seq=70, ack=11), lost_at="r1")
    (sentence,) = sentences([], row.traffic(*syns(row, 1), answer))
    assert "bob answered, but no SYN ACK left r1: the way back is cut" in sentence


def test_a_server_without_a_route_back(row):
    row.nodes["bob"] = replace(row.nodes["bob"], routes=())
    (sentence,) = sentences([], row.traffic(*syns(row, 2)))
    assert sentence.endswith("but bob didn't answer: bob has no route back to alice.")


def test_a_router_without_a_route_back(row):
    row.nodes["r2"] = replace(row.nodes["r2"], routes=())
    alice, bob = ends(row)
    answer = row.send(1.1, tcp(bob, 80, alice, 5000, "SA", seq=70, ack=11))
    (sentence,) = sentences([], row.traffic(*syns(row, 1), answer))
    assert "no SYN ACK left r2" in sentence


@pytest.mark.parametrize(
    ("kind", "code", "why"),
    [
        (3, 0, "r1 answered “network unreachable”: r1 has no route to bob."),
        (3, 13, "r1 answered “prohibited by a filter”: a packet filter on r1 rejects it."),
        (3, 1, "r1 answered “host unreachable”, because bob doesn't answer on its segment: its power is off"),
        (11, 0, "r1 answered “time to live exceeded”: its time to live ended at r1"),
    ],
)
def test_an_icmp_error_is_explained_by_its_type(row, kind, code, why):
    alice, bob = ends(row)
    syn = tcp(alice, 5000, bob, 80, "S", seq=10)
    answer = row.send(1.1, error(row.address("r1", "left"), syn, kind, code))
    (sentence,) = sentences([], row.traffic(row.send(1.0, syn, lost_at="r1"), answer))
    assert why in sentence


def test_retransmissions_that_never_left_the_second_router(row):
    alice, bob = ends(row)
    data = {"seq": 11, "ack": 71, "payload": b"hello"}
    lost = [row.send(2.0 + n, tcp(alice, 5000, bob, 80, "PA", **data), lost_at="r2") for n in range(4)]
    (sentence,) = sentences([], row.traffic(*handshake(row, alice, bob), *lost))
    assert sentence.startswith("alice sent 5 bytes and retransmitted them (3 retransmissions), but none of")
    assert "these packets left r2: the link is cut" in sentence


def test_datagrams_that_two_routers_lost(row):
    alice, bob = ends(row)
    places = ["r1", "r2", "r2", ""]
    sent = [
        row.send(1.0 + n, udp(alice, 5000, bob, 53, ident=n + 1), lost_at=r) for n, r in enumerate(places)
    ]
    (sentence,) = sentences([], row.traffic(*sent))
    assert "sent 4 datagrams to bob:53, of which 3 were lost on the way (r1: 1, r2: 2)" in sentence
    (sentence,) = sentences([], row.traffic(*sent[1:]))
    assert "of which 2 entered r2 and never left it" in sentence


def test_datagrams_that_were_lost_between_two_routers(row):
    alice, bob = ends(row)
    (sentence,) = sentences([], row.traffic(row.send(1.0, udp(alice, 5000, bob, 53), lost_on="middle")))
    assert "of which 1 never reached the next router on the segment middle" in sentence


def test_only_a_fault_on_the_way_is_named(row):
    on_the_way, elsewhere = (FaultChanged(0.5, router, "paused", "begin") for router in ("r1", "r3"))
    traffic = row.traffic(*syns(row, 1, lost_at="r1"))
    assert sentences([on_the_way], traffic)[0].endswith("(paused).")
    assert sentences([elsewhere], traffic)[0].endswith("as in a partition.")


def test_only_a_link_on_the_way_is_named(row):
    traffic = row.traffic(*syns(row, 1, lost_at="r2"))
    (cut,) = sentences([LinkChanged(0.5, "r2", CUT)], traffic)
    assert cut.endswith("(link: both ways: cut).")
    (named,) = sentences([LinkChanged(0.5, "r2", CUT, link="middle–right (r2)")], traffic)
    assert named.endswith("(middle–right (r2) link: both ways: cut).")
    for other in (LinkChanged(0.5, "r3", CUT), LinkChanged(0.5, "r2", CUT, link="right–side")):
        assert sentences([other], traffic)[0].endswith("as in a partition.")


@pytest.mark.parametrize(
    ("sets", "named"), [("alice | bob", True), ("alice, carol → bob", True), ("alice, bob | carol", False)]
)
def test_only_a_partition_between_the_two_hosts_is_named(row, sets, named):
    """The event is that of the first of the routers which carry it out."""
    traffic = row.traffic(*syns(row, 1, lost_at="r2"))
    (sentence,) = sentences([FaultChanged(0.5, "r3", f"partition: {sets}", "begin")], traffic)
    assert sentence.endswith(f"(partition: {sets})." if named else "as in a partition.")


def test_a_port_that_the_translating_router_doesn_t_forward(home):
    bob, outside = home.address("bob"), home.address("edge", "net")
    syn = home.send(1.0, tcp(bob, 5000, outside, 81, "S", seq=10))
    reset = home.send(1.1, tcp(outside, 81, bob, 5000, "RA", ack=11))
    (sentence,) = sentences([], home.traffic(syn, reset))
    assert sentence == (
        "bob was refused by edge: its SYN to port 81 was answered with RST, because edge forwards port 8080 "
        "but not this one, and no program on it listens there."
    )


def test_a_udp_port_that_the_translating_router_doesn_t_forward(home):
    bob, outside = home.address("bob"), home.address("edge", "net")
    data = udp(bob, 5000, outside, 54)
    (sentence,) = sentences([], home.traffic(home.send(1.0, data), home.send(1.1, error(outside, data))))
    assert "came back: edge forwards port 53 but not this one" in sentence


def test_a_host_behind_the_translation_can_t_be_reached_by_its_address(home):
    bob, web = home.address("bob"), home.address("web")
    home.default("bob", home.address("edge", "net"))
    syn = tcp(bob, 5000, web, 80, "S", seq=10)
    answer = home.send(1.1, error(home.address("edge", "net"), syn, 3, 0))
    (sentence,) = sentences([], home.traffic(home.send(1.0, syn, lost_at="edge"), answer))
    assert (
        "edge answered “network unreachable”: web is behind the address translation of edge, so" in sentence
    )


def test_a_forwarded_port_on_which_the_server_listens_only_locally(home):
    bob, outside, web = home.address("bob"), home.address("edge", "net"), home.address("web")
    translations = {"edge": rewrite(destination=web, dport=80)}
    syn = home.send(1.0, tcp(bob, 5000, outside, 8080, "S", seq=10), translations=translations)
    back = {"edge": rewrite(source=outside, sport=8080)}
    reset = home.send(1.1, tcp(web, 80, bob, 5000, "RA", ack=11), translations=back)
    local = (Endpoint("127.0.0.1", 80), Endpoint("*", 0))
    listener = SocketChanged(0.5, "web", 1, "tcp", 4, *local, "LISTEN", "", 0, 5)
    (sentence,) = sentences([listener], home.traffic(syn, reset))
    assert sentence.startswith("bob was refused by web")
    assert "listens on 127.0.0.1:80 only" in sentence


def test_a_router_that_lost_its_translation_resets_the_connection(home):
    alice, bob, outside = home.address("alice"), home.address("bob"), home.address("edge", "net")
    out, back = {"edge": rewrite(source=outside)}, {"edge": rewrite(destination=alice)}
    traffic = home.traffic(
        home.send(1.0, tcp(alice, 5000, bob, 80, "S", seq=10), translations=out),
        home.send(1.1, tcp(bob, 80, outside, 5000, "SA", seq=70, ack=11), translations=back),
        home.send(1.2, tcp(alice, 5000, bob, 80, "A", seq=11, ack=71), translations=out),
        home.send(5.0, tcp(outside, 5000, bob, 80, "R", seq=11)),
    )
    (sentence,) = sentences([], traffic)
    assert sentence == (
        "edge reset the connection from alice to bob:80: it has no translation for the connection, or none "
        "any more."
    )


def dual_stack(net, wait):
    """The client tries IPv6, which r2 loses, and then IPv4."""
    (a6, b6), (a4, b4) = ends(net, 6), ends(net)
    lost = [net.send(1.0 + n, tcp(a6, 5000, b6, 80, "S", seq=10), lost_at="r2") for n in range(2)]
    at = 1.0 + wait
    answer = net.send(at + 0.3, tcp(b4, 80, a4, 5000, "PA", seq=71, ack=11, payload=b"welcome"))
    return [*lost, *handshake(net, a4, b4, at), answer]


def test_a_client_that_waited_for_the_broken_family(row):
    (sentence,) = sentences([], row.traffic(*dual_stack(row, 3.0)))
    assert sentence == (
        "alice tried bob:80 over IPv6 first and sent 2 SYNs without an answer (lost at r2); only 3 s later "
        "it connected over IPv4."
    )


def test_a_client_that_changes_the_family_at_once_is_no_cause(row):
    assert sentences([], row.traffic(*dual_stack(row, 0.1))) == ()


def large(net, lost_at="r2", sizes=(1400, 1400, 1400)):
    alice, bob = ends(net)
    ports = alice, 5000, bob, 80
    data = [
        net.send(2.0 + n, tcp(*ports, "A", seq=16, ack=71, payload=b"x" * s, ident=n), lost_at=lost_at)
        for n, s in enumerate(sizes)
    ]
    small = net.send(1.5, tcp(alice, 5000, bob, 80, "PA", seq=11, ack=71, payload=b"hello"))
    return [*handshake(net, alice, bob), small, *data]


def too_big(net, **options):
    alice, bob = ends(net)
    about = tcp(alice, 5000, bob, 80, "A", seq=16, ack=71, payload=b"x" * 1400, ident=0, ttl=63)
    return net.send(2.1, error(net.address("r2", "middle"), about, 3, 4), **options)


def test_large_packets_that_a_router_loses(row):
    (sentence,) = sentences([], row.traffic(*large(row)))
    assert sentence.startswith(
        "r2 forwarded the packets of alice up to 59 bytes and lost the larger ones (3, of"
    )
    assert sentence.endswith(
        "at least 1454 bytes): the MTU of the next segment is smaller, and no ICMP error reported this to "
        "the sender."
    )


def test_the_icmp_error_about_a_large_packet_may_be_lost(row):
    (sentence,) = sentences([], row.traffic(*large(row), too_big(row, lost_at="r1")))
    assert sentence.endswith("but the ICMP error that reports this was lost at r1.")


def test_path_mtu_discovery_that_works_is_no_cause(row):
    alice, bob = ends(row)
    pieces = [
        row.send(4.0 + n, tcp(alice, 5000, bob, 80, "A", seq=16 + 700 * n, ack=71, payload=b"x" * 700))
        for n in range(2)
    ]
    end = row.send(5.0, tcp(bob, 80, alice, 5000, "PA", seq=71, ack=1416, payload=b"done"))
    assert sentences([], row.traffic(*large(row), too_big(row), *pieces, end)) == ()


def failing(node, command, line):
    return [
        ProgramStarted(1.0, node, 1, command),
        Output(1.5, node, 1, "stderr", line),
        ProgramExited(2.0, node, 1, 1),
    ]


def test_a_refusal_by_a_neighbour_isn_t_taken_for_one_by_the_host_itself(home):
    """Both are on one segment: no router captures the packets between them."""
    refused = "ConnectionRefusedError: [Errno 111] Connection refused"
    assert sentences(failing("alice", "connect", refused), home.traffic()) == ()
    (sentence,) = sentences(failing("bob", "connect", refused), home.traffic())
    assert "bob was refused and no packet left it" in sentence


def test_a_neighbour_that_refuses_is_named_if_the_hosts_capture():
    net = Network(HOME, hosts=("alice", "web"))
    alice, web = net.address("alice"), net.address("web")
    syn = net.send(1.2, tcp(alice, 5000, web, 80, "S", seq=10))
    reset = net.send(1.3, tcp(web, 80, alice, 5000, "RA", ack=11))
    refused = "ConnectionRefusedError: [Errno 111] Connection refused"
    (sentence,) = sentences(failing("alice", "connect", refused), net.traffic(syn, reset))
    assert sentence.startswith("alice was refused by web: its SYN to port 80")


def test_a_packet_that_never_reached_the_neighbour():
    net = Network(HOME, hosts=("alice", "web"))
    alice, web = net.address("alice"), net.address("web")
    syn = net.send(1.2, tcp(alice, 5000, web, 80, "S", seq=10), lost_on="office")
    assert sentences([], net.traffic(syn)) == (
        "alice sent 1 SYN to web:80: it never reached web on the segment office.",
    )


@pytest.mark.parametrize(("requests", "named"), [(3, True), (1, False)])
def test_a_neighbour_that_doesn_t_answer_arp(home, requests, named):
    alice, web = home.address("alice"), home.address("web")
    frame = dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\xff" * 6, type=dpkt.ethernet.ETH_TYPE_ARP)
    frame.data = dpkt.arp.ARP(spa=socket.inet_aton(alice), tpa=socket.inet_aton(web))
    asked = [home.decode(1.1 + n / 10, frame, "office") for n in range(requests)]
    events = failing("alice", "connect", "OSError: No route to host")
    off = FaultChanged(0.5, "web", "power cut", "begin")
    (sentence,) = sentences([*events, off], home.traffic(asked))
    assert named == (
        sentence
        == "alice got no answer to ARP from web on its own segment (No route to host): its power is off."
    )


def test_a_connection_to_a_forwarded_port_isn_t_one_to_the_wrong_host(home):
    bob, outside, web = home.address("bob"), home.address("edge", "net"), home.address("web")
    forwarded = {"edge": rewrite(destination=web, dport=80)}
    syn = home.send(1.2, tcp(bob, 5000, outside, 8080, "S", seq=10), translations=forwarded)
    (sentence,) = sentences(failing("bob", "fetch edge:8080", "timed out"), home.traffic(syn))
    assert "names" not in sentence
    assert "bob sent 1 SYN to web:8080" in sentence
