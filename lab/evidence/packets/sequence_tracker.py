"""One direction of a TCP connection: which of its sequence numbers have been seen (RFC 9293, section 3.4)."""

from __future__ import annotations

from lab.evidence.packets.packet import Packet


def distance(start: int, end: int) -> int:
    """From one sequence number to another; negative where ``end`` lies before (they wrap at 2^32)."""
    return ((end - start + 2**31) & 0xFFFFFFFF) - 2**31


def sequence_space(packet: Packet) -> int:
    """How far a packet moves its sender's sequence number: SYN and FIN count as a byte."""
    return packet.length + ("S" in packet.flags) + ("F" in packet.flags)


class SequenceTracker:
    """What has been seen of a stream. Positions count from its first packet, so they don't wrap."""

    def __init__(self) -> None:
        self._seq: int | None = None  # the sequence number of the end of what was seen ...
        self.end = 0  # ... and its position
        self._gaps: list[tuple[int, int]] = []  # what was skipped before it, in order

    def add(self, packet: Packet) -> int:
        """How many sequence numbers are seen in ``packet`` for the first time."""
        if self._seq is None:
            self._seq = packet.seq
        start = self.end + distance(self._seq, packet.seq)
        end = start + sequence_space(packet)
        filled = self._fill(start, end) if self._gaps and start < self._gaps[-1][1] else 0
        new = max(0, end - max(start, self.end))
        if new:
            if start > self.end:
                self._gaps.append((self.end, start))
            self._seq, self.end = (packet.seq + end - start) & 0xFFFFFFFF, end
        return new + filled

    def behind(self, packet: Packet) -> int:
        """How far before the end of what was seen the packet begins; 0 where nothing was."""
        return 0 if self._seq is None else distance(packet.seq, self._seq)

    def _fill(self, start: int, end: int) -> int:
        """Takes [start, end) out of the gaps; returns how much that was."""
        left, filled = [], 0
        for low, high in self._gaps:
            overlap = min(end, high) - max(start, low)
            if overlap <= 0:
                left.append((low, high))
                continue
            filled += overlap
            left += [part for part in ((low, start), (end, high)) if part[0] < part[1]]
        self._gaps = left
        return filled
