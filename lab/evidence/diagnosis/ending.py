"""Rules about connections that ended badly, or not at all: reset, vanished, closed too early."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, alike, ends, its_sockets, things
from lab.evidence.event_text import render
from lab.evidence.events import FaultChanged
from lab.evidence.packets.connections import Connection

LAST_WORDS = 0.3  # seconds in which a failing program's connections end before itself


def reset(evidence: Evidence) -> Iterator[Finding]:
    """A connection that was cut off by RST after it was made."""
    for group in alike(evidence, lambda c: c.handshake != "refused" and _reset_matters(evidence, c)):
        for connection in group[:1]:
            why, see_also = _why_reset(evidence, connection)
            yield Finding(
                f"{connection.reset_by} reset {ends(connection)}"
                f"{f' (and {len(group) - 1} more)' if len(group) > 1 else ''}: {why}.",
                _reset_at(connection),
                things(group),
                see_also,
            )


def _reset_at(connection: Connection) -> float:
    times = [way.reset_at for way in (connection.from_client, connection.from_server)]
    return min((at for at in times if at is not None), default=0.0)


def _reset_matters(evidence: Evidence, connection: Connection) -> bool:
    """Whether a reset can be the cause: one by a program as it fails, or after that, is a consequence."""
    if not connection.reset_by:
        return False
    at = _reset_at(connection)
    ends = [(program.node, program.ended or evidence.end) for program in evidence.failed]
    own = any(node == connection.reset_by and end - LAST_WORDS <= at for node, end in ends)
    return not own and (not ends or at <= max(end for _, end in ends))


def _why_reset(evidence: Evidence, connection: Connection) -> tuple[str, tuple[str, ...]]:
    by_server = connection.reset_by == connection.server
    mine, theirs = connection.from_client, connection.from_server
    if by_server:
        mine, theirs = theirs, mine
    other = connection.client if by_server else connection.server
    if mine.fin_at is not None and mine.reset_at is not None and mine.fin_at < mine.reset_at:
        return f"it had closed, and {other} sent more", ("send-after-close",)
    if theirs.bytes and _unread(evidence, connection, by_server):
        return f"it closed with data of {other}'s unread, so {other} may lose what was under way", (
            "reset-on-close",
        )
    return "its program ended, or closed without reading all, or its kernel knew no such connection", (
        "reset-on-close",
    )


def _unread(evidence: Evidence, connection: Connection, by_server: bool) -> bool:
    node = connection.server if by_server else connection.client
    moved = evidence.moved(node, "TcpExt.TCPAbortOnClose") or evidence.moved(node, "TcpExt.TCPAbortOnData")
    return bool(moved) or any(
        s.receive_queue for s in its_sockets(evidence, connection) if s.node == node and s.protocol == "tcp"
    )


def vanished(evidence: Evidence) -> Iterator[Finding]:
    """A peer that is gone without FIN or RST: what was sent to it is sent again and again."""
    evidence = evidence.then
    for group in alike(evidence, lambda c: c.handshake == "complete" and not c.closed):
        connection = group[0]
        for sender, receiver, way in (
            (connection.client, connection.server, connection.from_client),
            (connection.server, connection.client, connection.from_server),
        ):
            done = evidence.faults(evidence.end, receiver)
            if way.lost >= 2 and way.retransmissions >= 2 and way.sent > way.bytes:
                yield Finding(
                    f"{sender} sent {way.sent - way.bytes} bytes again and again ({way.retransmissions} "
                    f"retransmissions), and none came out of the router: the link is cut while both ends "
                    f"hold the connection open{f' ({render(done[0])})' if done else ''}.",
                    connection.ended,
                    things(group),
                    ("half-open",),
                )
            elif out := [e for e in done if isinstance(e, FaultChanged) and e.fault != "paused"]:
                yield Finding(
                    f"{receiver} went away without a FIN ({render(out[0])}), so {sender} holds half a "
                    f"connection and waits.",
                    out[0].at,
                    things(group),
                    ("half-open",),
                )


def closed_early(evidence: Evidence) -> Iterator[Finding]:
    """A peer that closed before it answered."""
    for group in alike(
        evidence, lambda c: c.handshake == "complete" and bool(c.closed_first) and not c.reset_by
    ):
        connection = group[0]
        answered = connection.from_server.bytes
        if connection.closed_first == connection.server and connection.from_client.bytes and not answered:
            yield Finding(
                f"{connection.server} closed {ends(connection)} first, without a byte of an answer to "
                f"{connection.from_client.bytes} bytes: its program ended or gave up; its output says more.",
                connection.ended,
                things(group),
            )
