"""Rules about datagrams, whose loss nobody is told of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, many
from lab.evidence.events import CounterChanged
from lab.evidence.packets.datagrams import Datagram


def unreachable(evidence: Evidence) -> Iterator[Finding]:
    """UDP to where nothing listens: an ICMP error comes back, and an unconnected sender never hears of it."""
    groups: dict[tuple[str, str, int, str], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        if datagram.unreachable:
            groups[(datagram.sender, datagram.receiver, datagram.port, datagram.unreachable)].append(datagram)
    for (sender, receiver, port, what), group in groups.items():
        if what == "ICMP port unreachable":
            why = f"nothing listens on UDP port {port} of {receiver}"
        else:
            why = f"{group[0].unreachable_from} couldn't pass it on"
        yield Finding(
            f"{sender}'s {many(len(group), 'datagram')} to {receiver}:{port} got "
            f"“{what.removeprefix('ICMP ')}” back: {why}; only a connected UDP socket is told.",
            group[0].sent_at,
            frozenset({f"udp {receiver}:{port}"}),
            ("udp-refused",),
        )


def overrun(evidence: Evidence) -> Iterator[Finding]:
    """A receive buffer that ran over."""
    lost: Counter[str] = Counter()
    last: dict[str, float] = {}
    for event in evidence.events:
        if isinstance(event, CounterChanged) and event.name.endswith(".RcvbufErrors"):
            lost[event.node] += event.change
            last[event.node] = event.at
    for node, count in lost.items():
        yield Finding(
            f"{node} threw {many(count, 'datagram')} away: they arrived while the receive buffer was full "
            "(RcvbufErrors moved), and nobody is told.",
            last[node],
            frozenset({f"overrun {node}"}),
            ("udp-overrun",),
        )


def lost_on_the_way(evidence: Evidence) -> Iterator[Finding]:
    """Datagrams that never came out of the router."""
    groups: dict[tuple[str, str, int], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        groups[(datagram.sender, datagram.receiver, datagram.port)].append(datagram)
    for (sender, receiver, port), group in groups.items():
        lost = [datagram for datagram in group if datagram.lost]
        if not lost or any(datagram.unreachable for datagram in lost):
            continue
        pieces = [datagram for datagram in lost if datagram.fragments > datagram.fragments_lost]
        how = (
            f"; of {len(pieces)} only some fragments were lost, and with one fragment the datagram is gone"
            if pieces
            else ""
        )
        yield Finding(
            f"{len(lost)} of {sender}'s {many(len(group), 'datagram')} to {receiver}:{port} went into the "
            f"router and never came out{how}; UDP tells nobody.",
            lost[0].sent_at,
            frozenset({f"udp {receiver}:{port}"}),
            ("udp-mtu",) if pieces else ("udp-reliable",),
        )
