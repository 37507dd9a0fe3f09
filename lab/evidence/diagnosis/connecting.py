"""Rules about connections that were not established: refused, or not answered."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, listed, subjects
from lab.evidence.diagnosis.phrases import (
    active_fault,
    last_router,
    missed,
    next_node,
    node_state,
    router_name,
)
from lab.evidence.diagnosis.routing import no_mapping, no_way_back, other_family, why_not_routed
from lab.evidence.packets.connections import Connection
from lab.locale import Message, message, messages


def refused(evidence: Evidence) -> Iterator[Finding]:
    """A SYN was answered with RST, and no later attempt succeeded."""
    for group in evidence.until_failure.connection_groups(
        lambda c: c.handshake == "refused" and not _succeeded_later(evidence, c)
    ):
        first = group[0]
        why, see_also = _why_refused(evidence, first)
        sentence = message(
            "{client} was refused by {server}{times}: its SYN to port {port} was answered with RST, "
            "because {why}.",
            client=first.client,
            server=first.server,
            times=message(" ({count} times)", count=len(group)) if len(group) > 1 else "",
            port=first.port,
            why=why,
        )
        yield Finding(sentence, first.started, subjects(group), see_also)


def _succeeded_later(evidence: Evidence, connection: Connection) -> bool:
    """Whether the client reached the same port later, perhaps at another address of the server."""
    return any(
        other.handshake == "complete" and other.started >= connection.started
        for other in evidence.traffic.connections(connection.port)
        if (other.client, other.server) == (connection.client, connection.server)
    )


def _why_refused(evidence: Evidence, connection: Connection) -> tuple[Message, tuple[str, ...]]:
    port, server, at = connection.server_port, connection.server, connection.started
    if why := no_mapping(evidence, "tcp", connection.server_address):
        return why, ()
    listening = evidence.listeners(server, at)
    here = [socket for socket in listening if socket.port == port]
    if any(socket.local.is_loopback for socket in here):
        only = message(
            "the server listens on {local} only, which no other host can reach", local=str(here[0].local)
        )
        return only, ("bind-loopback",)
    if connection.server_address.family == 6 and any(socket.family == 4 for socket in here):
        return message("the server listens on IPv4 only"), ("socket-families",)
    sockets = [socket for socket in evidence.sockets if (socket.node, socket.port) == (server, port)]
    listeners = [socket for socket in sockets if "LISTEN" in socket.names]
    if later := [socket.began for socket in listeners if socket.began > at]:
        delay = min(later) - at
        return message("nothing listened there yet: the server started {delay:.2g} s later", delay=delay), (
            "connect-errors",
        )
    if any(socket.ended is not None and socket.ended <= at for socket in listeners):
        return message("nothing listened there any more: the server had exited"), ("connect-errors",)
    others = {socket.port for socket in listening if not socket.local.is_loopback}
    return _nothing_listens(others), ("connect-errors",)


def _nothing_listens(others: set[int]) -> Message:
    if not others:
        return message("nothing listens there")
    return messages(
        "nothing listens there (port {ports} has a listener)",
        "nothing listens there (ports {ports} have listeners)",
        count=len(others),
        ports=listed(map(str, others)),
    )


def unanswered(evidence: Evidence) -> Iterator[Finding]:
    """A SYN wasn't answered. The place where the packets were last seen shows the cause."""
    evidence = evidence.until_failure
    for group in evidence.connection_groups(
        lambda c: c.handshake in ("unanswered", "half") and not c.closed_first
    ):
        first, about, accept = group[0], subjects(group), f"accept {group[0].server}:{group[0].server_port}"
        if other_family(evidence, first):
            continue  # the client reached the server in spite of it
        sent = _syns_sent(first, sum(connection.from_client.syns for connection in group))
        if not (arrived := sum(connection.from_client.syns_arrived for connection in group)):
            sentence = message("{sent}: {why}.", sent=sent, why=why_undelivered(evidence, group))
            yield Finding(sentence, first.started, about, ("connect-errors",))
        elif not any(connection.from_server.syns for connection in group):
            sentence = message(
                "{sent}, of which {arrived} left {router}, but {server} didn't answer: {why}.",
                sent=sent,
                arrived=arrived,
                router=last_router(evidence, first),
                server=first.server,
                why=_why_silent(evidence, first),
            )
            yield Finding(sentence, first.started, about | {accept}, ("connect-errors", "backlog"))
        elif not any(connection.from_server.syns_arrived for connection in group):
            sentence = message(
                "{sent} and {server} answered, but no SYN ACK {missed}: the way back is cut{fault}.",
                sent=sent,
                server=first.server,
                missed=missed(evidence, first.from_server, first.client),
                fault=active_fault(evidence, first, first.ended),
            )
            yield Finding(sentence, first.started, about, ("connect-errors",))


