"""PacketTransit: the packets of the captures on both sides of the router, matched.

Seen on one segment only, a packet that had to cross the router was lost in it. That is how loss shows, and
that is why there are two captures: a sender's own view can't tell loss from silence.

Strategy: packets that had to cross are matched by what no router changes, first with every field, then with
fewer and fewer, so that a packet that was changed on its way is still found: with another IP identification
(a duplicate that was sent anew), with other bytes (corruption), or cut into smaller segments (a sender's
kernel leaves that to the last moment, so a capture sees TCP packets of up to 64 KiB).
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

PacketDecision: TypeAlias = Literal["crossed", "lost", "stayed", "appeared", "unknown"]
Mark: TypeAlias = Literal["", "retransmission", "probe", "duplicate", "corrupted"]

DOUBT = 0.05  # seconds around a gap of a capture in which a packet may be missing for that reason
SLACK = 0.0005  # seconds by which a packet may seem to leave the router before it came


@dataclass(slots=True)
class PacketTransit:
    """One packet on its way: where it was seen first, and where it came out of the router.

    crossed   seen on both segments
    lost      it had to cross the router, and never came out
    stayed    its destination is on the segment, or the router itself (ARP, neighbour discovery, a ping of
              the router), or the router sent it (an ICMP error)
    appeared  seen past the router only (``sent`` is ``arrived``): nothing like it went in
    unknown   seen on one segment, while the capture of the other left packets out
    """

    sent: Packet
    arrived: Packet | None
    fate: PacketDecision
    mark: Mark = ""
    missing: int = 0  # of a lost packet that the router cut up: bytes that didn't come out

    @property
    def delay(self) -> float | None:
        """Seconds from one segment to the other."""
        return None if self.arrived is None else self.arrived.at - self.sent.at


@dataclass(frozen=True)
class Segment:
    """What is on one side of the router: its networks, and the router's own addresses there."""

    name: str
    networks: tuple[str, ...]  # "192.168.40.0/24", "fd28:40::/64"
    router: tuple[str, ...] = ()


class Map:
    """Tells on which segment an address is, and so whether a packet has to cross the router."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        segments = list(segments)
        self._networks = [(ipaddress.ip_network(n), s.name) for s in segments for n in s.networks]
        self._router = {address for segment in segments for address in segment.router}
        self.home = lru_cache(maxsize=4096)(self._home)

    def _home(self, address: str) -> str | None:
        """The segment that has ``address``; None for multicast, link-local and unknown ones."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return None
        return next((name for network, name in self._networks if ip in network), None)

    def side(self, packet: Packet) -> Literal["near", "far", "stays"]:
        """Where ``packet`` was seen: before the router, past it, or on a segment that it doesn't leave."""
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
    """What corruption of anything past the IP header leaves. No identification, no telling."""
    return (p.source, p.destination, p.ident, p.fragment, p.size) if p.ident else id(p)


@dataclass
class _Matching:
    near: list[Packet]
    far: list[Packet]
    typical: float = 0.0
    done: list[PacketTransit] = field(default_factory=list)

    def by(self, key: Key, mark: Mark = "") -> None:
        """Matches what has the same key on both sides; the rest stays for the next key."""
        near, far = _grouped(self.near, key), _grouped(self.far, key)
        pairs = [(group, far.pop(k, [])) for k, group in near.items()]
        unique = [f[0].at - n[0].at for n, f in pairs if len(n) == 1 and len(f) == 1]
        self.typical = median(unique) if unique else self.typical
        self.near, self.far = [], [p for group in far.values() for p in group]
        for group, seen in pairs:
            self._pair(group, seen, mark)

    def _pair(self, near: list[Packet], far: list[Packet], mark: Mark) -> None:
        """Packets that look the same: each that came out goes with what it followed most typically."""
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
        """Matches TCP packets whose bytes came out in other packets than they went in."""
        pieces = _grouped((p for p in self.far if p.protocol == "tcp" and p.length), lambda p: p.flow)
        whole = _grouped((p for p in self.near if p.protocol == "tcp" and p.length), lambda p: p.flow)
        taken: set[int] = set()
        for flow, sent in whole.items():
            taken |= self._assign(sent, pieces.get(flow, []))
        self.near = [p for p in self.near if id(p) not in taken]
        self.far = [p for p in self.far if id(p) not in taken]

    def _assign(self, sent: list[Packet], pieces: list[Packet]) -> set[int]:
        """Gives each piece to the last packet before it that has its bytes. Returns the ids of the done."""
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
            fate: PacketDecision = "lost" if missing > 0 else "crossed"
            self.done.append(PacketTransit(packet, last, fate, missing=max(0, missing)))
            done |= {id(packet), *map(id, found)}
        return done


