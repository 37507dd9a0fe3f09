"""The sequence numbers seen in one direction of a TCP connection (RFC 9293, section 3.4)."""

from __future__ import annotations

from lab.evidence.packets.packet import Packet


def distance(start: int, end: int) -> int:
    """The distance between two sequence numbers, modulo 2^32; negative if ``end`` is before ``start``."""
    return ((end - start + 2**31) & 0xFFFFFFFF) - 2**31


def sequence_space(packet: Packet) -> int:
    """The sequence numbers that a packet uses: one for each byte, for SYN and for FIN."""
    return packet.length + ("S" in packet.flags) + ("F" in packet.flags)


class SequenceTracker:
    """The parts of a stream that were seen. Positions count from its first packet, so they don't wrap."""

    def __init__(self) -> None:
        self._seq: int | None = None  # the sequence number after the last one seen
        self.end = 0  # its position
        self._gaps: list[tuple[int, int]] = []  # positions before it that weren't seen, in order

    def add(self, packet: Packet) -> int:
        """Adds a packet. Returns the number of its sequence numbers that weren't seen before."""
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
        """The distance from the start of the packet to the end of the seen part; 0 if nothing was seen."""
        return 0 if self._seq is None else distance(packet.seq, self._seq)

    def _fill(self, start: int, end: int) -> int:
        """Removes [start, end) from the gaps. Returns the number of positions removed."""
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