def _syns_sent(connection: Connection, count: int) -> Message:
    return messages(
        "{client} sent {count} SYN to {server}:{port}",
        "{client} sent {count} SYNs to {server}:{port}",
        count=count,
        client=connection.client,
        server=connection.server,
        port=connection.port,
    )


def why_undelivered(evidence: Evidence, group: list[Connection]) -> Message:
    """The reason why no SYN reached the server's segment."""
    first = group[0]
    if first.unreachable:
        return _why_unreachable(evidence, first)
    if _not_in_arp(evidence, (first.translated or (None, first.server_address))[1].address):
        return message(
            "{server} doesn't answer ARP, so its power is off or its cable is unplugged", server=first.server
        )
    count = sum(connection.from_client.syns for connection in group)
    way, fault = first.from_client, active_fault(evidence, first, first.ended)
    if way.lost_on:
        return messages(
            "it never reached {node} on the segment {segment}{fault}",
            "none reached {node} on the segment {segment}{fault}",
            count=count,
            node=next_node(evidence, first.server, way.lost_on),
            segment=way.lost_on,
            fault=fault,
        )
    return messages(
        "it reached {router} and never left it on the next segment: the link is cut, as in a "
        "partition{fault}",
        "they reached {router} and none left it on the next segment: the link is cut, as in a "
        "partition{fault}",
        count=count,
        router=router_name(evidence, way.lost_at),
        fault=fault,
    )


def _why_unreachable(evidence: Evidence, connection: Connection) -> Message:
    """The reason why a router answered with an ICMP error."""
    server, error = connection.server, connection.unreachable.removeprefix("ICMP ")
    answered = message("{router} answered “{error}”", router=connection.unreachable_from, error=error)
    if server not in evidence.traffic.names.values():
        return message(
            "{answered}: {server} is no host of the lab, and the lab has no way out",
            answered=answered,
            server=server,
        )
    if why := why_not_routed(evidence, connection.icmp_error, connection.unreachable_from, server):
        return message("{answered}: {why}", answered=answered, why=why)
    unknown = message("its power is off or its cable is unplugged")
    return message(
        "{answered}, because {server} doesn't answer on its segment: {state}",
        answered=answered,
        server=server,
        state=node_state(evidence, server, connection.ended) or unknown,
    )


def _not_in_arp(evidence: Evidence, address: str) -> bool:
    """Whether ARP requests for an address were seen, and no ARP packet from it."""
    requests = [packet for packet in evidence.traffic.packets if packet.protocol == "arp"]
    asked = any(packet.destination == address for packet in requests)
    return asked and not any(packet.source == address for packet in requests)


def _why_silent(evidence: Evidence, connection: Connection) -> Message:
    """The reason why a server didn't answer the SYNs that it received."""
    server = connection.server
    counters = ("TcpExt.ListenOverflows", "TcpExt.TCPReqQFullDrop")
    if any(evidence.counter_change(server, counter) for counter in counters):
        return message(
            "its backlog is full (the counter ListenOverflows increased), because its program doesn't call "
            "accept()"
        )
    state = node_state(evidence, server, connection.ended)
    return state or no_way_back(evidence, connection) or message("it is down, or a firewall on it drops them")
