"""Rules about connections that stand still: not accepted, not read, or not answered."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import GRACE, Evidence, Finding, subjects
from lab.evidence.diagnosis.phrases import byte_count, node_state
from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.connections import Connection
from lab.locale import Message, message, messages


def not_reading(evidence: Evidence) -> Iterator[Finding]:
    """The receive buffer of one side or of both is full: the program doesn't read."""
    evidence = evidence.until_failure
    for group in evidence.connection_groups(
        lambda c: c.from_client.zero_windows + c.from_server.zero_windows > 0
    ):
        connection = group[0]
        sides = ((connection.client, connection.from_client), (connection.server, connection.from_server))
        full = [node for node, way in sides if way.zero_windows and evidence.unread_bytes(connection, node)]
        if len(full) == 2:
            sentence = message(
                "{client} and {server} both send and neither reads: both receive buffers are full "
                "(window 0), so each waits for the other.",
                client=connection.client,
                server=connection.server,
            )
            yield Finding(sentence, connection.ended, subjects(group), ("both-send",))
        elif full:
            sentence = _buffer_full(full[0], evidence.unread_bytes(connection, full[0]))
            yield Finding(sentence, connection.ended, subjects(group), ("both-send", "blocking"))


def _buffer_full(node: str, unread: int) -> Message:
    return message(
        "{node} doesn't read: its receive buffer holds {bytes} and is full (window 0), so the other side "
        "can't send more.",
        node=node,
        bytes=byte_count(unread),
    )


def not_accepted(evidence: Evidence) -> Iterator[Finding]:
    """Connections stayed in the backlog: the kernel established them, the program didn't accept them."""
    evidence = evidence.until_failure
    for socket in evidence.sockets:
        end = socket.ended or evidence.end
        if socket.last == "LISTEN" and socket.receive_queue and end - socket.began > GRACE:
            busy = message("the server is busy with another client, or it hangs")
            sentence = messages(
                "{count} connection to {node}:{port} waited in the backlog and was not accepted: {why}.",
                "{count} connections to {node}:{port} waited in the backlog and were not accepted: {why}.",
                count=socket.receive_queue,
                node=socket.node,
                port=socket.port,
                why=node_state(evidence, socket.node, evidence.end) or busy,
            )
            accept = frozenset({f"accept {socket.node}:{socket.port}"})
            yield Finding(sentence, end, accept, ("backlog", "blocking"))


def never_read(evidence: Evidence) -> Iterator[Finding]:
    """Data stayed in a receive buffer."""
    evidence = evidence.until_failure
    for socket in evidence.sockets:
        end = socket.ended or evidence.end
        open_tcp = socket.protocol == "tcp" and socket.last in ("ESTABLISHED", "CLOSE_WAIT")
        if open_tcp and socket.receive_queue and end - socket.began > GRACE:
            sentence = message(
                "{bytes} arrived at {node}:{port} and stayed unread.",
                bytes=byte_count(socket.receive_queue),
                node=socket.node,
                port=socket.port,
            )
            both = frozenset({f"{socket.remote} {socket.local}", f"{socket.local} {socket.remote}"})
            yield Finding(sentence, end, both, ("blocking",))


def no_answer(evidence: Evidence) -> Iterator[Finding]:
    """A connection stayed open, and the server sent nothing on it."""
    evidence = evidence.until_failure
    for group in evidence.connection_groups(lambda c: c.handshake == "complete"):
        connection = group[0]
        quiet = (_first_close(connection) or evidence.end) - _last_data(evidence, connection)
        if connection.from_server.bytes or quiet < 2 * GRACE:
            continue
        if not connection.from_client.bytes:
            sentence = _nothing_sent(connection)
            yield Finding(sentence, connection.started, subjects(group), ("empty-message", "blocking"))
        elif not connection.from_client.fin_arrived or connection.closed_first == connection.client:
            state = node_state(evidence, connection.server, evidence.end)
            sentence = _nothing_returned(connection, quiet, state)
            see_also = () if state else ("one-recv", "blocking")
            yield Finding(sentence, connection.started, subjects(group), see_also)


def _nothing_sent(connection: Connection) -> Message:
    return message(
        "The connection from {client} to {server}:{port} was established, but neither side sent a byte: each "
        "waits for the other. (TCP sends nothing for an empty message.)",
        client=connection.client,
        server=connection.server,
        port=connection.port,
    )


def _nothing_returned(connection: Connection, quiet: float, state: Message | None) -> Message:
    return message(
        "{server} received all data from {client} ({bytes}) and returned nothing for {quiet:.1f} s: {why}.",
        server=connection.server,
        bytes=byte_count(connection.from_client.bytes),
        client=connection.client,
        quiet=quiet,
        why=state or message("it waits for more data, or it is busy"),
    )


def _last_data(evidence: Evidence, connection: Connection) -> float:
    """The time of the last packet with data on this connection, or of its first packet."""
    ends = connection.ends
    times = [
        packet.at
        for packet in (transit.sent for transit in evidence.traffic.transits)
        if packet.protocol == "tcp" and packet.length and packet.at > connection.started
        if frozenset((Endpoint(packet.source, packet.sport), Endpoint(packet.destination, packet.dport)))
        in ends
    ]
    return max(times, default=connection.started)


def _first_close(connection: Connection) -> float | None:
    """The time of the first FIN or RST."""
    ways = (connection.from_client, connection.from_server)
    return min((at for way in ways for at in (way.fin_at, way.reset_at) if at is not None), default=None)
