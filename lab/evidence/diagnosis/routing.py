"""Rules and phrases about missing routes, a broken IP version, address translation and a small MTU."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, listed, subjects
from lab.evidence.diagnosis.phrases import router_name
from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.connections import Connection, Direction
from lab.evidence.packets.packet import NO_ROUTE, PROHIBITED, TIME_EXCEEDED, TOO_BIG, Packet
from lab.evidence.packets.routes.nodes import NetworkNode
from lab.evidence.packets.transit import PacketTransit
from lab.locale import Message, message, messages

WAIT = 0.2  # seconds; a client that changes the IP version sooner doesn't make a user wait
LEAST_LOST = 2  # packets of a size that never passed, before a small MTU counts as the cause


def fallback(evidence: Evidence) -> Iterator[Finding]:
    """The client waited for an answer over one IP version before it connected over the other."""
    for group in evidence.connection_groups(lambda c: c.handshake in ("unanswered", "half")):
        first = group[0]
        other = other_family(evidence, first)
        if other is None or other.started - first.started < WAIT:
            continue
        sentence = messages(
            "{client} tried {server}:{port} over IPv{family} first and sent {count} SYN without an answer "
            "({place}); only {delay:.2g} s later it connected over IPv{other}.",
            "{client} tried {server}:{port} over IPv{family} first and sent {count} SYNs without an answer "
            "({place}); only {delay:.2g} s later it connected over IPv{other}.",
            count=sum(connection.from_client.syns for connection in group),
            client=first.client,
            server=first.server,
            port=first.port,
            family=first.server_address.family,
            place=_place(evidence, first),
            delay=other.started - first.started,
            other=other.server_address.family,
        )
        yield Finding(sentence, first.started, subjects(group))


def other_family(evidence: Evidence, connection: Connection) -> Connection | None:
    """A later connection of the client to the same port of the server, over the other IP version."""
    family = connection.server_address.family
    return next(
        (
            other
            for other in evidence.traffic.connections(connection.port)
            if (other.client, other.server) == (connection.client, connection.server)
            and other.handshake == "complete"
            and other.started >= connection.started
            and other.server_address.family != family
        ),
        None,
    )


def _place(evidence: Evidence, connection: Connection) -> Message:
    """The place in which the attempt failed."""
    there, back = connection.from_client, connection.from_server
    if connection.unreachable:
        error = connection.unreachable.removeprefix("ICMP ")
        return message("{router} answered “{error}”", router=connection.unreachable_from, error=error)
    for way in (there, back):
        if way.lost_on:
            return message("lost on the segment {segment}", segment=way.lost_on)
        if way.lost:
            return message("lost at {router}", router=router_name(evidence, way.lost_at))
    return message("no packet was lost on the way to {server}", server=connection.server)


def why_not_routed(
    evidence: Evidence, error: tuple[str, int, int] | None, router: str, host: str
) -> Message | None:
    """The reason for an ICMP error of a router on the way to ``host``, if its type shows one."""
    if error in TOO_BIG:
        return message("the packet is larger than the MTU of the next segment at {router}", router=router)
    if error in TIME_EXCEEDED:
        return message(
            "its time to live ended at {router}: it was too small for the number of routers, or there is a "
            "routing loop",
            router=router,
        )
    if error in PROHIBITED:
        return message("a packet filter on {router} rejects it", router=router)
    if error not in NO_ROUTE:
        return None
    if translator := _translator_of(evidence, host):
        return message(
            "{host} is behind the address translation of {translator}, so that only forwarded ports of "
            "{translator} lead to it",
            host=host,
            translator=translator.title,
        )
    return message("{router} has no route to {host}", router=router, host=host)


def _translator_of(evidence: Evidence, host: str) -> NetworkNode | None:
    """The router behind whose translation a host is."""
    nodes = evidence.traffic.network.nodes
    segments = {segment for node in nodes if node.title == host for segment in node.segments}
    return next((node for node in nodes if segments & set(node.nat)), None)


def no_mapping(evidence: Evidence, protocol: str, address: Endpoint) -> Message | None:
    """The reason for a refusal by a router that translates addresses: it doesn't forward the port."""
    network = evidence.traffic.network
    router = next((node for node in network.nodes if address.address in node.addresses), None)
    if router is None or not router.translates:
        return None
    ports = router.forwarded_ports(protocol)
    if address.port in ports:
        return None
    if not ports:
        return message("{router} forwards no ports, and no program on it listens there", router=router.title)
    return messages(
        "{router} forwards port {ports} but not this one, and no program on it listens there",
        "{router} forwards the ports {ports} but not this one, and no program on it listens there",
        count=len(ports),
        router=router.title,
        ports=listed(map(str, ports)),
    )


