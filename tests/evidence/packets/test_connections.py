"""Connections as the packets tell them."""

import pytest

from lab.evidence.packets.sequence_tracker import SequenceTracker, distance
from tests.evidence.forge import crossed, handshake, past, tcp, traffic


def only(*packets):
    (connection,) = traffic(*packets).connections()
    return connection


def data(at, seq, length, *, back=False, ident=1):
    return crossed(tcp(at, "PA", seq, length=length, back=back, ident=ident))


def test_a_whole_conversation():
    connection = only(
        handshake(),
        data(2.0, 1001, 15),
        data(2.1, 5001, 10, back=True),
        crossed(tcp(2.2, "FA", 5011, back=True)),
        crossed(tcp(2.3, "FA", 1016)),
        crossed(tcp(2.4, "A", 5012, back=True)),
    )
    assert (connection.client, connection.server, connection.port) == ("kali", "win10", 8001)
    assert (connection.handshake, connection.connect_seconds) == ("complete", pytest.approx(0.02))
    assert (connection.from_client.bytes, connection.from_server.bytes) == (15, 10)
    assert (connection.closed_first, connection.closed, connection.reset_by) == ("win10", True, "")
    assert connection.from_client.lost == connection.from_client.retransmissions == 0
    assert connection.seconds == pytest.approx(1.4)


def test_one_syn_left_kali_and_none_reached_win10():
    connection = only(tcp(1.0, "S", 7))
    assert (connection.handshake, connection.closed) == ("unanswered", False)
    assert (connection.from_client.syns, connection.from_client.syns_arrived) == (1, 0)


def test_a_syn_that_left_the_router_isn_t_reported_as_lost():
    connection = only(crossed(tcp(1.0, "S", 7)))
    assert (connection.from_client.syns, connection.from_client.syns_arrived) == (1, 1)


def test_a_lost_answer_is_not_an_answer():
    connection = only(crossed(tcp(1.0, "S", 7)), tcp(1.1, "SA", 9, 8, back=True))
    assert connection.handshake == "unanswered"
    assert (connection.from_server.syns, connection.from_server.syns_arrived) == (1, 0)


def test_refused():
    connection = only(crossed(tcp(1.0, "S", 7)), crossed(tcp(1.1, "RA", 0, 8, back=True)))
    assert (connection.handshake, connection.reset_by, connection.closed_first) == ("refused", "win10", "")


def test_a_lost_refusal_is_not_a_refusal():
    assert only(crossed(tcp(1.0, "S", 7)), tcp(1.1, "RA", 0, 8, back=True)).handshake == "unanswered"


def test_a_later_reset_is_not_a_refusal():
    connection = only(handshake(), crossed(tcp(2.0, "R", 1001)))
    assert (connection.handshake, connection.reset_by, connection.closed) == ("complete", "kali", True)


def test_half_open_handshake():
    syn, answer = crossed(tcp(1.0, "S", 7)), crossed(tcp(1.1, "SA", 9, 8, back=True))
    assert only(syn, answer).handshake == "half"


def test_bytes_that_were_lost_and_sent_again_are_counted_once():
    lost = tcp(2.0, "PA", 1001, length=100, ident=1)
    after = data(2.1, 1101, 50, ident=2)
    way = only(handshake(), lost, after, data(2.2, 1001, 100, ident=3)).from_client
    assert (way.sent, way.bytes, way.lost, way.retransmissions) == (150, 150, 1, 1)


def test_bytes_that_never_left_the_router_aren_t_counted():
    way = only(
        handshake(), tcp(2.0, "PA", 1001, length=100, ident=1), data(2.1, 1101, 50, ident=2)
    ).from_client
    assert (way.sent, way.bytes, way.lost, way.retransmissions) == (150, 50, 1, 0)


def test_a_duplicate_isn_t_a_second_packet():
    packet = tcp(2.0, "PA", 1001, length=100, ident=1)
    way = only(handshake(), crossed(packet), past(packet, 0.004)).from_client
    assert (way.packets, way.duplicates, way.bytes) == (3, 1, 100)


def test_the_side_that_sent_the_first_fin_closed_first():
    fins = crossed(tcp(3.0, "FA", 1001)), crossed(tcp(3.1, "FA", 5001, back=True))
    assert only(handshake(), *fins).closed_first == "kali"


def test_one_fin_is_half_a_close():
    connection = only(handshake(), crossed(tcp(3.0, "FA", 1001)))
    assert (connection.closed_first, connection.closed) == ("kali", False)


def test_a_lost_fin_didn_t_arrive():
    assert not only(handshake(), tcp(3.0, "FA", 1001)).from_client.fin_arrived
    assert only(handshake(), crossed(tcp(3.0, "FA", 1001))).from_client.fin_arrived


def test_the_same_ports_again_are_another_connection():
    closed = crossed(tcp(2.0, "FA", 1001)), crossed(tcp(2.1, "FA", 5001, back=True))
    again = handshake(3.0, isn=70_000, peer=90_000)
    first, second = traffic(handshake(), *closed, again).connections()
    assert (first.closed, second.closed, second.handshake) == (True, False, "complete")
    assert second.started == 3.0


def test_a_repeated_syn_is_the_same_attempt():
    connection = only(tcp(1.0, "S", 7), tcp(2.0, "S", 7), crossed(tcp(4.0, "S", 7)))
    assert (connection.from_client.syns, connection.from_client.syns_arrived) == (3, 1)


def test_the_server_of_a_connection_older_than_the_capture_is_found():
    connection = only(data(1.0, 5001, 10, back=True), data(1.1, 1001, 5))
    assert (connection.client, connection.server, connection.handshake) == ("kali", "win10", "unseen")


def test_a_full_window_is_counted():
    connection = only(handshake(), crossed(tcp(2.0, "A", 5001, back=True, window=0)))
    assert connection.from_server.zero_windows == 1


def test_connections_are_selected_by_port():
    everything = traffic(handshake(), handshake(2.0, port=9000, client=50001))
    assert [c.port for c in everything.connections()] == [8001, 9000]
    assert [c.port for c in everything.connections(9000)] == [9000]
    assert everything.connections(1) == []


def test_a_connection_as_plain_values():
    plain = only(handshake()).to_dict()
    assert (plain["handshake"], plain["port"], plain["from_client"]["syns"]) == ("complete", 8001, 1)


def test_each_byte_is_counted_once_in_any_order():
    seen = SequenceTracker()
    parts = [(0, 10), (20, 10), (10, 10), (5, 20), (40, 5), (29, 12)]
    assert [seen.add(tcp(0.0, "A", 2**32 - 7 + start, length=length)) for start, length in parts] == [
        10, 10, 10, 0, 5, 10,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "between"), [(0, 5, 5), (5, 0, -5), (2**32 - 1, 1, 2), (1, 2**32 - 1, -2)]
)
def test_distance_wraps(start, end, between):
    assert distance(start, end) == between


def test_packets_are_selected_by_their_fields():
    everything = traffic(handshake(), tcp(5.0, "S", 7, client=50009))
    assert len(everything.seen("clients", flags="S")) == 2
    assert len(everything.seen("servers", flags="S")) == 1
    assert len(everything.seen("servers", flags="S", sport=50009)) == 0
    with pytest.raises(ValueError, match="no capture of 'server'"):
        everything.seen("server")
    with pytest.raises(AttributeError):
        everything.seen("servers", flag="S")
