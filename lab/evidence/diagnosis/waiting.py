"""Rules about connections on which nothing moves: nobody reads, nobody sends, nobody accepts."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import GRACE, Evidence, Finding, alike, ends, many, still_unread, things
from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.connections import Connection
from lab.evidence.socket_history import SocketHistory


def deadlock(evidence: Evidence) -> Iterator[Finding]:
    """Full windows: nobody reads."""
    evidence = evidence.then
    for group in alike(evidence, lambda c: c.from_client.zero_windows + c.from_server.zero_windows > 0):
        connection = group[0]
        stuck = [
            (who, s)
            for who, s in (
                (connection.client, connection.from_client),
                (connection.server, connection.from_server),
            )
            if s.zero_windows and still_unread(evidence, connection, who)
        ]
        about = things(group)
        if len(stuck) == 2:
            yield Finding(
                f"{connection.client} and {connection.server} both send and neither reads: both receive "
                "buffers are full (window 0), so both wait for ever.",
                connection.ended,
                about,
                ("both-send",),
            )
        elif stuck:
            who = stuck[0][0]
            unread = still_unread(evidence, connection, who)
            yield Finding(
                f"{who} doesn't read: {unread} bytes lie in its receive buffer, which is full (window 0), "
                f"so the other side can't go on sending.",
                connection.ended,
                about,
                ("both-send", "blocking"),
            )


def nobody_accepts(evidence: Evidence) -> Iterator[Finding]:
    """Connections that are made by the kernel and wait in the backlog."""
    evidence = evidence.then
    for socket in evidence.sockets:
        ending = socket.ended or evidence.end
        if socket.last == "LISTEN" and socket.receive_queue and ending - socket.began > GRACE:
            yield Finding(
                f"{many(socket.receive_queue, 'connection')} to {socket.node}:{socket.port} waited in the "
                f"backlog and nobody accepted: {_why_busy(evidence, socket)}.",
                ending,
                frozenset({f"accept {socket.node}:{socket.port}"}),
                ("backlog", "blocking"),
            )


def _why_busy(evidence: Evidence, listener: SocketHistory) -> str:
    done = evidence.done_to(listener.node, evidence.end)
    return (
        f"{listener.node} is out of action ({done})" if done else "the server is busy with another, or stuck"
    )


def never_read(evidence: Evidence) -> Iterator[Finding]:
    """Data that arrived and lay there."""
    evidence = evidence.then
    for socket in evidence.sockets:
        stays = (socket.ended or evidence.end) - socket.began > GRACE
        waiting = socket.last in ("ESTABLISHED", "CLOSE_WAIT") and socket.receive_queue and stays
        if socket.protocol == "tcp" and waiting:
            yield Finding(
                f"{socket.receive_queue} bytes arrived at {socket.node}:{socket.port} and were never read.",
                socket.ended or evidence.end,
                frozenset({f"{socket.remote} {socket.local}", f"{socket.local} {socket.remote}"}),
                ("blocking",),
            )


def both_wait(evidence: Evidence) -> Iterator[Finding]:
    """An open connection on which nothing more happens."""
    evidence = evidence.then
    for group in alike(evidence, lambda c: c.handshake == "complete"):
        connection = group[0]
        heard, said = connection.from_client.bytes, connection.from_server.bytes
        quiet = (_first_close(connection) or evidence.end) - _last_data(evidence, connection)
        if said or quiet < 2 * GRACE:
            continue
        if not heard:
            yield Finding(
                f"{ends(connection).capitalize()} was made, and neither side sent a byte: each waits for the "
                "other. (TCP sends nothing for an empty message.)",
                connection.started,
                things(group),
                ("empty-message", "blocking"),
            )
        elif not connection.from_client.fin_arrived or connection.closed_first == connection.client:
            done = evidence.done_to(connection.server, evidence.end)
            why = f"it is out of action ({done})" if done else "it waits for more, or is busy"
            yield Finding(
                f"{connection.server} got all {heard} bytes of {connection.client}'s and sent nothing for "
                f"{quiet:.1f} s: {why}.",
                connection.started,
                things(group),
                () if done else ("one-recv", "blocking"),
            )


def _last_data(evidence: Evidence, connection: Connection) -> float:
    """When a byte last passed on this connection, or when it was made."""
    ends = {connection.client_address, connection.server_address}
    last = connection.started
    for transit in evidence.traffic.transits:
        packet = transit.sent
        if packet.protocol == "tcp" and packet.length and packet.at > last:
            if ends == {
                Endpoint(packet.source, packet.sport),
                Endpoint(packet.destination, packet.dport),
            }:
                last = packet.at
    return last


def _first_close(connection: Connection) -> float | None:
    times = [
        at
        for way in (connection.from_client, connection.from_server)
        for at in (way.fin_at, way.reset_at)
        if at is not None
    ]
    return min(times, default=None)
