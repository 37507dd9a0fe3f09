"""Matches the packets that entered a router with those that left it; also those at both ends of a segment.

Strategy: packets are matched by the fields that a router doesn't change: first by all of them, then by fewer.
So a packet is found even if it has another IP identification (a duplicate), other bytes (corruption), or was
split into smaller segments (with segmentation offload a capture sees TCP packets of up to 64 KiB).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeAlias

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.sequence_tracker import distance

Mark: TypeAlias = Literal["", "retransmission", "probe", "duplicate", "corrupted"]
Key: TypeAlias = Callable[[Packet], Hashable]
HopKey: TypeAlias = Callable[[Packet, int], Hashable]

SLACK = 0.0005  # seconds by which a packet may seem to leave the router before it arrived (clock error)


@dataclass(frozen=True, slots=True)
class Pair:
    """A packet before the router, and the packets in which its bytes were captured past it."""

    near: Packet
    far: tuple[Packet, ...]
    mark: Mark = ""
    missing: int = 0  # bytes that aren't in ``far``


def content(p: Packet) -> Hashable:
    """The payload; of an ICMP error, the packet that it quotes, whose addresses may be translated."""
    return p.payload if p.about is None else (p.about.flow, p.about.ident, p.about.seq, p.about.echo)


def _exact(p: Packet, hops: int) -> Hashable:
    """All fields; ``hops`` is the number of routers that the packet still has to cross."""
    return (
        p.flow, p.ident, p.ttl - hops, p.fragment, p.seq, p.ack, p.flags, p.window, p.length, p.icmp, p.echo,
        content(p),
    )  # fmt: skip


def _without_ident(p: Packet, _: int = 0) -> Hashable:
    return (p.flow, p.fragment, p.seq, p.ack, p.flags, p.length, p.icmp, p.echo, content(p))


def _same_datagram(p: Packet, _: int = 0) -> Hashable:
    """Fields that survive corruption past the IP header; without an identification, nothing matches."""
    return (p.source, p.destination, p.ident, p.fragment, p.size) if p.ident else id(p)


@dataclass
class Matching:
    """Pairs the packets ``near`` with those ``far``; unmatched packets stay in both lists.

    ``hops`` is 1 for a router, which decreases the time to live, and 0 for a segment. ``images`` has, by
    id(), those packets of ``near`` that are expected with other addresses: translated. ``slack`` is the time
    by which a packet may seem to arrive before it was sent.
    """

    near: list[Packet]
    far: list[Packet]
    images: Mapping[int, Packet] = field(default_factory=dict)
    hops: int = 0
    slack: float = SLACK
    typical: float = 0.0  # seconds
    done: list[Pair] = field(default_factory=list)

    def run(self) -> list[Pair]:
        """All pairs."""
        self._by(_exact)
        if self.near and self.far:
            self._by(_without_ident)
            self._cut_up()
            self._by(_same_datagram, "corrupted")
        if self.far:
            self._late_copies()
        return self.done

    def _image(self, packet: Packet) -> Packet:
        return self.images.get(id(packet), packet)

    def _by(self, key: HopKey, mark: Mark = "") -> None:
        """Matches packets with the same key on both sides; the rest is left for the next key."""
        near = _grouped(self.near, lambda p: key(self._image(p), self.hops))
        far = _grouped(self.far, lambda p: key(p, 0))
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
            while index >= 0 and times and times[index] > packet.at + self.slack:
                index -= 1
            if index >= 0 and times:
                self.done.append(Pair(waiting.pop(index), (packet,), mark))
                del times[index]
            elif near[0].at <= packet.at + self.slack:
                earlier = max((p for p in near if p.at <= packet.at + self.slack), key=lambda p: p.at)
                self.done.append(Pair(earlier, (packet,), "duplicate"))
            else:
                self.far.append(packet)
        self.near += waiting

    def _cut_up(self) -> None:
        """Matches TCP packets whose bytes left the router in other packets."""
        pieces = _grouped((p for p in self.far if p.protocol == "tcp" and p.length), lambda p: p.flow)
        sent = (p for p in self.near if p.protocol == "tcp" and p.length)
        taken: set[int] = set()
        for flow, whole in _grouped(sent, lambda p: self._image(p).flow).items():
            taken |= self._assign(whole, pieces.get(flow, []))
        self.near = [p for p in self.near if id(p) not in taken]
        self.far = [p for p in self.far if id(p) not in taken]

    def _assign(self, sent: list[Packet], pieces: list[Packet]) -> set[int]:
        """Assigns each piece to the last packet before it with the same bytes. Returns the ids of both."""
        sent = sorted(sent, key=lambda p: p.at)
        times = [p.at for p in sent]
        parts: dict[int, list[Packet]] = defaultdict(list)
        for piece in pieces:
            for index in range(bisect_right(times, piece.at + self.slack) - 1, -1, -1):
                if _overlap(sent[index], piece):
                    parts[index].append(piece)
                    break
        done = set()
        for index, found in parts.items():
            packet = sent[index]
            missing = packet.length - sum(_overlap(packet, piece) for piece in found)
            self.done.append(Pair(packet, tuple(found), missing=max(0, missing)))
            done |= {id(packet), *map(id, found)}
        return done

    def _late_copies(self) -> None:
        """Matches further copies that got another identification, as duplicates."""
        sent = {_without_ident(self._image(pair.near)): pair.near for pair in self.done}
        left = []
        for packet in self.far:
            original = sent.get(_without_ident(packet))
            if original is not None and original.at <= packet.at + self.slack:
                self.done.append(Pair(original, (packet,), "duplicate"))
            else:
                left.append(packet)
        self.far = left


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