def _closest(times: list[float], at: float) -> int:
    """The index of the moment closest to ``at``; -1 where there is none."""
    index = bisect_left(times, at)
    if index and (index == len(times) or at - times[index - 1] <= times[index] - at):
        index -= 1
    return index if times else -1


def _overlap(one: Packet, other: Packet) -> int:
    """How many bytes of the stream two packets of one flow have in common."""
    start = distance(one.seq, other.seq)  # of the other, from the first byte of the one
    return max(0, min(one.length, start + other.length) - max(0, start))


def _grouped(packets: Iterable[Packet], key: Key) -> dict[Hashable, list[Packet]]:
    groups: dict[Hashable, list[Packet]] = defaultdict(list)
    for packet in packets:
        groups[key(packet)].append(packet)
    return groups


def match(
    packets: Sequence[Packet], segments: Iterable[Segment], gaps: Sequence[tuple[float, float]] = ()
) -> list[PacketTransit]:
    """Every packet of the segments' captures, in the order of time, each once. ``packets`` are in order.

    ``gaps`` are the times in which a capture left packets out.
    """
    sides: Mapping[str, list[Packet]] = {"near": [], "far": [], "stays": []}
    where = Map(segments)
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
    """What came out without having gone in: a copy of what did (with its own identification), or new."""
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
    """What misses its other half near a gap may have it in the gap: nothing is known of it."""
    if not gaps:
        return
    delays = [transit.delay for transit in transits if transit.delay is not None]
    margin = DOUBT + max(delays, default=0.0)
    for transit in transits:
        at = transit.sent.at
        if transit.fate in ("lost", "appeared") and any(a - margin < at < b + margin for a, b in gaps):
            transit.fate = "unknown"


def _mark_retransmissions(transits: Iterable[PacketTransit]) -> None:
    """Marks TCP packets all of whose bytes (SYN and FIN count as one) had been sent before, and probes."""
    sent: dict[Hashable, SequenceTracker] = {}
    first_syn: dict[Hashable, int] = {}
    for transit in transits:
        packet = transit.sent
        if packet.protocol != "tcp" or transit.mark or transit.fate == "appeared":
            continue
        if "S" in packet.flags and first_syn.get(packet.flow) != packet.seq:
            first_syn[packet.flow] = packet.seq
            sent[packet.flow] = SequenceTracker()  # a new connection, maybe on the ports of an older one
        seen = sent.setdefault(packet.flow, SequenceTracker())
        if _probes(packet, seen):
            transit.mark = "probe"
        elif not seen.add(packet) and sequence_space(packet):
            transit.mark = "retransmission"


def _probes(packet: Packet, seen: SequenceTracker) -> bool:
    """It asks whether the peer lives, or has room again, and repeats nothing that was lost.

    A number that the peer has had already, with no byte or an old one (RFC 9293, sections 3.8.4 and 3.8.6.1).
    """
    return (
        packet.flags == "A"
        and packet.length <= 1
        and packet.payload in (b"", b"\0")
        and seen.behind(packet) == 1
    )
