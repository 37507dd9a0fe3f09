"""Packets are matched across the router; what didn't come out was lost, and nothing else was."""

import random
from dataclasses import replace

import pytest

from lab.evidence.packets.capture_info import CaptureInfo
from lab.evidence.packets.packet import in_time
from lab.evidence.packets.routes.network import network
from lab.evidence.packets.tracking import match
from tests.evidence.forge import CAPTURES, KALI, ROUTER, WIN10, crossed, past, tcp, traffic, udp

NETWORK = network([], CAPTURES)


def fates(*packets):
    return [transit.fate for transit in traffic(*packets).transits]


def marks(*packets):
    return [transit.mark for transit in traffic(*packets).transits]


def test_a_packet_seen_on_both_segments_crossed():
    (transit,) = traffic(crossed(tcp(1.0, "S"), 0.02)).transits
    assert (transit.fate, transit.sent.segment, transit.arrived.segment) == ("crossed", "clients", "servers")
    assert transit.delay == pytest.approx(0.02)


def test_a_packet_seen_on_the_first_segment_only_was_lost():
    (transit,) = traffic(tcp(1.0, "PA", 1, length=10)).transits
    assert (transit.fate, transit.arrived, transit.missing) == ("lost", None, 10)


def test_a_packet_seen_past_the_router_only_appeared():
    assert fates(past(tcp(1.0, "S"))) == ["appeared"]


@pytest.mark.parametrize(
    ("source", "destination", "segment"),
    [
        (KALI, "192.168.40.7", "clients"),
        (KALI, ROUTER["clients"], "clients"),
        (ROUTER["clients"], KALI, "clients"),
        (KALI, ROUTER["servers"], "clients"),
        (KALI, "255.255.255.255", "clients"),
        (KALI, "192.168.40.255", "clients"),
        (KALI, "224.0.0.251", "clients"),
        ("fe80::1", "ff02::1", "servers"),
    ],
)
def test_a_packet_that_needn_t_cross_isn_t_lost(source, destination, segment):
    packet = replace(udp(1.0), source=source, destination=destination, segment=segment)
    assert fates(packet) == ["stayed"]


def test_a_packet_to_an_unused_address_is_lost():
    assert fates(replace(udp(1.0), destination="10.99.99.99")) == ["lost"]
    assert fates(replace(udp(1.0), destination="172.28.66.9")) == ["lost"]


def test_a_retransmission_isn_t_taken_for_the_packet_that_was_lost():
    lost = tcp(1.0, "PA", 1, length=10, ident=1)
    again = tcp(1.2, "PA", 1, length=10, ident=2)
    first, second = traffic(lost, crossed(again)).transits
    assert (first.fate, first.mark) == ("lost", "")
    assert (second.fate, second.mark, second.delay) == ("crossed", "retransmission", pytest.approx(0.001))


def test_of_identical_syns_the_later_one_left_the_router():
    """Without an IP identification they can't be told apart but by time."""
    other = crossed(tcp(0.5, "S", 9, client=50001), 0.001)
    transits = traffic(other, tcp(1.0, "S"), tcp(2.0, "S"), past(tcp(2.0, "S"))).transits
    assert [p.fate for p in transits] == ["crossed", "lost", "crossed"]
    assert transits[2].mark == "retransmission"


def test_identical_datagrams_are_matched_by_the_usual_delay():
    known = crossed(udp(0.5, b"known"), 0.020)
    burst = [udp(1 + n * 0.005) for n in range(4)]
    transits = traffic(
        known, *burst, past(burst[0], 0.020), past(burst[1], 0.020), past(burst[3], 0.020)
    ).transits
    assert [p.fate for p in transits[1:]] == ["crossed", "crossed", "lost", "crossed"]


def test_many_identical_datagrams_are_counted_correctly_and_fast():
    sent = [udp(1 + n * 1e-4) for n in range(20_000)]
    came = [past(packet, 0.01) for n, packet in enumerate(sent) if n % 4]
    counted = fates(sent, came)
    assert (counted.count("lost"), counted.count("crossed")) == (5_000, 15_000)


def test_a_packet_that_left_the_router_twice_is_a_duplicate():
    packet = udp(1.0, ident=7)
    transits = traffic(crossed(packet), past(packet, 0.003)).transits
    assert [(p.fate, p.mark) for p in transits] == [("crossed", ""), ("crossed", "duplicate")]


def test_a_duplicate_with_another_identification_is_still_a_duplicate():
    packet = udp(1.0, ident=7)
    assert marks(crossed(packet), replace(past(packet, 0.003), ident=99)) == ["", "duplicate"]


def test_a_changed_packet_is_corrupted():
    packet = udp(1.0, b"hello", ident=7)
    assert marks([packet, replace(past(packet), payload=b"hellp")]) == ["corrupted"]


