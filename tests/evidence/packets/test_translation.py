"""Address translation is found from the captures; packets without a certain match stay unknown."""

from dataclasses import replace

import pytest

from lab.evidence.endpoint import Endpoint
from tests.evidence.packets.synthetic import Network, echo, error, rewrite, tcp, topology, udp

HOME = topology(
    {"alice": ["office"], "anna": ["office"], "web": ["office"], "bob": ["net"]},
    {"edge": ["office", "net"]},
    nat={"edge": ["office"]},
    forwards={"edge": [(8080, "web", 80), (53, "web", 5353, "udp")]},
)
TWICE = topology(
    {"alice": ["office"], "bob": ["net"]},
    {"edge": ["office", "street"], "carrier": ["street", "net"]},
    nat={"edge": ["office"], "carrier": ["street"]},
)


@pytest.fixture(params=[True, False], ids=["ethernet", "routes"])
def network(request):
    """A network of a plan, with and without the Ethernet addresses of the captures."""
    return lambda planned: Network(planned, ethernet=request.param)


class Home:
    """The network HOME: alice, anna and web behind edge, and bob outside."""

    def __init__(self, network):
        self.net = network(HOME)
        self.alice, self.anna, self.web, self.bob = map(self.net.address, ("alice", "anna", "web", "bob"))
        self.outside, self.inside = self.net.address("edge", "net"), self.net.address("edge", "office")

    def out(self, at, packet, sport=None, **options):
        """A packet from inside to outside; edge replaces its address, and perhaps its port."""
        changes = {"source": self.outside} | ({"sport": sport} if sport else {})
        return self.net.send(at, packet, translations={"edge": rewrite(**changes)}, **options)

    def back(self, at, packet, host, port, **options):
        """A packet from outside to edge, which passes it on to a host inside."""
        changes = rewrite(destination=host, dport=port)
        return self.net.send(at, packet, translations={"edge": changes}, **options)

    def traffic(self, *packets):
        return self.net.traffic(*packets)


@pytest.fixture
def home(network):
    return Home(network)


def fates(traffic):
    return [transit.fate for transit in traffic.transits]


def test_a_masqueraded_packet_is_one_packet(home):
    (transit,) = home.traffic(home.out(1.0, udp(home.alice, 5000, home.bob, 53))).transits
    assert (transit.fate, transit.translated, transit.delay > 0) == ("crossed", True, True)
    assert [(p.segment, p.source, p.sport) for p in transit.sightings] == [
        ("office", home.alice, 5000),
        ("net", home.outside, 5000),
    ]


def test_both_directions_of_a_connection_and_the_addresses_at_the_server(home):
    a, b, o = home.alice, home.bob, home.outside
    traffic = home.traffic(
        home.out(1.0, tcp(a, 5000, b, 80, "S", seq=10), sport=61000),
        home.back(1.1, tcp(b, 80, o, 61000, "SA", seq=70, ack=11), a, 5000),
        home.out(1.2, tcp(a, 5000, b, 80, "A", seq=11, ack=71), sport=61000),
        home.out(1.3, tcp(a, 5000, b, 80, "PA", seq=11, ack=71, payload=b"hello"), sport=61000),
        home.back(1.4, tcp(b, 80, o, 61000, "PA", seq=71, ack=16, payload=b"olleh!"), a, 5000),
    )
    assert fates(traffic) == ["crossed"] * 5
    assert all(transit.translated for transit in traffic.transits)
    (connection,) = traffic.connections()
    assert (connection.client, connection.server, connection.handshake) == ("alice", "bob", "complete")
    assert (connection.client_address, connection.server_address) == (Endpoint(a, 5000), Endpoint(b, 80))
    assert connection.translated == (Endpoint(o, 61000), Endpoint(b, 80))
    assert (connection.from_client.bytes, connection.from_server.bytes) == (5, 6)
    assert connection.to_dict()["translated"] == [f"{o}:61000", f"{b}:80"]


