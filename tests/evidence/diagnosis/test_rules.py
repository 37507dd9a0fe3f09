"""Rules on forged evidence: causes that no recorded case shows, and what must not be taken for a cause."""

from dataclasses import replace

import pytest

from lab.evidence.diagnosis.diagnose import Evidence, diagnose
from lab.evidence.diagnosis.model import Run
from lab.evidence.endpoint import Endpoint
from lab.evidence.events import FaultChanged, Note, SocketChanged
from lab.evidence.packets.packet import Packet
from tests.evidence.forge import ROUTER, WIN10, crossed, handshake, tcp, traffic, udp
from tests.evidence.packets.test_datagrams import fragments, unreachable

END = Note(9.0, "lab", "the end of the run")


def sentences(events, *packets):
    return diagnose(Evidence([*events, END], traffic(*packets))).sentences


def listener(port, at=0.5):
    ends = Endpoint("*", port), Endpoint("*", 0)
    return SocketChanged(at, "win10", port, "tcp", 6, *ends, "LISTEN", "", 0, 5)


def refused(at=1.0):
    syn = tcp(at, "S", 1000)
    return [*crossed(syn), *crossed(tcp(at + 0.01, "RA", 0, 1001, back=True))]


@pytest.mark.parametrize(
    ("ports", "why"),
    [
        ([], "because nothing listens there."),
        ([8002], "because nothing listens there (port 8002 has a listener)."),
        ([8003, 8002], "because nothing listens there (ports 8002, 8003 have listeners)."),
    ],
)
def test_refused_with_the_ports_that_have_a_listener(ports, why):
    (sentence,) = sentences([listener(port) for port in ports], refused())
    assert sentence.startswith("kali was refused by win10: its SYN to port 8001")
    assert sentence.endswith(why)


def test_no_answer_to_arp():
    arp = {"protocol": "arp", "size": 42, "source": ROUTER["servers"], "destination": WIN10}
    requests = [Packet(1.0 + second, "servers", 0, **arp) for second in range(3)]
    syns = [tcp(1.0, "S", 1000), tcp(2.0, "S", 1000)]
    assert sentences([], syns, requests) == (
        "kali sent 2 SYNs to win10:8001: win10 doesn't answer ARP, so its power is off or its cable is "
        "unplugged.",
    )


def test_one_syn_that_never_left_the_router():
    (sentence,) = sentences([], [tcp(1.0, "S", 1000)])
    assert sentence.startswith("kali sent 1 SYN to win10:8001: it reached the router and never left it")


def test_a_reset_without_unread_data():
    packets = [*handshake(), *crossed(tcp(2.0, "R", 5001, back=True))]
    (sentence,) = sentences([], packets)
    assert sentence.startswith("win10 reset the connection from kali to win10:8001: its program exited")


@pytest.mark.parametrize(
    ("fault", "state"), [("power cut", "its power is off"), ("cable pulled", "its cable is unplugged")]
)
def test_a_fault_leaves_a_connection_half_open(fault, state):
    (sentence,) = sentences([FaultChanged(2.0, "win10", fault, "begin")], handshake())
    assert sentence == (
        f"win10 disappeared without FIN or RST ({state}), so kali keeps a half-open connection and waits."
    )


def test_a_full_disk_does_not_explain_a_missing_answer():
    request = crossed(tcp(1.5, "PA", 1001, 5001, 5))
    (sentence,) = sentences([FaultChanged(0.5, "win10", "disk full", "begin")], handshake(), request)
    assert sentence.endswith("returned nothing for 7.5 s: it waits for more data, or it is busy.")


@pytest.mark.parametrize(
    ("node", "shown"), [("router", True), ("win10", True), ("kali", True), ("somebody", False)]
)
def test_a_fault_is_named_if_it_is_on_the_path(node, shown):
    (sentence,) = sentences([FaultChanged(0.5, node, "paused", "begin")], [tcp(1.0, "S", 1000)])
    assert sentence.endswith("as in a partition (paused)." if shown else "as in a partition.")


def test_a_datagram_that_the_router_couldn_t_forward():
    packet = udp(1.0, ident=1)
    error = replace(unreachable(1.1, packet), icmp=(3, 1), segment="clients", source=ROUTER["clients"])
    (sentence,) = sentences([], [packet], [error])
    assert "kali sent 1 datagram to win10:9090 and ICMP “host unreachable” came back" in sentence
    assert "router couldn't forward it" in sentence


def test_a_datagram_that_lost_one_fragment():
    first, second, third = fragments(1.0, 9, [1472, 1480, 100])
    diagnosis = diagnose(Evidence([END], traffic(crossed(first), second, crossed(third))))
    assert diagnosis.sentences == (
        "kali sent 1 datagram to win10:9090, of which 1 entered the router and never left it (1 lost only "
        "some of its fragments, but then the receiver discards the rest). UDP doesn't report the loss.",
    )
    assert diagnosis.see_also == ("udp-mtu",)


@pytest.mark.parametrize(
    ("exit_code", "signal", "failed"),
    [
        (0, None, False),
        (1, None, True),
        (143, None, False),
        (137, None, True),
        (None, "TERM", False),
        (None, "KILL", True),
        (None, None, False),
    ],
)
def test_which_programs_failed(exit_code, signal, failed):
    assert Run(1, "kali", "true", 1.0, 2.0, exit_code, signal).failed is failed