def no_way_back(evidence: Evidence, connection: Connection) -> Message | None:
    """The reason for a missing answer: the server or a router on the return path has no route back."""
    client, server = connection.translated or (connection.client_address, connection.server_address)
    path = evidence.traffic.network.expected_path(server.address, client.address)
    if path is None or not path.no_route_at:
        return None
    return message("{node} has no route back to {client}", node=path.no_route_at, client=connection.client)


def small_mtu(evidence: Evidence) -> Iterator[Finding]:
    """A router lost all packets above a size, and the sender went on sending them."""
    evidence = evidence.until_failure
    for group in evidence.connection_groups(lambda c: c.handshake == "complete"):
        for sender, way in ((group[0].client, "from_client"), (group[0].server, "from_server")):
            ways: list[Direction] = [getattr(connection, way) for connection in group]
            if any(way.sent > way.bytes for way in ways):
                yield from _large_lost(evidence, group, sender)


def _large_lost(evidence: Evidence, group: list[Connection], sender: str) -> Iterator[Finding]:
    packets = _packets(evidence, group, sender)
    lost = [transit for transit in packets if transit.fate == "lost" and transit.lost_at]
    passed = max((transit.sent.size for transit in packets if transit.fate == "crossed"), default=0)
    least = min((transit.sent.size for transit in lost), default=0)
    if len(lost) < LEAST_LOST or not 0 < passed < least:
        return
    if len({transit.sent.size for transit in packets if transit.fate == "crossed"}) < 2:
        return  # everything with data was lost: the link may be cut
    sentence = message(
        "{router} forwarded the packets of {sender} up to {passed} bytes and lost the larger ones ({count}, "
        "of at least {least} bytes): the MTU of the next segment is smaller{icmp}.",
        router=lost[0].lost_at,
        sender=sender,
        passed=passed,
        count=len(lost),
        least=least,
        icmp=_too_big(evidence),
    )
    yield Finding(sentence, lost[0].sent.at, subjects(group))


def _packets(evidence: Evidence, group: list[Connection], sender: str) -> list[PacketTransit]:
    """The packets that one side sent in these connections."""
    names, ends = evidence.traffic.names, frozenset[frozenset[Endpoint]]().union(*(c.ends for c in group))
    tcp = [transit for transit in evidence.traffic.transits if transit.sent.protocol == "tcp"]
    return [
        transit
        for transit in tcp
        if names.get(transit.sent.source) == sender
        and frozenset((_source(transit.sent), _destination(transit.sent))) in ends
    ]


def _source(packet: Packet) -> Endpoint:
    return Endpoint(packet.source, packet.sport)


def _destination(packet: Packet) -> Endpoint:
    return Endpoint(packet.destination, packet.dport)


def _too_big(evidence: Evidence) -> Message:
    """The fate of the ICMP errors that report the MTU."""
    errors = [t for t in evidence.traffic.transits if (t.sent.protocol, *t.sent.icmp) in TOO_BIG]
    if not errors:
        return message(", and no ICMP error reported this to the sender")
    lost = next((transit for transit in errors if transit.fate == "lost"), None)
    if lost is None:
        return message(", and the sender ignored the ICMP error that reported this")
    return message(
        ", but the ICMP error that reports this was lost at {place}",
        place=lost.lost_at or lost.lost_on,
    )
