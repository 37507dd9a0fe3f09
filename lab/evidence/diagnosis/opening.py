"""Rules about connections that were never made: refused, or nobody answered."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, alike, many, spelled, things
from lab.evidence.event_text import render
from lab.evidence.packets.connections import Connection


def refused(evidence: Evidence) -> Iterator[Finding]:
    """A RST in answer to a SYN, and no later attempt that went well."""
    for group in alike(evidence.then, lambda c: c.handshake == "refused" and not _made_later(evidence, c)):
        first = group[0]
        why, see_also = _why_refused(evidence, first)
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        yield Finding(
            f"{first.client} was refused by {first.server}{times}: its SYN to port {first.port} was answered "
            f"with RST, because {why}.",
            first.started,
            things(group),
            see_also,
        )


def _made_later(evidence: Evidence, connection: Connection) -> bool:
    """Whether the same client got through to the same port after all: by its other address, or in time."""
    return any(
        c.handshake == "complete" and c.started >= connection.started
        for c in evidence.traffic.connections(connection.port)
        if (c.client, c.server) == (connection.client, connection.server)
    )


def _why_refused(evidence: Evidence, connection: Connection) -> tuple[str, tuple[str, ...]]:
    port, server, at = connection.port, connection.server, connection.started
    everything = evidence.listeners(server, at)
    here = [s for s in everything if s.port == port]
    if any(s.local.is_loopback for s in here):
        local = here[0].local
        return f"the server there listens on {local} only, which no other host reaches", ("bind-loopback",)
    if connection.server_address.family == 6 and any(s.family == 4 for s in here):
        return "the server there listens on IPv4 only", ("socket-families",)
    later = [s for s in evidence.sockets if s.node == server and s.port == port and "LISTEN" in s.names]
    if any(s.began > at for s in later):
        delay = min(s.began for s in later if s.began > at) - at
        return f"nothing listened there yet: the server came {delay:.2g} s later", ("connect-errors",)
    if any(s.ended is not None and s.ended <= at for s in later):
        return "nothing listened there any more: the server had ended", ("connect-errors",)
    others = sorted({s.port for s in everything if not s.local.is_loopback})
    hint = f" (port {spelled(map(str, others))} has a listener)" if others else ""
    return f"nothing listens there{hint}", ("connect-errors",)


def unanswered(evidence: Evidence) -> Iterator[Finding]:
    """A SYN that nobody answered: where it was seen last says why."""
    evidence = evidence.then
    unlucky = ("unanswered", "half")
    for group in alike(evidence, lambda c: c.handshake in unlucky and not c.closed_first):
        first = group[0]
        syns = sum(c.from_client.syns for c in group)
        came_out = sum(c.from_client.syns_arrived for c in group)
        answers = sum(c.from_server.syns for c in group)
        answered = sum(c.from_server.syns_arrived for c in group)
        about = things(group)
        sent = f"{first.client} sent {many(syns, 'SYN')} to {first.server}:{first.port}"
        if not came_out:
            yield Finding(f"{sent}: {_stuck(evidence, first)}", first.started, about, ("connect-errors",))
        elif not answers:
            yield Finding(
                f"{sent}; {_of(came_out, syns)} came out of the router and {first.server} answered nothing: "
                f"{_why_silent(evidence, first)}.",
                first.started,
                about | {f"accept {first.server}:{first.port}"},
                ("connect-errors", "backlog"),
            )
        elif not answered:
            yield Finding(
                f"{sent} and {first.server} answered, but none of its {many(answers, 'answer')} came out of "
                f"the router: the way back is cut{_by(evidence, first)}.",
                first.started,
                about,
                ("connect-errors",),
            )


def _stuck(evidence: Evidence, connection: Connection) -> str:
    """Why no SYN came out of the router."""
    if connection.unreachable:
        return (
            f"{connection.unreachable_from} answered “{connection.unreachable.removeprefix('ICMP ')}”"
            f"{_why_unreachable(evidence, connection)}."
        )
    if _asked_in_vain(evidence, connection.server_address.address):
        return f"{connection.server} doesn't even answer ARP: its power is off or its cable is pulled."
    return (
        f"they reached the router and none left it on the other segment: the link is cut, as in a partition"
        f"{_by(evidence, connection)}."
    )


def _why_unreachable(evidence: Evidence, connection: Connection) -> str:
    if connection.server in evidence.traffic.names.values():
        done = evidence.done_to(connection.server, connection.ended)
        why = f"it is out of action ({done})" if done else "its power is off or its cable pulled"
        return f": {connection.server} doesn't answer on its segment; {why}"
    return f": {connection.server} is no host of the lab, and nothing leaves it"


def _asked_in_vain(evidence: Evidence, address: str) -> bool:
    """Whether the router asked for a host's Ethernet address, and nobody had it."""
    arps = [p for p in evidence.traffic.packets if p.protocol == "arp"]
    return any(p.destination == address for p in arps) and not any(p.source == address for p in arps)


def _why_silent(evidence: Evidence, connection: Connection) -> str:
    server = connection.server
    if evidence.moved(server, "TcpExt.ListenOverflows") or evidence.moved(server, "TcpExt.TCPReqQFullDrop"):
        return "its backlog is full (ListenOverflows moved), because nobody accepts"
    if done := evidence.done_to(server, connection.ended):
        return f"it is out of action ({done})"
    return "it is frozen, or a filter there drops them"


def _by(evidence: Evidence, connection: Connection) -> str:
    """The fault that was applied, if any stands in the timeline."""
    done = evidence.faults(connection.ended, connection.client, connection.server)
    return f" ({render(done[0])})" if done else ""


def _of(count: int, total: int) -> str:
    return ("it" if total == 1 else "all") if count == total else f"{count}"
