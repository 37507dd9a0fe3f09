"""Marks TCP packets that were sent before: retransmissions and probes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.sequence_tracker import SequenceTracker, sequence_space
from lab.evidence.packets.transit import PacketTransit


def mark_retransmissions(transits: Iterable[PacketTransit]) -> None:
    """Marks probes, and TCP packets whose sequence numbers were all sent before."""
    sent: dict[Hashable, SequenceTracker] = {}
    first_syn: dict[Hashable, int] = {}
    for transit in transits:
        packet = transit.sent
        if packet.protocol != "tcp" or transit.mark or transit.fate == "appeared":
            continue
        if "S" in packet.flags and first_syn.get(packet.flow) != packet.seq:
            first_syn[packet.flow] = packet.seq
            sent[packet.flow] = SequenceTracker()  # a new connection, perhaps with the ports of an older one
        seen = sent.setdefault(packet.flow, SequenceTracker())
        if _probes(packet, seen):
            transit.mark = "probe"
        elif not seen.add(packet) and sequence_space(packet):
            transit.mark = "retransmission"


def _probes(packet: Packet, seen: SequenceTracker) -> bool:
    """Whether it is a keep-alive or a zero-window probe (RFC 9293, sections 3.8.4 and 3.8.6.1).

    Its sequence number is one below the next, and it has no data or one old byte.
    """
    return (
        packet.flags == "A"
        and packet.length <= 1
        and packet.payload in (b"", b"\0")
        and seen.behind(packet) == 1
    )
