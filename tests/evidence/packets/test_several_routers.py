"""Packets are followed across several routers; the place in which each was lost is named."""

import random
import time

import dpkt
import pytest

from tests.evidence.packets.synthetic import Network, echo, error, ip, tcp, topology, udp

ROW = topology({"alice": ["left"], "bob": ["right"]}, {"r1": ["left", "middle"], "r2": ["middle", "right"]})
LONG_ROW = topology({"alice": ["a"], "bob": ["d"]}, {"r1": ["a", "b"], "r2": ["b", "c"], "r3": ["c", "d"]})
STAR = topology({f"h{n}": [f"s{n}"] for n in range(1, 6)}, {"hub": [f"s{n}" for n in range(1, 6)]})
SQUARE = topology(
    {"alice": ["left"], "bob": ["right"], "carol": ["left"]},
    {"r1": ["left", "right"], "r2": ["left", "right"]},
)


@pytest.fixture(params=[True, False], ids=["ethernet", "routes"])
def network(request):
    """A network of a plan, with and without the Ethernet addresses of the captures."""
    return lambda planned: Network(planned, ethernet=request.param)


def names(transit):
    return [packet.segment for packet in transit.sightings]


def places(traffic):
    return [(t.fate, t.lost_at, t.lost_on) for t in traffic.transits]


def between(net, source, destination, version=4):
    return net.address(source, version=version), net.address(destination, version=version)


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_is_captured_on_each_segment_of_its_path(network, version):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob", version)
    (transit,) = net.traffic(net.send(1.0, udp(alice, 5000, bob, 9090))).transits
    assert names(transit) == ["a", "b", "b@r2", "c", "c@r3", "d"]
    assert (transit.fate, transit.arrived.segment, transit.translated) == ("crossed", "d", False)
    assert transit.delay == pytest.approx(0.003, abs=0.0005)