def test_a_large_packet_that_left_the_router_in_pieces_crossed():
    whole = tcp(1.0, "PA", 1000, length=3000, ident=1)
    pieces = [
        past(tcp(1.0, "A", 1000 + n, length=1000, ident=2 + n), 0.01 + n / 1e6) for n in (0, 1000, 2000)
    ]
    (transit,) = traffic(whole, pieces).transits
    assert (transit.fate, transit.missing) == ("crossed", 0)
    assert transit.arrived.seq == 3000


def test_a_large_packet_of_which_a_piece_is_missing_is_lost():
    whole = tcp(1.0, "PA", 1000, length=3000, ident=1)
    pieces = [past(tcp(1.0, "A", 1000 + n, length=1000, ident=2), 0.01) for n in (0, 2000)]
    (transit,) = traffic(whole, pieces).transits
    assert (transit.fate, transit.missing) == ("lost", 1000)


def test_reordering_isn_t_a_retransmission():
    """As a capture sees packets of a busy sender: the later one first."""
    assert marks(
        crossed(tcp(1.0, "A", 1, length=10, ident=1)),
        crossed(tcp(1.1, "A", 21, length=10, ident=3)),
        crossed(tcp(1.2, "A", 11, length=10, ident=2)),
    ) == ["", "", ""]


def test_sequence_numbers_wrap():
    near_the_end = 2**32 - 5
    assert marks(
        crossed(tcp(1.0, "A", near_the_end, length=10, ident=1)),
        crossed(tcp(1.1, "A", near_the_end + 10, length=10, ident=2)),
        crossed(tcp(1.2, "A", near_the_end, length=10, ident=3)),
    ) == ["", "", "retransmission"]


@pytest.mark.parametrize(("length", "payload"), [(0, b""), (1, b"\0")])
def test_a_keepalive_is_a_probe_and_not_a_retransmission(length, payload):
    data = crossed(tcp(1.0, "A", 1, length=10, ident=1))
    asks = crossed(tcp(9.0, "A", 10, length=length, ident=2, payload=payload))
    assert marks(data, asks) == ["", "probe"]


@pytest.mark.parametrize(
    "packet",
    [
        tcp(9.0, "A", 11, ident=2),  # an acknowledgement
        tcp(9.0, "A", 9, ident=2),  # of before the last byte, seen late
        tcp(9.0, "FA", 10, ident=2),
        tcp(9.0, "A", 10, length=2, ident=2, payload=b"\0"),  # cut by the capture
    ],
)
def test_other_packets_are_not_probes(packet):
    assert "probe" not in marks(crossed(tcp(1.0, "A", 1, length=10, ident=1)), crossed(packet))


def test_the_same_ports_again_are_a_new_connection():
    first = crossed(tcp(1.0, "S", 1000)), crossed(tcp(1.1, "PA", 1001, length=10, ident=1))
    second = crossed(tcp(5.0, "S", 500)), crossed(tcp(5.1, "PA", 501, length=10, ident=2))
    assert marks(*first, *second) == ["", "", "", ""]


@pytest.mark.parametrize("seed", range(10))
def test_fates_are_right_whatever_is_lost_or_reordered(seed):
    """A router that loses, delays and reorders: the captures alone must tell what it did."""
    chance = random.Random(seed)
    packets, lost = [], set()
    for n in range(500):
        packet = udp(n * 0.001, bytes(str(n), "ascii"), ident=n + 1, back=chance.random() < 0.5)
        packets.append(packet)
        if chance.random() < 0.2:
            lost.add(n)
        else:
            packets.append(past(packet, chance.uniform(0.001, 0.05)))
    transits = match(in_time(packets), NETWORK)
    assert len(transits) == 500
    assert {p.sent.ident - 1 for p in transits if p.fate == "lost"} == lost


def test_without_networks_no_packet_is_lost():
    assert [
        p.fate
        for p in match([tcp(1.0, "S")], network([], [CaptureInfo("clients", "clients.pcapng", "clients")]))
    ] == ["stayed"]


def test_every_packet_is_in_one_transit():
    transits = traffic(crossed(tcp(1.0, "S")), tcp(2.0, "S"), udp(3.0), crossed(udp(4.0, back=True))).transits
    assert [p.sent.at for p in transits] == [1.0, 2.0, 3.0, 4.0]
    assert WIN10 == transits[3].sent.source


def test_a_packet_that_a_capture_omitted_isn_t_lost():
    """Two captures of a long run never leave out the very same packets."""
    sent = [udp(n * 0.01, ident=n + 1) for n in range(300)]
    came = [past(packet) for n, packet in enumerate(sent) if not 100 <= n < 200 and n != 20]
    transits = match(in_time([*sent, *came]), NETWORK, [(0.991, 2.001)])
    lost = [p.sent.ident - 1 for p in transits if p.fate == "lost"]
    unknown = [p.sent.ident - 1 for p in transits if p.fate == "unknown"]
    assert (lost, unknown) == ([20], list(range(100, 200)))
    assert not any(p.fate == "unknown" for p in match(in_time([*sent, *came]), NETWORK))
