"""Matches packets across the router: pairs each packet captured before it with the one captured after it.

If a packet had to cross the router and was captured on one segment only, the router lost it. Therefore there
are two captures: a capture at the sender alone doesn't show loss.

Strategy: packets that had to cross are matched by the fields that a router doesn't change: first by all of
them, then by fewer. So a packet is found even if it has another IP identification (a duplicate), other bytes
(corruption), or was split into smaller segments (with segmentation offload a capture sees TCP packets of up
to 64 KiB).
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median
from typing import Literal, TypeAlias

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.sequence_tracker import SequenceTracker, distance, sequence_space

Fate: TypeAlias = Literal["crossed", "lost", "stayed", "appeared", "unknown"]
Mark: TypeAlias = Literal["", "retransmission", "probe", "duplicate", "corrupted"]

DOUBT = 0.05  # seconds around a gap of a capture; packets may be missing there
SLACK = 0.0005  # seconds by which a packet may seem to leave the router before it arrived (clock error)


@dataclass(slots=True)
class PacketTransit:
    """One packet: as captured on the sender's segment, and as captured past the router.

    crossed   captured on both segments
    lost      it had to cross the router and didn't leave it
    stayed    its destination is on the same segment or is the router (ARP, neighbour discovery, a ping of
              the router), or the router sent it (an ICMP error)
    appeared  captured past the router only (``sent`` is ``arrived``)
    unknown   captured on one segment while the capture of the other one was incomplete
    """

    sent: Packet
    arrived: Packet | None
    fate: Fate
    mark: Mark = ""
    missing: int = 0  # bytes of a lost packet that didn't leave the router; it may have been split

    @property
    def delay(self) -> float | None:
        """Seconds from one segment to the other; None if it didn't arrive."""
        return None if self.arrived is None else self.arrived.at - self.sent.at


@dataclass(frozen=True)
class Segment:
    """One side of the router: its networks, and the router's addresses there."""

    name: str
    networks: tuple[str, ...]  # "192.168.40.0/24", "fd28:40::/64"
    router: tuple[str, ...] = ()


class SegmentMap:
    """Finds the segment of an address, and so whether a packet has to cross the router."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        segments = list(segments)
        self._networks = [(ipaddress.ip_network(n), s.name) for s in segments for n in s.networks]
        self._router = {address for segment in segments for address in segment.router}
        self.home = lru_cache(maxsize=4096)(self._home)

    def _home(self, address: str) -> str | None:
        """The segment of ``address``; None for multicast, link-local and unknown addresses."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return None
        return next((name for network, name in self._networks if ip in network), None)

    def side(self, packet: Packet) -> Literal["near", "far", "stays"]:
        """Where it was captured: before the router, past it, or on a segment that it doesn't leave."""
        if packet.protocol in ("arp", "other") or self._router & {packet.source, packet.destination}:
            return "stays"
        here, there = self.home(packet.source), self.home(packet.destination)
        if here == there or not _routable(packet.destination):
            return "stays"
        if here == packet.segment:
            return "near"
        return "far" if there == packet.segment else "stays"


