"""The lanes of the diagrams: the order of the nodes, and which of them get a lane.

The terminal's diagram, the trace page and the gallery use the same lanes.

Strategy. The order follows the cables, not the packets, so a lab has the same order in every run: it begins
with the hosts of the first segment at the edge, continues with their router, then with the hosts of the
router's other segments, and last with the segments that lead to further routers. So hosts are beside their
router, and a chain reads client, router, router, server.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.errors import UsageError
from lab.evidence.diagram.packet_path import UNKNOWN, Path, Paths
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import CaptureInfo, Traffic
from lab.locale import message

FEW = 3  # a lab of at most this many nodes is always shown as a whole


@dataclass(frozen=True)
class Lanes:
    """The nodes with a lane, from left to right, and the other nodes of the lab, in the same order."""

    shown: tuple[str, ...]
    folded: tuple[str, ...] = ()

    def without(self, names: Collection[str]) -> Lanes:
        """The lanes after these nodes are folded, too."""
        everything = (*self.shown, *self.folded)
        return Lanes(
            tuple(name for name in self.shown if name not in names),
            tuple(name for name in everything if name in names or name in self.folded),
        )


def lanes(traffic: Traffic, active: Collection[str] = (), wanted: Collection[str] = ()) -> Lanes:
    """The lanes of a run: those of the nodes that take part in it, or only those ``wanted``.

    A node takes part if it sent, received or forwarded a packet, or if it is ``active`` for another reason,
    such as a program that ran on it.
    """
    everything = order(traffic.cabling, traffic.names)
    if wanted:
        return Lanes(tuple(everything)).without(set(everything).difference(wanted))
    return folded(everything, {*packets_by_node(packets_by_path(traffic)), *active})


def folded(everything: Sequence[str], part: Collection[str]) -> Lanes:
    """The lanes of the nodes that take part. In a small lab, every node has one."""
    idle = set(everything).difference(part)
    keep_all = len(everything) <= FEW or len(idle) == len(everything)
    return Lanes(tuple(everything)).without(() if keep_all else idle)


def titles_of(wanted: Iterable[str], nodes: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The titles of the ``wanted`` nodes; ``nodes`` are the names of each node by its title.

    Raises UsageError if there is no such node.
    """
    known = {name: title for title, names in nodes.items() for name in (*names, title)}
    for name in wanted:
        if name not in known:
            there = ", ".join(nodes)
            raise UsageError(message("no node {name!r}; there are {known}", name=name, known=there))
    return tuple(dict.fromkeys(known[name] for name in wanted))


def packets_by_path(traffic: Traffic) -> Counter[Path]:
    """The number of packets on each path, without those of address resolution: every node sends these."""
    paths = Paths(traffic)
    return Counter(paths.of(transit) for transit in traffic.transits if not is_chatter(transit.sent))


def packets_by_node(counts: Mapping[Path, int]) -> Counter[str]:
    """The number of packets that each node sent, received, forwarded or should have received."""
    total = Counter[str]()
    for path, count in counts.items():
        total.update(dict.fromkeys(path.involved, count))
    return total


def is_between(path: Path, shown: Collection[str]) -> bool:
    """Whether both ends of the path are in ``shown``. A receiver that isn't known doesn't count."""
    return bool(path.legs) and path.sender in shown and (path.receiver == UNKNOWN or path.receiver in shown)


def is_chatter(packet: Packet) -> bool:
    """Whether it belongs to ARP, neighbour discovery or the like, and so wasn't sent by a program."""
    if packet.protocol in ("tcp", "udp", "ip"):
        return False
    return not (packet.is_error or "echo" in packet.label)


# --- the order -------------------------------------------------------------------------------------


def order(captures: Iterable[CaptureInfo], names: Mapping[str, str]) -> list[str]:
    """All nodes from left to right. ``names`` maps addresses to node names."""
    cables = _Cables()
    for capture in captures:
        cables.add(capture, names)
    placed: dict[str, None] = {}
    seen: set[str] = set()
    for segment in cables.starts():
        _place(segment, cables, placed, seen)
    return list(placed | dict.fromkeys(sorted(names.values(), key=_natural)))


@dataclass
class _Cables:
    """The hosts and routers of each segment and the segments of each router, in the order of the captures."""

    hosts: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    routers: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    segments: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, capture: CaptureInfo, names: Mapping[str, str]) -> None:
        segment, router = capture.segment, capture.node
        self.hosts[segment] |= dict.fromkeys(_on(capture.networks, names))
        self.routers[segment][router] = None
        self.segments[router][segment] = None

    def starts(self) -> Iterator[str]:
        """The segments at which to begin: first one with hosts and a single router, then any."""
        edge = (name for name in self.hosts if len(self.routers[name]) == 1 and self.plain_hosts(name))
        yield from list(edge)[:1]
        yield from self.hosts

    def plain_hosts(self, segment: str) -> list[str]:
        return sorted(self.hosts[segment].keys() - self.segments.keys(), key=_natural)

    def beyond(self, router: str) -> list[str]:
        """The router's segments; those that lead to further routers come last."""
        return sorted(self.segments[router], key=lambda segment: len(self.routers[segment]) > 1)


def _place(segment: str, cables: _Cables, placed: dict[str, None], seen: set[str]) -> None:
    """Adds the segment's hosts, then each of its routers with all that is beyond it."""
    if segment in seen:
        return
    seen.add(segment)
    placed |= dict.fromkeys(cables.plain_hosts(segment))
    for router in cables.routers[segment]:
        if router in placed:
            continue
        placed[router] = None
        for other in cables.beyond(router):
            _place(other, cables, placed, seen)


def _on(networks: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """The nodes with an address in these networks."""
    known = [ipaddress.ip_network(network) for network in networks]
    return [name for address, name in names.items() if any(ipaddress.ip_address(address) in n for n in known)]


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key: alice-2 comes before alice-10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
