"""Rules about connections that were reset, lost, or closed too early."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, subjects
from lab.evidence.diagnosis.phrases import (
    NODE_STATES,
    active_fault,
    byte_count,
    connection_name,
    missed,
)
from lab.evidence.events import FaultChanged
from lab.evidence.packets.connections import Connection, Direction
from lab.locale import Message, message

EXIT_TIME = 0.3  # seconds before its exit in which a failing program closes its connections
DISCONNECTING = set(NODE_STATES) - {"paused"}  # the kernel of a paused host still acknowledges


def reset(evidence: Evidence) -> Iterator[Finding]:
    """An established connection was ended by RST."""
    for group in evidence.connection_groups(lambda c: c.handshake != "refused" and _is_cause(evidence, c)):
        connection = group[0]
        why, see_also = _why_reset(evidence, connection)
        sentence = message(
            "{node} reset {connection}{more}: {why}.",
            node=connection.reset_by,
            connection=connection_name(connection),
            more=message(" (and {count} more)", count=len(group) - 1) if len(group) > 1 else "",
            why=why,
        )
        yield Finding(sentence, _reset_at(connection), subjects(group), see_also)


def _reset_at(connection: Connection) -> float:
    times = [way.reset_at for way in (connection.from_client, connection.from_server)]
    return min((at for at in times if at is not None), default=0.0)


def _is_cause(evidence: Evidence, connection: Connection) -> bool:
    """Whether a reset can be the cause. A reset by a failing program as it exits, or later, is an effect."""
    if not connection.reset_by:
        return False
    at = _reset_at(connection)
    exits = [(program.node, program.ended or evidence.end) for program in evidence.failed]
    own = any(node == connection.reset_by and end - EXIT_TIME <= at for node, end in exits)
    return not own and (not exits or at <= max(end for _, end in exits))


def _why_reset(evidence: Evidence, connection: Connection) -> tuple[Message, tuple[str, ...]]:
    if connection.reset_by not in (connection.client, connection.server):
        return message("it has no translation for the connection, or none any more"), ()
    own, peer, other = connection.from_client, connection.from_server, connection.server
    if connection.reset_by == connection.server:
        own, peer, other = peer, own, connection.client
    if own.fin_at is not None and own.reset_at is not None and own.fin_at < own.reset_at:
        why = message("it had closed the connection, and {other} sent more data", other=other)
        return why, ("send-after-close",)
    if peer.bytes and _closed_with_unread_data(evidence, connection):
        why = message(
            "it closed the socket while data from {other} was unread; data in flight may be lost", other=other
        )
        return why, ("reset-on-close",)
    why = message(
        "its program exited or closed the socket with data unread, or the connection no longer existed there"
    )
    return why, ("reset-on-close",)


def _closed_with_unread_data(evidence: Evidence, connection: Connection) -> bool:
    node = connection.reset_by
    counters = ("TcpExt.TCPAbortOnClose", "TcpExt.TCPAbortOnData")
    aborted = any(evidence.counter_change(node, counter) for counter in counters)
    return aborted or bool(evidence.unread_bytes(connection, node))


def peer_lost(evidence: Evidence) -> Iterator[Finding]:
    """The peer became unreachable without FIN or RST: data is retransmitted, or the other side waits."""
    evidence = evidence.until_failure
    for group in evidence.connection_groups(lambda c: c.handshake == "complete" and not c.closed):
        connection = group[0]
        client, server = connection.client, connection.server
        yield from _lost_way(evidence, group, client, server, connection.from_client)
        yield from _lost_way(evidence, group, server, client, connection.from_server)


def _lost_way(
    evidence: Evidence, group: list[Connection], sender: str, receiver: str, way: Direction
) -> Iterator[Finding]:
    connection = group[0]
    if way.lost >= 2 and way.retransmissions >= 2 and way.sent > way.bytes:
        sentence = message(
            "{sender} sent {bytes} and retransmitted them ({retransmissions} retransmissions), but none of "
            "these packets {missed}: the link is cut, and both ends keep the connection open{fault}.",
            sender=sender,
            bytes=byte_count(way.sent - way.bytes),
            retransmissions=way.retransmissions,
            missed=missed(evidence, way, receiver),
            fault=active_fault(evidence, connection, evidence.end),
        )
        yield Finding(sentence, connection.ended, subjects(group), ("half-open",))
        return
    for fault in evidence.node_faults(receiver, evidence.end):
        if fault.fault in DISCONNECTING:
            yield Finding(_half_open(fault, sender), fault.at, subjects(group), ("half-open",))
            return


def _half_open(fault: FaultChanged, sender: str) -> Message:
    return message(
        "{receiver} disappeared without FIN or RST ({state}), so {sender} keeps a half-open connection and "
        "waits.",
        receiver=fault.node,
        state=NODE_STATES[fault.fault],
        sender=sender,
    )


def closed_early(evidence: Evidence) -> Iterator[Finding]:
    """The server closed the connection before it answered."""
    for group in evidence.connection_groups(
        lambda c: c.handshake == "complete" and bool(c.closed_first) and not c.reset_by
    ):
        connection = group[0]
        requested, answered = connection.from_client.bytes, connection.from_server.bytes
        if connection.closed_first == connection.server and requested and not answered:
            sentence = message(
                "{server} closed {connection} without an answer to {bytes}: its program exited or gave up; "
                "see its output.",
                server=connection.server,
                connection=connection_name(connection),
                bytes=byte_count(requested),
            )
            yield Finding(sentence, connection.ended, subjects(group))
