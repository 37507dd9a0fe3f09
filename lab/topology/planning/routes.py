"""Finds the routes of each node: by the smallest number of routers, ties by the router's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from lab.topology.model import Topology

Segments: TypeAlias = Sequence[str]


@dataclass(frozen=True)
class Hop:
    """The next router, on a segment that it shares with the node."""

    router: str
    segment: str


Table: TypeAlias = dict[str, Hop]  # the next hop, by the segment of the destination


@dataclass(frozen=True)
class Routing:
    """The routers of a lab by name, with the segments that each is on.

    ``translated`` has the segments behind the address translation of a router, ``overrides`` its next
    router for a segment.
    """

    routers: Mapping[str, Segments]
    translated: Mapping[str, Segments] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(segment for each in self.routers.values() for segment in each))

    @cached_property
    def behind(self) -> dict[str, set[str]]:
        """The segments behind the address translation of each router, those of further routers included."""
        return {router: self.connected(segments, router) for router, segments in self.translated.items()}

    def connected(self, segments: Segments, without: str = "") -> set[str]:
        """The segments that are connected to these by routers other than ``without``."""
        found = set(segments)
        others = {name: set(each) for name, each in self.routers.items() if name != without}
        while new := {s for each in others.values() if each & found for s in each} - found:
            found |= new
        return found

    @cached_property
    def distances(self) -> dict[str, dict[str, int]]:
        """By segment: the number of routers on the path to it from each router, itself included."""
        return {target: self._distances(target) for target in self.segments}

    def _distances(self, target: str) -> dict[str, int]:
        reached = {name for name, segments in self.routers.items() if target in segments}
        distances = dict.fromkeys(reached, 1)
        while reached:
            near = {segment for name in reached for segment in self.routers[name]}
            reached = {
                name
                for name, segments in self.routers.items()
                if name not in distances and near & set(segments)
            }
            distances |= dict.fromkeys(reached, max(distances.values(), default=0) + 1)
        return distances

    def table(self, segments: Segments, router: str = "") -> Table:
        """The next hops of a node on these segments; ``router`` is its name if it is a router."""
        targets = (target for target in self.segments if target not in segments)
        hops = {target: self._hop(segments, target, router) for target in targets}
        return {target: hop for target, hop in hops.items() if hop}

    def _hop(self, segments: Segments, target: str, router: str) -> Hop | None:
        """The next hop to ``target``: the override if it leads there, or else the closest router."""
        distances, wanted = self.distances[target], self.overrides.get(router, {}).get(target)
        candidates = [
            (distances[name], name, segment)
            for segment in segments
            if not self._hidden(target, segment)
            for name, there in self.routers.items()
            if segment in there and name in distances and name != router
        ]
        candidates = [each for each in candidates if each[1] == wanted] or candidates
        best = min(candidates, default=None, key=lambda each: each[:2])
        return Hop(best[1], best[2]) if best else None

    def _hidden(self, target: str, segment: str) -> bool:
        """True if the address translation of a router hides ``target`` from ``segment``."""
        return any(target in behind and segment not in behind for behind in self.behind.values())


def routings(topology: Topology) -> tuple[Routing, Routing]:
    """The routing of IPv4 and of IPv6, which some segments don't have, in an expanded topology."""
    names = {segment.name for segment in topology.segments}
    names6 = {segment.name for segment in topology.segments if segment.ipv6}
    return _routing(topology, names), _routing(topology, names6)


def _routing(topology: Topology, names: Collection[str]) -> Routing:
    return Routing(
        {
            router.name: [each.segment for each in router.attachments if each.segment in names]
            for router in topology.routers
        },
        {router.name: [n for n in router.nat if n in names] for router in topology.routers if router.nat},
        {router.name: router.routes for router in topology.routers if router.routes},
    )


def most_used(hops: Iterable[Hop]) -> Hop | None:
    """The next hop to most segments, ties by the router's name; None without hops."""
    counts = Counter(hops)
    return min(counts, key=lambda hop: (-counts[hop], hop.router, hop.segment), default=None)