@lru_cache(maxsize=4096)
def _routable(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return not (ip.is_multicast or ip.is_link_local or ip.is_unspecified or address == "255.255.255.255")


Key: TypeAlias = Callable[[Packet], Hashable]


def _exact(p: Packet) -> Hashable:
    return (p.flow, p.ident, p.fragment, p.seq, p.ack, p.flags, p.window, p.length, p.icmp, p.payload)


def _without_ident(p: Packet) -> Hashable:
    return (p.flow, p.fragment, p.seq, p.ack, p.flags, p.length, p.icmp, p.payload)


def _same_datagram(p: Packet) -> Hashable:
    """Fields that survive corruption past the IP header; without an identification, nothing matches."""
    return (p.source, p.destination, p.ident, p.fragment, p.size) if p.ident else id(p)


@dataclass
class _Matching:
    near: list[Packet]
    far: list[Packet]
    typical: float = 0.0
    done: list[PacketTransit] = field(default_factory=list)

    def by(self, key: Key, mark: Mark = "") -> None:
        """Matches packets with the same key on both sides; the rest is left for the next key."""
        near, far = _grouped(self.near, key), _grouped(self.far, key)
        pairs = [(group, far.pop(k, [])) for k, group in near.items()]
        unique = [f[0].at - n[0].at for n, f in pairs if len(n) == 1 and len(f) == 1]
        self.typical = median(unique) if unique else self.typical
        self.near, self.far = [], [p for group in far.values() for p in group]
        for group, seen in pairs:
            self._pair(group, seen, mark)

    def _pair(self, near: list[Packet], far: list[Packet], mark: Mark) -> None:
        """Matches packets with one key: each arrival with the packet whose delay is most typical."""
        waiting, times = list(near), [p.at for p in near]
        in_step = len(near) == len(far)
        for packet in far:
            index = 0 if in_step else _closest(times, packet.at - self.typical)
            while index >= 0 and times and times[index] > packet.at + SLACK:
                index -= 1
            if index >= 0 and times:
                self.done.append(PacketTransit(waiting.pop(index), packet, "crossed", mark))
                del times[index]
            elif near[0].at <= packet.at + SLACK:
                earlier = max((p for p in near if p.at <= packet.at + SLACK), key=lambda p: p.at)
                self.done.append(PacketTransit(earlier, packet, "crossed", "duplicate"))
            else:
                self.far.append(packet)
        self.near += waiting

    def cut_up(self) -> None:
        """Matches TCP packets whose bytes left the router in other packets."""
        pieces = _grouped((p for p in self.far if p.protocol == "tcp" and p.length), lambda p: p.flow)
        whole = _grouped((p for p in self.near if p.protocol == "tcp" and p.length), lambda p: p.flow)
        taken: set[int] = set()
        for flow, sent in whole.items():
            taken |= self._assign(sent, pieces.get(flow, []))
        self.near = [p for p in self.near if id(p) not in taken]
        self.far = [p for p in self.far if id(p) not in taken]

    def _assign(self, sent: list[Packet], pieces: list[Packet]) -> set[int]:
        """Assigns each piece to the last packet before it with the same bytes. Returns the ids of both."""
        sent = sorted(sent, key=lambda p: p.at)
        times = [p.at for p in sent]
        parts: dict[int, list[Packet]] = defaultdict(list)
        for piece in pieces:
            for index in range(bisect_right(times, piece.at + SLACK) - 1, -1, -1):
                if _overlap(sent[index], piece):
                    parts[index].append(piece)
                    break
        done = set()
        for index, found in parts.items():
            packet = sent[index]
            missing = packet.length - sum(_overlap(packet, piece) for piece in found)
            last = max(found, key=lambda p: p.at)
            fate: Fate = "lost" if missing > 0 else "crossed"
            self.done.append(PacketTransit(packet, last, fate, missing=max(0, missing)))
            done |= {id(packet), *map(id, found)}
        return done


def _closest(times: list[float], at: float) -> int:
    """The index of the time closest to ``at``; -1 if there are no times."""
    index = bisect_left(times, at)
    if index and (index == len(times) or at - times[index - 1] <= times[index] - at):
        index -= 1
    return index if times else -1


def _overlap(one: Packet, other: Packet) -> int:
    """The number of bytes of the stream that two packets of one flow have in common."""
    start = distance(one.seq, other.seq)  # of the other packet, relative to this one
    return max(0, min(one.length, start + other.length) - max(0, start))


def _grouped(packets: Iterable[Packet], key: Key) -> dict[Hashable, list[Packet]]:
    groups: dict[Hashable, list[Packet]] = defaultdict(list)
    for packet in packets:
        groups[key(packet)].append(packet)
    return groups


def match(
    packets: Sequence[Packet], segments: Iterable[Segment], gaps: Sequence[tuple[float, float]] = ()
) -> list[PacketTransit]:
    """Each packet once, in order of time. ``packets`` are those of all captures, in the same order.

    ``gaps`` are the periods in which a capture didn't keep packets.
    """
    sides: Mapping[str, list[Packet]] = {"near": [], "far": [], "stays": []}
    where = SegmentMap(segments)
    for packet in packets:
        sides[where.side(packet)].append(packet)
    matching = _Matching(sides["near"], sides["far"])
    matching.by(_exact)
    if matching.near and matching.far:
        matching.by(_without_ident)
        matching.cut_up()
        matching.by(_same_datagram, "corrupted")
    transits = matching.done
    transits += [PacketTransit(packet, None, "lost", missing=packet.length) for packet in matching.near]
    transits += _leftover(matching.far, transits)
    transits += [PacketTransit(packet, None, "stayed") for packet in sides["stays"]]
    transits.sort(key=lambda transit: transit.sent.at)
    _doubt(transits, gaps)
    _mark_retransmissions(transits)
    return transits


def _leftover(far: list[Packet], transits: list[PacketTransit]) -> list[PacketTransit]:
    """Packets captured past the router only: duplicates with another identification, or new ones."""
    if not far:
        return []
    sent = {_without_ident(p.sent): p.sent for p in transits if p.arrived is not None}
    result = []
    for packet in far:
        original = sent.get(_without_ident(packet))
        if original is not None and original.at <= packet.at + SLACK:
            result.append(PacketTransit(original, packet, "crossed", "duplicate"))
        else:
            result.append(PacketTransit(packet, packet, "appeared"))
    return result


def _doubt(transits: Iterable[PacketTransit], gaps: Sequence[tuple[float, float]]) -> None:
    """Marks packets near a gap that weren't matched as unknown: the other capture may have missed them."""
    if not gaps:
        return
    delays = [transit.delay for transit in transits if transit.delay is not None]
    margin = DOUBT + max(delays, default=0.0)
    for transit in transits:
        at = transit.sent.at
        if transit.fate in ("lost", "appeared") and any(a - margin < at < b + margin for a, b in gaps):
            transit.fate = "unknown"


def _mark_retransmissions(transits: Iterable[PacketTransit]) -> None:
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
