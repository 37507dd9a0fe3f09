"""The decision on a packet depends only on the seed and on the packet's position in its conversation."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link import PROBE_PORT, impairment_model
from lab.link.impairment_model import DropRule, ImpairmentModel, flip_bit, parse
from lab.link.settings import Drop, Impairment

MUCH = Impairment(delay=0.1, jitter=0.05, loss=0.3, duplication=0.3, reordering=0.3, corruption=0.3)
A, B = socket.inet_aton("192.168.40.129"), socket.inet_aton("172.28.66.163")


def ipv4(protocol, body, source=A, target=B, fragment=0):
    return (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 63, protocol, 0)
        + source
        + target
        + body
    )


def ipv6(protocol, body):
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 63) + bytes(32) + body


def tcp(source, target, flags, payload=b""):
    return struct.pack("!HHIIBBHHH", source, target, 1, 2, 0x50, flags, 0, 0, 0) + payload


def udp(source, target, payload=b""):
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def flow(source=40000, target=8001, protocol=6, version=4, addresses=A + B):
    return version, protocol, addresses, source, target


def draw(seed="1", direction="to-dmz", packets=None, asked=MUCH):
    model = ImpairmentModel(asked, seed, direction)
    return [model.next(packet) for packet in packets or [flow()] * 200]


def test_the_same_seed_and_packets_get_the_same_decisions():
    assert draw() == draw()


def test_another_seed_or_direction_gets_other_decisions():
    assert draw() != draw(seed="2")
    assert draw() != draw(direction="to-office")


def test_a_clients_ephemeral_port_and_the_addresses_do_not_affect_decisions():
    other = flow(source=51234, addresses=B + A)
    assert draw(packets=(other,) * 200) == draw()


def test_other_traffic_does_not_affect_decisions():
    stranger = flow(source=5000, target=9090, protocol=17)
    mixed = draw(packets=(stranger, flow(), stranger) * 200)
    assert mixed[1::3] == draw()


def test_each_conversation_gets_its_own_decisions():
    first, second = flow(source=40000), flow(source=40001)
    mixed = draw(packets=(first, second) * 200)
    assert mixed[0::2] == draw()
    assert mixed[1::2] != mixed[0::2]


def test_changing_one_setting_does_not_change_other_decisions():
    alone = [decision.lost for decision in draw(asked=Impairment(loss=0.3))]
    assert alone == [decision.lost for decision in draw()]


def test_shares_are_as_requested():
    many = draw(packets=(flow(),) * 100_000)
    for share in (
        sum(f.lost for f in many),
        sum(f.duplicated for f in many),
        sum(f.corrupted_at is not None for f in many),
        sum(f.early for f in many),
    ):
        assert 0.29 < share / 100_000 < 0.31  # seven standard deviations; the seed is fixed
    late = [f.delay for f in many if not f.early]
    assert min(late) >= 0.05
    assert max(late) <= 0.15
    assert 0.099 < sum(late) / len(late) < 0.101
    assert {f.delay for f in many if f.early} == {0.0}


def test_without_settings_nothing_happens():
    assert set(draw(asked=Impairment())) == {(False, False, None, 0.0, False)}


def test_a_loss_of_100_percent_loses_every_packet():
    assert all(decision.lost for decision in draw(asked=Impairment(loss=1)))


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(impairment_model, "MAX_FLOWS", 10)
    model = ImpairmentModel(MUCH, "1", "to-dmz")
    for port in range(1000):
        model.next(flow(source=port))
    assert len(model._flows) == 10


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ipv4(6, tcp(40000, 8001, 0x02)), (4, 6, A + B, 40000, 8001, 2, 40)),
        (ipv4(17, udp(3000, 2000, b"hi")), (4, 17, A + B, 3000, 2000, 0, 28)),
        (ipv4(17, b"x" * 16, fragment=100), (4, 17, A + B, 0, 0, 0, 20)),
        (ipv4(1, bytes(8)), (4, 1, A + B, 0, 0, 0, 20)),
        (ipv6(6, tcp(1, 2, 0x12)), (6, 6, bytes(32), 1, 2, 18, 60)),
        (ipv6(60, bytes([17, 0]) + bytes(6) + udp(1, 2)), (6, 17, bytes(32), 1, 2, 0, 56)),
        (ipv6(44, bytes([17, 0, 0, 0]) + bytes(4) + udp(1, 2)), (6, 17, bytes(32), 1, 2, 0, 56)),
        (ipv6(44, bytes([17, 0, 0, 8]) + bytes(12)), (6, 17, bytes(32), 0, 0, 0, 48)),
        (b"", (0, 0, b"", 0, 0, 0, 0)),
        (b"\x45", (4, 0, b"", 0, 0, 0, 1)),
    ],
)
def test_packet_headers_are_parsed(packet, expected):
    assert parse(packet) == expected


@given(st.binary(max_size=200))
def test_the_parser_accepts_any_bytes(packet):
    parse(packet)
    assert len(flip_bit(packet, 0.5)) == len(packet)


@given(st.floats(0, 1, exclude_max=True), st.sampled_from([b"", b"x", b"payload" * 100]))
def test_exactly_one_bit_is_flipped_after_the_ip_header(position, payload):
    for packet, header in ((ipv4(17, udp(1, 2, payload)), 28), (ipv6(17, udp(1, 2, payload)), 48)):
        changed = flip_bit(packet, position)
        different = [i for i in range(len(packet)) if packet[i] != changed[i]]
        assert len(different) == 1
        assert different[0] >= (header if payload else header - 8)
        assert (packet[different[0]] ^ changed[different[0]]).bit_count() == 1


def dropped(drop, *packets, direction="to-dmz"):
    rule = DropRule(drop)
    return [rule.drops(parse(packet), direction) for packet in packets], rule.counters


SYN, SYN_ACK, DATA = (ipv4(6, tcp(40000, 8001, flags)) for flags in (0x02, 0x12, 0x18))
DATAGRAM = ipv4(17, udp(3000, 8001))


def test_the_nth_match_is_dropped_once():
    drop = Drop((2,), flags="SYN")
    assert dropped(drop, SYN, DATA, SYN_ACK, SYN, SYN) == ([False, False, False, True, False], [3, 1])


def test_several_packets_can_be_dropped():
    assert dropped(Drop((1, 3)), *[DATA] * 4)[0] == [True, False, True, False]


def test_additional_flags_are_ignored_unless_they_open_or_close_a_connection():
    ece = ipv4(6, tcp(40000, 8001, 0xC2))
    assert dropped(Drop((1,), flags="SYN"), ece)[0] == [True]
    assert dropped(Drop((1,), flags="ACK"), DATA)[0] == [True]
    assert dropped(Drop((1,), flags="PSH+ACK"), ipv4(6, tcp(1, 2, 0x10)), DATA)[0] == [False, True]


def test_a_drop_matches_by_protocol_port_and_direction():
    assert dropped(Drop((1,), protocol="udp"), SYN, DATAGRAM)[0] == [False, True]
    assert dropped(Drop((1,), port=3000), SYN, DATAGRAM)[0] == [False, True]
    assert dropped(Drop((1,), direction="to-office"), SYN)[0] == [False]


def test_a_drop_does_not_count_the_labs_probes():
    assert dropped(Drop((1,)), ipv4(17, udp(PROBE_PORT, PROBE_PORT)), DATA)[0] == [False, True]
