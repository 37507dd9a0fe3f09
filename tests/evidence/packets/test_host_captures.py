"""Without a router of ours the hosts capture: a packet is seen at its sender and at its receiver."""

from dataclasses import replace

import pytest

from lab.evidence.packets.capture_info import CaptureInfo
from lab.evidence.packets.traffic import Traffic
from tests.evidence.forge import KALI, NAMES, WIN10, tcp, udp

NODES = [
    {
        "name": name,
        "role": "host",
        "names": [name],
        "interfaces": [{"segment": segment, "address": f"{address}/32"}],
    }
    for name, segment, address in (("kali", "clients", KALI), ("win10", "servers", WIN10))
]


def traffic(*packets, clock_error=0.0):
    captures = [
        CaptureInfo(segment, f"{segment}.pcapng", segment, title, clock_error=clock_error)
        for segment, title in (("clients", "kali"), ("servers", "win10"))
    ]
    return Traffic(packets, captures, NAMES, NODES)


def at_both_ends(packet, delay=0.001):
    there = "servers" if packet.segment == "clients" else "clients"
    return packet, replace(packet, at=packet.at + delay, segment=there)


def test_a_packet_that_both_ends_captured_crossed():
    (transit,) = traffic(*at_both_ends(udp(1.0), 0.02)).transits
    assert (transit.fate, transit.sent.segment, transit.arrived.segment) == ("crossed", "clients", "servers")
    assert transit.delay == pytest.approx(0.02)


def test_somebody_else_s_router_between_them_decreases_the_time_to_live():
    sent, arrived = at_both_ends(udp(1.0, ident=7))
    (transit,) = traffic(sent, replace(arrived, ttl=61)).transits
    assert transit.fate == "crossed"


def test_a_packet_that_its_receiver_did_not_capture_was_lost_on_the_way():
    (transit,) = traffic(udp(1.0)).transits
    assert (transit.fate, transit.lost_at, transit.lost_on) == ("lost", "", "clients")


def test_a_packet_that_only_its_receiver_captured_appeared():
    sent, arrived = at_both_ends(udp(1.0))
    assert [t.fate for t in traffic(arrived).transits] == ["appeared"]


@pytest.mark.parametrize("destination", ["255.255.255.255", "224.0.0.251", "192.0.2.77"])
def test_a_packet_to_no_captured_host_is_not_lost(destination):
    assert [t.fate for t in traffic(replace(udp(1.0), destination=destination)).transits] == ["stayed"]


def test_a_connection_is_followed():
    packets = [
        *at_both_ends(tcp(1.0, "S")),
        *at_both_ends(tcp(1.01, "SA", ack=1, back=True)),
        *at_both_ends(tcp(1.02, "A", 1, 1)),
        *at_both_ends(tcp(1.03, "PA", 1, 1, length=5)),
    ]
    (connection,) = traffic(*packets).connections()
    assert (connection.client, connection.server, connection.handshake) == ("kali", "win10", "complete")
    assert (connection.from_client.bytes, connection.from_client.lost) == (5, 0)


@pytest.mark.parametrize(("clock_error", "fates"), [(0.0, {"lost", "appeared"}), (0.004, {"crossed"})])
def test_a_packet_may_seem_to_arrive_too_early_by_the_error_of_both_clocks(clock_error, fates):
    packets = traffic(*at_both_ends(udp(1.0), -0.007), clock_error=clock_error)
    assert {transit.fate for transit in packets.transits} == fates