def test_a_connection_that_is_not_translated_has_no_such_field(home):
    packets = home.net.send(1.0, tcp(home.alice, 5000, home.inside, 22, "S", seq=1))
    (connection,) = home.traffic(packets).connections()
    assert (connection.server, connection.translated) == ("edge", None)
    assert "translated" not in connection.to_dict()


def test_a_forwarded_port_leads_to_the_server_behind_it(home):
    b, o, w = home.bob, home.outside, home.web
    answer = rewrite(source=o, sport=8080)
    traffic = home.traffic(
        home.back(1.0, tcp(b, 5000, o, 8080, "S", seq=10), w, 80),
        home.net.send(1.1, tcp(w, 80, b, 5000, "SA", seq=70, ack=11), translations={"edge": answer}),
        home.back(1.2, tcp(b, 5000, o, 8080, "A", seq=11, ack=71), w, 80),
    )
    assert fates(traffic) == ["crossed"] * 3
    (connection,) = traffic.connections(8080)
    assert traffic.connections(80) == [connection]
    assert (connection.client, connection.server, connection.handshake) == ("bob", "web", "complete")
    assert (connection.server_address, connection.translated[1]) == (Endpoint(o, 8080), Endpoint(w, 80))
    assert (connection.port, connection.server_port) == (8080, 80)


def test_a_forwarded_datagram_reaches_the_host_behind_the_router(home):
    (datagram,) = home.traffic(
        home.back(1.0, udp(home.bob, 5000, home.outside, 53, ident=3), home.web, 5353)
    ).datagrams()
    assert (datagram.sender, datagram.receiver, datagram.port) == ("bob", "web", 53)
    assert datagram.translated[1] == Endpoint(home.web, 5353)


def test_a_reply_to_a_masqueraded_datagram_is_for_the_host_behind_the_router(home):
    traffic = home.traffic(
        home.out(1.0, udp(home.alice, 5000, home.bob, 53), sport=61000),
        home.back(1.1, udp(home.bob, 53, home.outside, 61000, b"reply"), home.alice, 5000),
    )
    assert [(d.sender, d.receiver, d.fate) for d in traffic.datagrams()] == [
        ("alice", "bob", "crossed"),
        ("bob", "alice", "crossed"),
    ]


def test_a_reply_that_the_router_loses(home):
    traffic = home.traffic(
        home.out(1.0, udp(home.alice, 5000, home.bob, 53)),
        home.back(1.1, udp(home.bob, 53, home.outside, 5000, b"reply"), home.alice, 5000, lost_at="edge"),
    )
    assert [(t.fate, t.lost_at) for t in traffic.transits] == [("crossed", ""), ("lost", "edge")]


def test_a_request_that_the_router_loses(home):
    lost = home.out(1.0, udp(home.alice, 5000, home.bob, 53), lost_at="edge")
    assert [(t.fate, t.lost_at) for t in home.traffic(lost).transits] == [("lost", "edge")]


def test_a_packet_to_a_forwarded_port_that_the_router_loses(home):
    syn = tcp(home.bob, 5000, home.outside, 8080, "S", seq=1)
    (transit,) = home.traffic(home.back(1.0, syn, home.web, 80, lost_at="edge")).transits
    assert (transit.fate, transit.lost_at) == ("lost", "edge")


def test_a_packet_to_a_port_that_isn_t_forwarded_is_for_the_router(home):
    traffic = home.traffic(
        home.net.send(1.0, tcp(home.bob, 5000, home.outside, 81, "S", seq=1)),
        home.net.send(1.1, tcp(home.outside, 81, home.bob, 5000, "RA", ack=2)),
    )
    assert fates(traffic) == ["stayed", "stayed"]
    (connection,) = traffic.connections()
    assert (connection.server, connection.handshake) == ("edge", "refused")