def test_an_answer_takes_the_same_path_back(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    (transit,) = net.traffic(net.send(1.0, udp(bob, 9090, alice, 5000))).transits
    assert names(transit) == ["d", "c@r3", "c", "b@r2", "b", "a"]


@pytest.mark.parametrize("router", ["r1", "r2", "r3"])
def test_the_router_that_lost_a_packet_is_named(network, router):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    traffic = net.traffic(net.send(1.0, udp(alice, 5000, bob, 9090), lost_at=router))
    assert places(traffic) == [("lost", router, "")]
    assert traffic.transits[0].arrived is None
    assert traffic.datagrams()[0].lost_at == router


@pytest.mark.parametrize("segment", ["b", "c"])
def test_a_packet_that_was_lost_between_two_routers(network, segment):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    traffic = net.traffic(net.send(1.0, udp(alice, 5000, bob, 9090), lost_on=segment))
    assert places(traffic) == [("lost", "", segment)]


def test_on_the_last_segment_there_is_no_capture_that_could_miss_it(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    assert places(net.traffic(net.send(1.0, udp(alice, 5000, bob, 9090), lost_on="d"))) == [
        ("crossed", "", "")
    ]


def test_a_packet_that_no_sender_sent_appeared(network):
    net = network(ROW)
    alice, bob = between(net, "alice", "bob")
    seen = net.send(1.0, udp(alice, 5000, bob, 9090))
    (transit,) = net.traffic(seen[2:]).transits
    assert (transit.fate, names(transit)) == ("appeared", ["middle@r2", "right"])
    (transit,) = net.traffic(seen[1:]).transits
    assert (transit.fate, names(transit)) == ("appeared", ["middle", "middle@r2", "right"])


def test_a_retransmission_takes_the_place_of_the_packet_that_the_second_router_lost(network):
    net = network(ROW)
    alice, bob = between(net, "alice", "bob")
    data = {"seq": 100, "ack": 1, "payload": b"hello"}
    first = net.send(1.0, tcp(alice, 5000, bob, 80, "PA", ident=1, **data), lost_at="r2")
    again = net.send(1.2, tcp(alice, 5000, bob, 80, "PA", ident=2, **data))
    lost, crossed = net.traffic(first, again).transits
    assert (lost.fate, lost.lost_at, lost.missing, len(lost.sightings)) == ("lost", "r2", 5, 3)
    assert (crossed.fate, crossed.mark, len(crossed.sightings)) == ("crossed", "retransmission", 4)


def test_a_copy_made_by_the_second_router_is_a_duplicate_from_there(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    seen = net.send(1.0, udp(alice, 5000, bob, 9090, ident=1))
    copy = net.send(1.005, udp(alice, 5000, bob, 9090, ident=1))[3:]
    one, two = net.traffic(seen, copy).transits
    assert (one.fate, one.mark, two.fate, two.mark) == ("crossed", "", "crossed", "duplicate")
    assert one.sightings[:3] == two.sightings[:3]
    assert names(two) == ["a", "b", "b@r2", "c", "c@r3", "d"]
    (datagram,) = net.traffic(seen, copy).datagrams()
    assert (datagram.copies, datagram.lost) == (1, False)


def test_a_copy_that_a_later_router_loses_is_no_copy_at_the_receiver(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    seen = net.send(1.0, udp(alice, 5000, bob, 9090, ident=1))
    copy = net.send(1.005, udp(alice, 5000, bob, 9090, ident=1), lost_at="r3")[1:]
    (datagram,) = net.traffic(seen, copy).datagrams()
    assert (datagram.copies, datagram.lost) == (0, False)


def test_a_packet_that_the_second_router_changed_is_corrupted(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")

    def corrupt(data):
        data.data.data = b"hellp"

    seen = net.send(1.0, udp(alice, 5000, bob, 9090, ident=1), translations={"r2": corrupt})
    (transit,) = net.traffic(seen).transits
    assert (transit.fate, transit.mark, transit.sightings[-1].payload) == ("crossed", "corrupted", b"hellp")
    assert not transit.translated


def test_a_large_packet_is_followed_in_pieces(network):
    net = network(ROW)
    alice, bob = between(net, "alice", "bob")
    whole = net.send(1.0, tcp(alice, 5000, bob, 80, "PA", seq=1000, payload=b"x" * 3000, ident=1))[:1]
    piece = {"payload": b"x" * 1000}
    parts = [
        net.send(1.0 + n / 1e6, tcp(alice, 5000, bob, 80, "A", seq=1000 + n, ident=2 + n, **piece))[1:]
        for n in (0, 1000, 2000)
    ]
    (transit,) = net.traffic(whole, *parts).transits
    assert (transit.fate, transit.missing, len(transit.sightings)) == ("crossed", 0, 4)
    assert transit.arrived.seq == 3000
    parts[1] = parts[1][:-1]  # the second router loses a piece
    (transit,) = net.traffic(whole, *parts).transits
    assert (transit.fate, transit.missing, transit.lost_at) == ("lost", 1000, "r2")


@pytest.mark.parametrize("version", [4, 6])
def test_an_icmp_error_of_a_router_in_the_middle(network, version):
    """Traceroute: the time to live ends at the second router, which the first one has to pass back."""
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob", version)
    probe = udp(alice, 5000, bob, 33434, ttl=2)
    seen = net.send(1.0, probe, lost_at="r2")
    if version == 4:
        reply = error(net.address("r2", "b"), probe, kind=11, code=0)
    else:
        body = dpkt.icmp6.ICMP6(type=3, code=0, data=dpkt.icmp6.ICMP6.TimeExceed(data=probe))
        reply = ip(net.address("r2", "b", 6), alice, body)
    back = net.send(1.01, reply)
    lost, answer = net.traffic(seen, back).transits
    assert (lost.fate, lost.lost_at) == ("lost", "r2")
    assert (answer.fate, names(answer)) == ("crossed", ["b@r2", "b", "a"])
    assert answer.sent.label in ("ICMP time to live exceeded", "ICMP hop limit exceeded")
    (datagram,) = net.traffic(seen, back).datagrams()
    assert datagram.unreachable_from == "r2"


def test_an_error_of_the_first_router_stays_on_its_segment(network):
    net = network(ROW)
    alice, bob = between(net, "alice", "bob")
    probe = udp(alice, 5000, bob, 33434, ttl=1)
    back = net.send(1.01, error(net.address("r1", "left"), probe, kind=11, code=0))
    lost, answer = net.traffic(net.send(1.0, probe, lost_at="r1"), back).transits
    assert (lost.fate, lost.lost_at) == ("lost", "r1")
    assert (answer.fate, names(answer)) == ("stayed", ["left"])


def test_fragmentation_needed_in_the_middle(network):
    net = network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    large = tcp(alice, 5000, bob, 80, "A", seq=1, payload=b"x" * 1400, ident=5)
    answer = error(net.address("r2", "b"), large, kind=3, code=4)
    lost, told = net.traffic(net.send(1.0, large, lost_at="r2"), net.send(1.01, answer)).transits
    assert (lost.fate, lost.lost_at, lost.missing) == ("lost", "r2", 1400)
    assert (told.fate, told.sent.label) == ("crossed", "ICMP fragmentation needed")


def test_packets_to_and_from_a_router_beyond_another_one(network):
    net = network(ROW)
    alice, router = net.address("alice"), net.address("r2", "middle")
    asked, answered = net.traffic(
        net.send(1.0, echo(alice, router)), net.send(1.1, echo(router, alice, reply=True))
    ).transits
    assert (asked.fate, names(asked)) == ("crossed", ["left", "middle", "middle@r2"])
    assert (answered.fate, names(answered)) == ("crossed", ["middle@r2", "middle", "left"])


def test_a_packet_from_one_router_to_the_next_stays(network):
    net = network(ROW)
    one, two = net.address("r1", "middle"), net.address("r2", "middle")
    (transit,) = net.traffic(net.send(1.0, echo(one, two))).transits
    assert (transit.fate, names(transit), transit.arrived) == ("stayed", ["middle", "middle@r2"], None)
    assert places(net.traffic(net.send(1.0, echo(one, two), lost_on="middle"))) == [("lost", "", "middle")]


@pytest.mark.parametrize(
    ("destination", "protocol"), [("224.0.0.251", "udp"), ("255.255.255.255", "udp"), ("", "arp")]
)
def test_a_packet_captured_by_all_routers_of_a_segment_is_one_packet(network, destination, protocol):
    net = network(ROW)
    sender, own = net.address("r1", "middle"), net.cards["r1", "middle"]
    if protocol == "arp":
        arp = {"spa": bytes([10, 0, 0, 1]), "tpa": bytes([10, 0, 0, 9])}
        frame = dpkt.ethernet.Ethernet(type=0x0806, dst=b"\xff" * 6, data=dpkt.arp.ARP(**arp))
    else:
        data = udp(sender, 5353, destination, 5353)
        frame = dpkt.ethernet.Ethernet(dst=b"\x01\0\x5e\0\0\xfb", data=bytes(data))
    frame.src = bytes.fromhex(own.replace(":", ""))
    seen = [net.decode(1.0 + n / 1e5, frame, name) for n, name in enumerate(("middle", "middle@r2"))]
    (transit,) = net.traffic(seen).transits
    assert (transit.fate, names(transit)) == ("stayed", ["middle", "middle@r2"])


def test_two_routers_beside_each_other_see_only_their_own_packets(network):
    """alice sends to bob over r1, and bob answers over r2."""
    net = network(SQUARE)
    alice, bob = between(net, "alice", "bob")
    there = net.send(1.0, udp(alice, 5000, bob, 9090, ident=1))
    net.default("bob", net.address("r2", "right"))
    back = net.send(1.1, udp(bob, 9090, alice, 5000, ident=2))
    one, two = net.traffic(there, back).transits
    assert (one.fate, names(one)) == ("crossed", ["left", "right"])
    assert (two.fate, names(two)) == ("crossed", ["right@r2", "left@r2"])


@pytest.mark.parametrize("receiver", ["r1", "carol"])
def test_a_frame_that_a_bridge_sends_to_all_is_no_packet_of_a_router_that_overhears_it(receiver):
    """A bridge that hasn't learned an address yet sends a frame to each port."""
    net = Network(SQUARE)
    alice, bob = between(net, "alice", "bob")
    data = udp(alice, 5000, bob, 9090, ident=1)
    seen = net.send(1.0, data)
    frame = dpkt.ethernet.Ethernet(
        src=bytes.fromhex(net.cards["alice", "left"].replace(":", "")),
        dst=bytes.fromhex(net.cards[receiver, "left"].replace(":", "")),
        data=bytes(data),
    )
    traffic = net.traffic(seen, net.decode(1.00003, frame, "left@r2"))
    assert [t.fate for t in traffic.transits] == ["crossed"]
    assert len(traffic.seen("left@r2")) == 1


def test_the_star_sends_each_packet_to_one_of_five(network):
    net = network(STAR)
    packets = []
    for n in range(1, 6):
        for m in range(1, 6):
            if n != m:
                data = udp(net.address(f"h{n}"), 5000, net.address(f"h{m}"), 9090)
                lost_at = "hub" if {n, m} == {1, 2} else ""
                packets.append(net.send(1.0 + n + m / 10, data, lost_at=lost_at))
    traffic = net.traffic(*packets)
    for transit in traffic.transits:
        ends = {traffic.names[transit.sent.source], traffic.names[transit.sent.destination]}
        assert transit.fate == ("lost" if ends == {"h1", "h2"} else "crossed")
        assert names(transit)[0] == "s" + traffic.names[transit.sent.source][1]
    assert len(traffic.transits) == 20


def test_a_host_that_sends_on_the_other_of_its_segments():
    """The host has an address on "left", but its packets leave on "right"."""
    planned = topology(
        {"both": ["left", "right"], "bob": ["far"]}, {"r1": ["left", "far"], "r2": ["right", "far"]}
    )
    for ethernet in (True, False):
        net = Network(planned, ethernet=ethernet)
        data = udp(net.address("both", "left"), 5000, net.address("bob"), 9090)
        (transit,) = net.traffic(net.send(1.0, data, first="right")).transits
        assert (transit.fate, names(transit)) == ("crossed", ["right", "far@r2"])


@pytest.mark.parametrize("ethernet", [True, False])
def test_packets_between_neighbours_are_captured_at_both_ends(ethernet):
    """alice and carol are on one segment; the packets to bob cross a router that captures them."""
    net = Network(SQUARE, ethernet=ethernet, hosts=("alice", "carol"))
    alice, carol, bob = map(net.address, ("alice", "carol", "bob"))
    near = net.send(1.0, udp(alice, 5000, carol, 53, ident=1))
    lost = net.send(2.0, udp(carol, 5000, alice, 53, ident=2), lost_on="left")
    far = net.send(3.0, udp(alice, 5000, bob, 53, ident=3))
    one, two, three = net.traffic(near, lost, far).transits
    assert (one.fate, names(one), one.arrived.segment) == (
        "crossed",
        ["left@alice", "left@carol"],
        "left@carol",
    )
    assert (two.fate, names(two), two.lost_on, two.lost_at) == ("lost", ["left@carol"], "left", "")
    assert (three.fate, names(three)) == ("crossed", ["left", "right"])


def test_a_routing_loop_ends_in_a_loss():
    net = Network(ROW)
    alice, router = net.address("alice"), net.address("r1", "middle")
    net.default("r2", router)
    net.default("r1", net.address("r2", "middle"))
    seen = net.send(1.0, udp(alice, 5000, "10.99.99.99", 9090, ttl=9), limit=8)
    (transit,) = net.traffic(seen).transits
    assert (transit.fate, len(transit.sightings)) == ("lost", len(seen))
    assert [p.ttl for p in transit.sightings] == sorted((p.ttl for p in seen), reverse=True)


def test_a_gap_of_one_capture_leaves_the_packets_of_that_time_unknown(network):
    net = network(ROW)
    alice, bob = between(net, "alice", "bob")
    sent = [net.send(n * 0.01, udp(alice, 5000, bob, 9090, b"%d" % n, ident=n + 1)) for n in range(300)]
    kept = [[p for p in way if not (p.segment == "middle" and 100 <= n < 200)] for n, way in enumerate(sent)]
    kept[20] = kept[20][:3]
    traffic = net.traffic(*kept)
    traffic.captures["middle"].gap = (0.991, 2.001)
    lost = [t.sent.ident - 1 for t in traffic.transits if t.fate == "lost"]
    assert lost == [20]
    unknown = {t.sent.ident - 1 for t in traffic.transits if t.fate == "unknown"}
    assert unknown == set(range(100, 200))


@pytest.mark.parametrize("seed", range(6))
def test_each_loss_is_found_in_its_place(network, seed):
    """Routers that lose, delay and reorder; the captures alone show where."""
    chance, net = random.Random(seed), network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    packets, expected = [], {}
    for n in range(200):
        ends = (alice, 5000, bob, 9090) if chance.random() < 0.5 else (bob, 9090, alice, 5000)
        where = chance.choice(["", "", "", "r1", "r2", "r3", "b", "c"])
        place = {"lost_at": where} if where.startswith("r") else {"lost_on": where}
        at = n * 0.001 + chance.uniform(0, 0.05)
        packets.append(net.send(at, udp(*ends, b"%d" % n, ident=n + 1), **place))
        expected[n + 1] = where
    found = {t.sent.ident: t.lost_at or t.lost_on for t in net.traffic(*packets).transits}
    assert found == expected


def test_twenty_thousand_packets_over_three_routers_in_seconds():
    net = Network(LONG_ROW)
    alice, bob = between(net, "alice", "bob")
    one = net.send(0.0, udp(alice, 5000, bob, 9090, b"x" * 20, ident=1))
    flat = [net.moved(p, n * 1e-4, ident=n % 65_536) for n in range(20_000) for p in one]
    traffic = net.traffic(flat)
    started = time.process_time()
    assert {t.fate for t in traffic.transits} == {"crossed"}
    assert time.process_time() - started < 6


def test_equal_packets_are_followed_as_fast():
    net, count = Network(ROW), 20_000
    alice, bob = between(net, "alice", "bob")
    one = net.send(0.0, udp(alice, 5000, bob, 9090))
    flat = [net.moved(p, n * 1e-4) for n in range(count) for p in one[: 1 if n % 4 == 0 else 4]]
    traffic = net.traffic(flat)
    started = time.process_time()
    fates = [t.fate for t in traffic.transits]
    assert (fates.count("lost"), fates.count("crossed")) == (count // 4, count * 3 // 4)
    assert time.process_time() - started < 6


def test_without_a_topology_the_captures_describe_the_routers():
    """An old record has no nodes: one router joins the segments that were captured."""
    net = Network(STAR, ethernet=False)
    data = udp(net.address("h1"), 5000, net.address("h3"), 9090)
    (transit,) = net.traffic(net.send(1.0, data), topology=False).transits
    assert (transit.fate, names(transit)) == ("crossed", ["s1", "s3"])
