"""Follows each packet across the routers, from the capture at its sender to the last one that saw it.

If a packet entered a router that had to forward it and didn't leave it, the router lost it. Therefore every
interface of every router is captured: a capture at the sender alone doesn't show loss. Each router is matched
by itself (routes.matching), and so is each segment between two routers; the pairs are then chained.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.retransmissions import mark_retransmissions
from lab.evidence.packets.routes.matching import Mark, Matching, Pair
from lab.evidence.packets.routes.network import Heading, Network
from lab.evidence.packets.routes.nodes import NetworkNode
from lab.evidence.packets.routes.translation import Translation
from lab.evidence.packets.transit import Fate, PacketTransit

DOUBT = 0.05  # seconds around a gap of a capture; packets may be missing there


@dataclass(frozen=True, slots=True)
class _Step:
    """A pair, and where it was matched: the router that the packet crossed, or "" between two nodes.

    ``crosses``: whether it is a crossing: of a router, or from host to host.
    """

    pair: Pair
    router: str
    crosses: bool


@dataclass
class _Path:
    """The path of one packet: its last piece in each capture, and the places at which a piece was lost."""

    sightings: list[Packet]
    crossed: bool = False  # whether it crossed a router, or was captured from host to host
    mark: Mark = ""
    missing: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)  # router, or segment

    def add(self, step: _Step) -> None:
        self.crossed = self.crossed or step.crosses
        self.mark = self.mark or step.pair.mark
        self.missing += step.pair.missing
        self.lost += [(step.router, "")] if step.pair.missing else []


@dataclass
class _Chains:
    """The pairs of all routers and segments, by their first packet."""

    network: Network
    headings: dict[int, Heading] = field(default_factory=dict)  # by id() of the packet, as the next ones
    steps: dict[int, _Step] = field(default_factory=dict)
    copies: dict[int, list[Packet]] = field(default_factory=lambda: defaultdict(list))
    followed: set[int] = field(default_factory=set)  # packets that aren't the first of their path
    undecided: set[int] = field(default_factory=set)  # packets whose translation can't be proved

    def match_router(self, title: str, packets: list[Packet]) -> None:
        """Matches the packets that one router captured before it with those past it."""
        images = self._translate(self.network.routers[title], packets)
        near = [p for p in packets if self.headings[id(p)].kind == "enters"]
        far = [p for p in packets if self.headings[id(p)].kind in ("leaves", "sent")]
        matching = Matching(near, far, images, hops=1)
        self._add(matching.run(), title, crosses=True)

    def _translate(self, router: NetworkNode, packets: list[Packet]) -> dict[int, Packet]:
        """The packets that leave the router with other addresses, by id() of those that entered it."""
        if not router.translates:
            return {}
        near = [p for p in packets if self.headings[id(p)].kind in ("enters", "received")]
        far = [p for p in packets if self.headings[id(p)].kind in ("leaves", "sent")]
        translation = Translation(router, near, far, self.network.segment)
        for packet in packets:
            if id(packet) in translation.images:
                self.headings[id(packet)] = replace(self.headings[id(packet)], kind="enters")
        self.undecided |= translation.undecided
        return translation.images

    def match_hosts(self, packets: Sequence[Packet]) -> None:
        """Matches the packets that hosts captured at both ends, without a router's capture between them."""
        near = [p for p in packets if self.headings[id(p)].next]
        far = [p for p in packets if self.headings[id(p)].from_router]
        self._add(Matching(near, far, slack=self.network.slack).run(), crosses=True)

    def match_segment(self, packets: Sequence[Packet]) -> None:
        """Matches the packets that routers of a segment sent to each other."""
        for name in dict.fromkeys(packet.segment for packet in packets):
            near = [p for p in packets if self.headings[id(p)].next == name]
            far = [p for p in packets if p.segment == name and self.headings[id(p)].from_router]
            self._add(Matching(near, far).run())

    def match_copies(self, packets: Sequence[Packet]) -> None:
        """Matches the captures of one packet by several routers of a segment, none of which forwards it."""
        by_capture: dict[str, list[Packet]] = defaultdict(list)
        for packet in packets:
            by_capture[packet.segment].append(packet)
        seen: list[Packet] = []
        for found in by_capture.values():
            matching = Matching(seen, found)
            self._add(pair for pair in matching.run() if pair.mark != "duplicate")
            seen = sorted([*matching.near, *found], key=lambda p: p.at)

    def _add(self, pairs: Iterable[Pair], router: str = "", *, crosses: bool = False) -> None:
        for pair in pairs:
            self.followed.update(map(id, pair.far))
            if pair.mark == "duplicate":
                self.copies[id(pair.near)] += pair.far
            else:
                self.steps[id(pair.near)] = _Step(pair, router, crosses)

    def transits(self, packets: Iterable[Packet]) -> Iterator[PacketTransit]:
        """The transit of each packet, and of each further copy of it."""
        starts = [packet for packet in packets if id(packet) not in self.followed]
        waiting: deque[tuple[tuple[Packet, ...], Packet]] = deque(((), packet) for packet in starts)
        while waiting:
            before, packet = waiting.popleft()
            transit = self._transit(before, packet)
            for number, sighting in enumerate(transit.sightings[len(before) :], len(before) + 1):
                copies = self.copies.get(id(sighting), ())
                waiting += [(transit.sightings[:number], copy) for copy in copies]
            yield transit

    def _transit(self, before: tuple[Packet, ...], packet: Packet) -> PacketTransit:
        """The transit of ``packet``, which may be a further copy of the last packet of ``before``."""
        path = self._follow(packet)
        at, on = path.lost[0] if path.lost else ("", "")
        fate: Fate = "lost" if path.lost else "crossed" if before or path.crossed else "stayed"
        if not (path.lost or before) and self._is_past_a_router(packet):
            fate = "appeared"
        if fate != "crossed" and not self.undecided.isdisjoint(map(id, path.sightings)):
            fate, at, on = "unknown", "", ""
        return PacketTransit(
            sightings=(*before, *path.sightings),
            arrived=path.sightings[-1] if fate in ("crossed", "appeared") else None,
            fate=fate,
            mark="duplicate" if before else path.mark,
            missing=path.missing,
            lost_at=at,
            lost_on=on,
        )

    def _follow(self, packet: Packet) -> _Path:
        """Follows a packet, or the pieces into which it was split, as far as it was captured."""
        path, front = _Path([packet]), [packet]
        while front:
            onward: list[Packet] = []
            for piece in front:
                step = self.steps.get(id(piece))
                if step is not None:
                    onward += step.pair.far
                    path.add(step)
                elif place := self._where_lost(piece):
                    path.missing += piece.length
                    path.lost.append(place)
            path.sightings += [max(onward, key=lambda p: p.at)] if onward else []
            front = onward
        return path

    def _where_lost(self, packet: Packet) -> tuple[str, str] | None:
        """The router or the segment on which a packet was lost, if no later capture has it."""
        heading = self.headings[id(packet)]
        if heading.kind == "enters":
            return self.network.node(packet.segment), ""
        if heading.next:
            return "", self.network.segment(packet.segment)
        return None

    def _is_past_a_router(self, packet: Packet) -> bool:
        heading = self.headings[id(packet)]
        return heading.kind == "leaves" or heading.from_router