def test_replies_of_a_connection_that_is_older_than_the_capture(home):
    a, b, o = home.alice, home.bob, home.outside
    data = tcp(b, 80, o, 61000, "PA", seq=71, ack=16, payload=b"olleh!")
    traffic = home.traffic(
        home.back(1.0, data, a, 5000),
        home.out(1.1, tcp(a, 5000, b, 80, "A", seq=16, ack=77), sport=61000),
    )
    assert fates(traffic) == ["crossed", "crossed"]
    (connection,) = traffic.connections()
    assert (connection.client, connection.server, connection.handshake) == ("alice", "bob", "unseen")


@pytest.mark.parametrize("at", [1.5, 0.5])
def test_echoes_through_the_translation(home, at):
    """The router may replace the identifier."""
    out = {"edge": rewrite(source=home.outside, echo=900)}
    back = {"edge": rewrite(destination=home.alice, echo=77)}
    asked = home.net.send(1.0, echo(home.alice, home.bob), translations=out)
    told = home.net.send(1.2, echo(home.bob, home.outside, ident=900, reply=True), translations=back)
    other = home.net.send(at, echo(home.outside, home.bob, ident=5, payload=b"own"))  # of the router
    traffic = home.traffic(asked, told, other)
    found = {(t.fate, t.translated, t.sent.label) for t in traffic.transits}
    assert found == {
        ("crossed", True, "ICMP echo request"),
        ("crossed", True, "ICMP echo reply"),
        ("stayed", False, "ICMP echo request"),
    }


def test_an_error_about_a_translated_datagram_comes_back_to_its_sender(home):
    request = home.out(1.0, udp(home.alice, 5000, home.bob, 99, ident=4), sport=61000)
    seen = udp(home.outside, 61000, home.bob, 99, ident=4, ttl=63)

    def back(data):
        rewrite(destination=home.alice)(data)
        data.data.data.data = udp(home.alice, 5000, home.bob, 99, ident=4, ttl=63)

    answer = home.net.send(1.1, error(home.bob, seen), translations={"edge": back})
    traffic = home.traffic(request, answer)
    assert fates(traffic) == ["crossed", "crossed"]
    assert traffic.transits[1].translated
    (datagram,) = traffic.datagrams()
    assert (datagram.sender, datagram.unreachable_from, datagram.port_unreachable) == ("alice", "bob", True)


def test_an_error_from_behind_a_forwarded_port(home):
    """web has no socket on the port: its error leaves with the address of the router."""
    request = home.back(1.0, udp(home.bob, 5000, home.outside, 53, ident=4), home.web, 5353)
    seen = udp(home.bob, 5000, home.web, 5353, ident=4, ttl=63)

    def out(data):
        rewrite(source=home.outside)(data)
        data.data.data.data = udp(home.bob, 5000, home.outside, 53, ident=4, ttl=63)

    answer = home.net.send(1.1, error(home.web, seen), translations={"edge": out})
    traffic = home.traffic(request, answer)
    assert fates(traffic) == ["crossed", "crossed"]
    assert traffic.datagrams()[0].port_unreachable


def test_a_host_inside_that_uses_the_forwarded_port(home):
    """alice and web are on one segment: the router replaces both addresses, and sends back to the segment."""
    out = {"edge": rewrite(source=home.inside, sport=61000, destination=home.web, dport=80)}
    back = {"edge": rewrite(source=home.outside, sport=8080, destination=home.alice, dport=5000)}
    traffic = home.traffic(
        home.net.send(1.0, tcp(home.alice, 5000, home.outside, 8080, "S", seq=5), translations=out),
        home.net.send(1.1, tcp(home.web, 80, home.inside, 61000, "SA", seq=9, ack=6), translations=back),
    )
    assert fates(traffic) == ["crossed", "crossed"]
    (connection,) = traffic.connections()
    assert (connection.client, connection.server, connection.handshake) == ("alice", "web", "half")


