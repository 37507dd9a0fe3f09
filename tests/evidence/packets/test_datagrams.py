"""Datagrams, matched across the router and put together from their fragments."""

from dataclasses import replace

from tests.evidence.forge import KALI, WIN10, crossed, past, traffic, udp


def fragments(at, ident, sizes, **options):
    """A datagram in fragments of these payload sizes."""
    first = replace(udp(at, b"x" * sizes[0], ident=ident, **options), fragment=0, more_fragments=True)
    rest, offset = [], sizes[0] + 8
    for number, size in enumerate(sizes[1:], 2):
        more = number < len(sizes)
        later = replace(first, protocol="ip", sport=0, dport=0, fragment=offset, more_fragments=more)
        rest.append(replace(later, at=at + number * 1e-5, length=size, payload=b"x" * min(size, 200)))
        offset += size
    return [first, *rest]


def test_a_datagram_that_arrived():
    (datagram,) = traffic(crossed(udp(1.0, b"hello", ident=1), 0.02)).datagrams()
    assert (datagram.sender, datagram.receiver, datagram.port) == ("kali", "win10", 9090)
    assert (datagram.lost, datagram.length, datagram.payload) == (False, 5, b"hello")
    assert datagram.arrived_at - datagram.sent_at > 0.019


def test_a_datagram_that_was_lost():
    (datagram,) = traffic(udp(1.0, ident=1)).datagrams()
    assert (datagram.lost, datagram.arrived_at, datagram.fragments_lost) == (True, None, 1)


def test_an_empty_datagram_is_a_datagram():
    (datagram,) = traffic(crossed(udp(1.0, b"", ident=1))).datagrams()
    assert (datagram.length, datagram.lost) == (0, False)


def test_a_duplicate_isn_t_a_second_datagram():
    packet = udp(1.0, ident=1)
    (datagram,) = traffic(crossed(packet), past(packet, 0.01), past(packet, 0.02)).datagrams()
    assert datagram.copies == 2


def test_fragments_are_one_datagram():
    parts = fragments(1.0, 9, [1472, 1480, 100])
    (datagram,) = traffic([packet for part in parts for packet in crossed(part)]).datagrams()
    assert (datagram.fragments, datagram.length, datagram.lost) == (3, 3052, False)
    assert datagram.arrived_at == max(part.at for part in parts) + 0.001


def test_one_lost_fragment_loses_the_datagram():
    first, second, third = fragments(1.0, 9, [1472, 1480, 100])
    (datagram,) = traffic(crossed(first), second, crossed(third)).datagrams()
    assert (datagram.lost, datagram.arrived_at) == (True, None)
    assert (datagram.fragments, datagram.fragments_lost) == (3, 1)


def test_fragments_of_two_datagrams_aren_t_mixed():
    one, two = fragments(1.0, 9, [100, 50]), fragments(1.00001, 10, [100, 60])
    packets = [one[0], two[0], one[1], two[1]]
    assert [d.length for d in traffic([p for q in packets for p in crossed(q)]).datagrams()] == [150, 160]


def unreachable(at, about):
    return replace(
        udp(at, b"", back=True, ident=50), protocol="icmp", sport=0, dport=0, icmp=(3, 3), about=about
    )


def test_port_unreachable_is_noted_with_its_datagram():
    packet = udp(1.0, ident=1, client=50001)
    other = udp(0.9, ident=2, client=50002)
    one, two = traffic(crossed(other), crossed(packet), crossed(unreachable(1.1, packet))).datagrams()
    assert (one.unreachable, two.unreachable, two.unreachable_from) == ("", "ICMP port unreachable", "win10")
    assert (one.port_unreachable, two.port_unreachable) == (False, True)


def test_datagrams_are_selected_by_port():
    everything = traffic(crossed(udp(1.0, ident=1)), crossed(udp(2.0, "中文".encode(), ident=2, port=2000)))
    (datagram,) = everything.datagrams(2000)
    plain = datagram.to_dict()
    assert (plain["payload"], plain["port"], plain["lost"]) == ("中文", 2000, False)
    assert (datagram.source.address, str(datagram.destination)) == (KALI, f"{WIN10}:2000")
    assert everything.plain(2000)["complete"] is True


def test_only_an_unreachable_port_is_a_port_unreachable():
    errors = [("icmp", (3, 3)), ("icmp6", (1, 4)), ("icmp", (3, 1)), ("icmp6", (3, 3)), ("udp", (3, 3))]
    found = [replace(udp(1.0), protocol=name, icmp=icmp).is_port_unreachable for name, icmp in errors]
    assert found == [True, True, False, False, False]