def match(
    packets: Sequence[Packet], network: Network, gaps: Sequence[tuple[float, float]] = ()
) -> list[PacketTransit]:
    """Each packet once, in order of time. ``packets`` are those of all captures, in the same order.

    ``gaps`` are the periods in which a capture didn't keep packets. Overheard packets are left out: no
    capture has all packets between two hosts of a segment.
    """
    headings = {id(packet): network.heading(packet) for packet in packets}
    packets = [packet for packet in packets if headings[id(packet)].kind != "overheard"]
    chains = _Chains(network, headings)
    by_router: dict[str, list[Packet]] = defaultdict(list)
    by_segment: dict[str, list[Packet]] = defaultdict(list)
    local: dict[str, list[Packet]] = defaultdict(list)
    for packet in packets:
        kind = chains.headings[id(packet)].kind
        by_router[network.node(packet.segment)].append(packet)
        if kind == "local" or not network.is_at_host(packet.segment):
            (local if kind == "local" else by_segment)[network.segment(packet.segment)].append(packet)
    chains.match_hosts([packet for packet in packets if network.is_at_host(packet.segment)])
    for title in network.routers:
        chains.match_router(title, by_router[title])
    for segment in network.shared:
        chains.match_segment(by_segment[segment])
        chains.match_copies(local[segment])
    transits = sorted(chains.transits(packets), key=lambda transit: transit.sent.at)
    _doubt(transits, gaps)
    mark_retransmissions(transits)
    return transits


def _doubt(transits: Iterable[PacketTransit], gaps: Sequence[tuple[float, float]]) -> None:
    """Marks packets near a gap that weren't matched as unknown: another capture may have missed them."""
    if not gaps:
        return
    delays = [transit.delay for transit in transits if transit.delay is not None]
    margin = DOUBT + max(delays, default=0.0)
    for transit in transits:
        at = transit.sent.at
        if transit.fate in ("lost", "appeared") and any(a - margin < at < b + margin for a, b in gaps):
            transit.fate, transit.lost_at, transit.lost_on = "unknown", "", ""