def test_two_hosts_with_the_same_port_are_told_apart_by_their_sequence_numbers(home):
    b = home.bob
    traffic = home.traffic(
        home.out(1.0, tcp(home.alice, 5000, b, 80, "S", seq=1000)),
        home.out(1.0001, tcp(home.anna, 5000, b, 80, "S", seq=2000), sport=61000),
    )
    assert fates(traffic) == ["crossed", "crossed"]
    ports = {c.client: c.translated[0].port for c in traffic.connections()}
    assert ports == {"alice": 5000, "anna": 61000}


def test_the_order_proves_which_of_two_equal_datagrams_left(home):
    """The first datagram left before the second one was sent, so the second flow is the other host's."""
    traffic = home.traffic(
        home.out(1.0, udp(home.alice, 5000, home.bob, 53)),
        home.out(2.0, udp(home.anna, 5000, home.bob, 53), sport=61000),
    )
    assert fates(traffic) == ["crossed", "crossed"]
    assert [t.sightings[1].sport for t in traffic.transits] == [5000, 61000]


def test_two_equal_datagrams_at_the_same_time_can_t_be_told_apart(home):
    one = home.out(1.0, udp(home.alice, 5000, home.bob, 53))
    two = home.out(1.0001, udp(home.anna, 5000, home.bob, 53), sport=61000)
    traffic = home.traffic(one, two)
    assert fates(traffic) == ["unknown"] * 4
    assert not any(transit.translated for transit in traffic.transits)


def test_a_later_packet_of_the_flow_proves_it(home):
    """The second datagrams differ, and with them both flows are proved."""
    traffic = home.traffic(
        home.out(1.0, udp(home.alice, 5000, home.bob, 53)),
        home.out(1.0001, udp(home.anna, 5000, home.bob, 53), sport=61000),
        home.out(1.1, udp(home.alice, 5000, home.bob, 53, b"alice")),
    )
    assert fates(traffic) == ["crossed"] * 3
    assert [t.sightings[1].sport for t in traffic.transits] == [5000, 61000, 5000]


def test_of_two_equal_datagrams_it_stays_undecided_which_was_lost(home):
    one = home.out(1.0, udp(home.alice, 5000, home.bob, 53))
    two = home.out(1.0001, udp(home.anna, 5000, home.bob, 53), sport=61000)
    assert fates(home.traffic(one[:1], two)) == ["unknown"] * 3


def test_another_content_is_never_taken_for_the_translated_packet(home):
    sent = home.out(1.0, udp(home.alice, 5000, home.bob, 53, b"one"), lost_at="edge")
    own = home.net.send(1.1, udp(home.outside, 5000, home.bob, 53, b"two"))
    traffic = home.traffic(sent, own)
    assert [(t.fate, t.translated) for t in traffic.transits] == [("lost", False), ("stayed", False)]


def test_a_packet_of_the_router_itself_is_not_a_translated_one(home):
    """The same content, but its time to live is that of a packet which crossed no router."""
    sent = home.out(1.0, udp(home.alice, 5000, home.bob, 53), lost_at="edge")
    own = home.net.send(1.1, udp(home.outside, 5000, home.bob, 53))
    assert fates(home.traffic(sent, own)) == ["lost", "stayed"]


def test_a_packet_that_left_before_it_entered_isn_t_its_translation(home):
    late = home.out(2.0, udp(home.alice, 5000, home.bob, 53), lost_at="edge")
    early = home.out(1.0, udp(home.alice, 5000, home.bob, 53))[1:]
    assert "crossed" not in fates(home.traffic(late, early))


