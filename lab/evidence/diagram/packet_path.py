"""The path of a packet: the nodes that it passed, leg by leg, as far as it was captured.

The terminal's diagram, the trace page and the gallery draw packets along the same paths.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit

UNKNOWN = ""  # a node whose address is in no record
SEGMENT = attrgetter("segment")
SLOW = 0.0015  # seconds in a router; a delay of at least this is shown


class Leg(NamedTuple):
    """The part of a packet's path from one node to the next.

    ``first`` and ``last`` are indices of its sightings: as it left ``source``, and as it reached ``target``.
    """

    source: str  # titles of nodes
    target: str
    first: int
    last: int


@dataclass(frozen=True)
class Path:
    """The legs of a packet, in order."""

    legs: tuple[Leg, ...]
    sender: str
    receiver: str  # by its address; a lost packet didn't reach it
    lost_at: str = ""  # the router that didn't pass it on, or the last one before the segment ``lost_on``
    lost_on: str = ""
    unsent: bool = False  # its first leg begins at a router, because it wasn't captured before that

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes in order, from the first to the last that it reached."""
        return (*(leg.source for leg in self.legs[:1]), *(leg.target for leg in self.legs))

    @property
    def involved(self) -> frozenset[str]:
        """All nodes that it concerns, with the sender and the receiver."""
        return frozenset((*self.nodes, self.sender, self.receiver)) - {UNKNOWN}

    def among(self, shown: Collection[str]) -> Path:
        """The path between nodes that are ``shown``: two legs become one if the node between them is not."""
        legs: list[Leg] = []
        for leg in self.legs:
            if legs and legs[-1].target not in shown and legs[-1].target != UNKNOWN:
                leg = leg._replace(source=legs[-1].source, first=legs.pop().first)
            legs.append(leg)
        return replace(self, legs=tuple(legs))


class Translation(NamedTuple):
    """A router changed an address or a port of a packet: both ends of the packet before and after."""

    node: str
    source: tuple[Endpoint, Endpoint]
    destination: tuple[Endpoint, Endpoint]

    @property
    def text(self) -> str:
        """Such as "10.1.0.10:40000 → 172.28.1.2:40000"."""
        changed = [ends for ends in (self.source, self.destination) if ends[0] != ends[1]]
        return ", ".join(f"{before} → {after}" for before, after in changed)

    @property
    def short(self) -> str:
        """The new address and port."""
        return " → ".join(str(ends[1]) for ends in (self.source, self.destination) if ends[0] != ends[1])


class Paths:
    """Finds the paths of packets. Most packets of a run take one of few paths, so these are kept."""

    def __init__(self, traffic: Traffic) -> None:
        self.names = traffic.names
        self.router = {name: capture.node for name, capture in traffic.captures.items()}
        self._segment = {name: capture.segment for name, capture in traffic.captures.items()}
        self._networks = {
            name: [ipaddress.ip_network(network) for network in capture.networks]
            for name, capture in traffic.captures.items()
        }
        self._known: dict[object, Path] = {}

    def of(self, transit: PacketTransit, sender: str = UNKNOWN) -> Path:
        """The path of a packet. ``sender`` is the title of its sender if its address is unknown."""
        seen = transit.sightings
        ends = seen[0].source, seen[-1].destination
        key = (*ends, sender, transit.fate, transit.lost_at, transit.lost_on, *map(SEGMENT, seen))
        path = self._known.get(key)
        if path is None:
            path = self._path(transit, self.names.get(ends[0], sender), self.names.get(ends[1], UNKNOWN))
            self._known[key] = path
        return path

    def translations(self, transit: PacketTransit) -> Iterator[Translation]:
        """The routers that changed an address or a port of the packet."""
        for before, after in pairwise(transit.sightings):
            if (before.source, before.destination) != (after.source, after.destination):
                sources = Endpoint(before.source, before.sport), Endpoint(after.source, after.sport)
                targets = (
                    Endpoint(before.destination, before.dport),
                    Endpoint(after.destination, after.dport),
                )
                yield Translation(self.router[after.segment], sources, targets)

    def _path(self, transit: PacketTransit, sender: str, receiver: str) -> Path:
        seen = transit.sightings
        if transit.fate == "stayed":
            return Path((self._within(seen, sender, receiver),), sender, receiver)
        stops = self._stops(seen)
        lost_at, lost_on = self._loss(transit)
        stops = _until(lost_at, stops) if lost_at else stops
        unsent = transit.fate == "appeared" or self._leaves(seen[0])
        arrives = not lost_at and (unsent or transit.fate != "unknown")
        if sender != stops[0].node and not unsent:
            stops.insert(0, _Stop(sender, 0, 0))
        if receiver != stops[-1].node and arrives:
            stops.append(_Stop(receiver, len(seen) - 1, len(seen) - 1))
        legs = tuple(Leg(one.node, other.node, one.out, other.into) for one, other in pairwise(stops))
        return Path(legs, sender, receiver, lost_at, lost_on, unsent)

    def _within(self, seen: Sequence[Packet], sender: str, receiver: str) -> Leg:
        """The leg of a packet that stays on its segment; a broadcast is drawn to the router."""
        router = self.router[seen[0].segment]
        if receiver == UNKNOWN and sender != router:
            receiver = router
        return Leg(sender, receiver, 0, len(seen) - 1)

    def _stops(self, seen: Sequence[Packet]) -> list[_Stop]:
        """The routers that captured it, in order, with the first and the last of their captures."""
        found = groupby(range(len(seen)), key=lambda index: self.router[seen[index].segment])
        indices = [(router, list(group)) for router, group in found]
        return [_Stop(router, group[0], group[-1]) for router, group in indices]

    def _loss(self, transit: PacketTransit) -> tuple[str, str]:
        """The last router that a lost packet reached, and the segment beyond it if it was lost there."""
        if transit.lost_at or not transit.lost_on:
            return transit.lost_at, ""
        on = [p for p in transit.sightings if self._segment[p.segment] == transit.lost_on]
        return self.router[(on or transit.sightings[-1:])[0].segment], transit.lost_on

    def _leaves(self, packet: Packet) -> bool:
        """Whether it was captured only on its way out of a router that isn't its sender."""
        if self._is_on(packet.segment, packet.source):
            return False
        return self._is_on(packet.segment, packet.destination)

    def _is_on(self, segment: str, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks[segment])


class _Stop(NamedTuple):
    node: str
    into: int  # the sighting with which it came in
    out: int  # the sighting with which it left


def _until(node: str, stops: Sequence[_Stop]) -> list[_Stop]:
    """The stops up to ``node``, which is added if it captured nothing."""
    last = stops[-1].out
    found = next((n for n, stop in enumerate(stops) if stop.node == node), None)
    return [*stops, _Stop(node, last, last)] if found is None else list(stops[: found + 1])