def test_the_port_of_a_finished_connection_is_used_again_for_another_host(home):
    b = home.bob
    traffic = home.traffic(
        home.out(1.0, tcp(home.alice, 5000, b, 80, "S", seq=1000), sport=61000),
        home.back(1.1, tcp(b, 80, home.outside, 61000, "RA", ack=1001), home.alice, 5000),
        home.out(9.0, tcp(home.anna, 5000, b, 80, "S", seq=5000), sport=61000),
        home.back(9.1, tcp(b, 80, home.outside, 61000, "RA", ack=5001), home.anna, 5000),
    )
    assert fates(traffic) == ["crossed"] * 4
    assert [(c.client, c.handshake) for c in traffic.connections()] == [
        ("alice", "refused"),
        ("anna", "refused"),
    ]


def test_fragments_are_translated_with_the_first_of_them(home):
    first = [
        replace(packet, fragment=0, more_fragments=True)
        for packet in home.out(1.0, udp(home.alice, 5000, home.bob, 53, ident=7), sport=61000)
    ]
    later = {"fragment": 1480, "more_fragments": False, "protocol": "ip", "sport": 0, "dport": 0}
    rest = [replace(packet, at=packet.at + 1e-5, **later) for packet in first]
    traffic = home.traffic(first, rest)
    assert [(t.fate, t.translated) for t in traffic.transits] == [("crossed", True)] * 2
    (datagram,) = traffic.datagrams()
    assert (datagram.fragments, datagram.lost) == (2, False)


def test_a_large_packet_is_followed_in_pieces_through_the_translation(home):
    a, b = home.alice, home.bob
    whole = home.out(1.1, tcp(a, 5000, b, 80, "PA", seq=1001, payload=b"x" * 2000, ident=5), sport=61000)[:1]
    parts = [
        home.out(
            1.1 + n / 1e6, tcp(a, 5000, b, 80, "A", seq=1001 + n, payload=b"x" * 1000, ident=6), sport=61000
        )[1:]
        for n in (0, 1000)
    ]
    syn = home.out(1.0, tcp(a, 5000, b, 80, "S", seq=1000), sport=61000)
    traffic = home.traffic(syn, whole, *parts)
    assert fates(traffic) == ["crossed", "crossed"]
    assert traffic.connections()[0].from_client.bytes == 2000


def test_two_translations_on_one_path(network):
    net = network(TWICE)
    alice, bob = net.address("alice"), net.address("bob")
    street, far = net.address("edge", "street"), net.address("carrier", "net")
    out = {"edge": rewrite(source=street, sport=61000), "carrier": rewrite(source=far, sport=62000)}
    back = {
        "carrier": rewrite(destination=street, dport=61000),
        "edge": rewrite(destination=alice, dport=5000),
    }
    traffic = net.traffic(
        net.send(1.0, tcp(alice, 5000, bob, 80, "S", seq=10), translations=out),
        net.send(1.1, tcp(bob, 80, far, 62000, "SA", seq=70, ack=11), translations=back),
    )
    assert fates(traffic) == ["crossed", "crossed"]
    assert [p.source for p in traffic.transits[0].sightings] == [alice, street, street, far]
    (connection,) = traffic.connections()
    assert (connection.client, connection.server, connection.handshake) == ("alice", "bob", "half")


def test_the_second_translation_may_lose_the_packet(network):
    net = network(TWICE)
    alice, bob = net.address("alice"), net.address("bob")
    out = {"edge": rewrite(source=net.address("edge", "street")), "carrier": rewrite()}
    (transit,) = net.traffic(
        net.send(1.0, udp(alice, 5000, bob, 80), translations=out, lost_at="carrier")
    ).transits
    assert (transit.fate, transit.lost_at, len(transit.sightings)) == ("lost", "carrier", 3)
    assert transit.translated


def test_many_flows_through_one_address_are_found():
    home = Home(Network)
    packets = []
    for n in range(2_000):
        data = udp(home.alice, 1024 + n, home.bob, 53, b"%d" % (n % 50), ident=n % 7)
        packets.append(home.out(n * 1e-3, data, sport=20_000 + n))
    assert set(fates(home.traffic(*packets))) == {"crossed"}
