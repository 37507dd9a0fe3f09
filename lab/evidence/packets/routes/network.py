"""The network of a run: its nodes with a capture, and what each of them does with a packet in it.

The nodes come from the record (``topology``, as lab.topology.node writes them); a record without them has one
router, whose addresses are in the descriptions of its captures.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from lab.evidence.packets.capture_info import CaptureInfo
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.routes.matching import SLACK
from lab.evidence.packets.routes.nodes import NetworkNode, from_captures

Kind: TypeAlias = Literal["enters", "leaves", "sent", "received", "local", "overheard"]
NEIGHBOUR_DISCOVERY = range(133, 138)  # ICMPv6 types (RFC 4861), which no router forwards
LIMITED_BROADCAST = "255.255.255.255"


@dataclass(frozen=True)
class Heading:
    """What the node of a capture does with a packet in it: a router, or a host if there is no router.

    enters    it receives the packet from its segment, and has to forward it
    leaves    it forwarded the packet to the segment
    sent      it sent the packet itself
    received  the packet is addressed to it
    local     the packet stays on the segment: between two hosts of it, or to all
    overheard  it is for another node of the segment; a bridge sends a frame to all while it hasn't learned
              the receiver's Ethernet address
    """

    kind: Kind
    next: str = ""  # the capture of the node to which the packet leaves; "" if it has none
    from_router: bool = False  # whether it comes from another node with a capture


@dataclass(frozen=True)
class ExpectedPath:
    """The path of a packet according to the routes of the nodes."""

    routers: tuple[str, ...]
    segments: tuple[str, ...]
    no_route_at: str = ""  # the node that has no route to its destination


@dataclass
class Network:
    """The nodes and captures of a run."""

    nodes: tuple[NetworkNode, ...]
    captures: tuple[CaptureInfo, ...]
    routers: dict[str, NetworkNode] = field(default_factory=dict)  # those with a capture, by title

    def __post_init__(self) -> None:
        known = {node.title: node for node in self.nodes if node.role == "router"}
        hosts = {node.title: node for node in self.nodes if node.role == "host"}
        self._hosts = {c.name: hosts[c.node] for c in self.captures if c.node in hosts}
        self._of_host = {address: name for name, node in self._hosts.items() for address in node.addresses}
        for capture in self.captures:
            if capture.name in self._hosts:
                continue
            self.routers[capture.node] = known.get(capture.node) or from_captures(
                capture.node, [each for each in self.captures if each.node == capture.node]
            )
        self._by_name = {capture.name: capture for capture in self.captures}
        self._on = {(capture.segment, capture.node): capture.name for capture in self.captures}
        self._owner = {address: title for title, node in self.routers.items() for address in node.addresses}
        self._by_hardware = {card: c.name for c in self.of_routers for card in c.hardware}
        self._attached = {
            (address, segment)
            for node in self.nodes
            for segment in node.segments
            for address in node.addresses
        }
        self._between = lru_cache(maxsize=65536)(self._find)

    @property
    def segments(self) -> tuple[str, ...]:
        """The captured segments, in the order of their captures."""
        return tuple(dict.fromkeys(capture.segment for capture in self.captures))

    @property
    def of_routers(self) -> tuple[CaptureInfo, ...]:
        """The captures of routers."""
        return tuple(capture for capture in self.captures if capture.name not in self._hosts)

    @property
    def shared(self) -> tuple[str, ...]:
        """The segments with several routers."""
        return tuple(segment for segment in self.segments if self._is_shared(segment))

    def node(self, capture: str) -> str:
        """The title of the router that made a capture; "" if there is no such capture."""
        found = self._by_name.get(capture)
        return found.node if found else ""

    def segment(self, capture: str) -> str:
        """The segment of a capture."""
        found = self._by_name.get(capture)
        return found.segment if found else capture

    def is_at_host(self, capture: str) -> bool:
        """Whether a host made the capture, and not a router."""
        return capture in self._hosts

    @property
    def slack(self) -> float:
        """Seconds by which a packet between two captures may seem to arrive before it was sent."""
        errors = sorted(capture.clock_error for capture in self.captures)
        return SLACK + sum(errors[-2:])

    def expected_path(self, source: str, destination: str) -> ExpectedPath | None:
        """The path from a node's address to another address; None if the node isn't known.

        It ends at a router that translates the destination.
        """
        nodes = {address: node for node in self.nodes for address in node.addresses}
        node, routers, segments = nodes.get(source), list[str](), list[str]()
        if node is None:
            return None
        while len(routers) <= len(self.nodes) and destination not in node.addresses:
            hop = node.next_hop(destination)
            if hop is None:
                return ExpectedPath(tuple(routers), tuple(segments), node.title)
            segment, via = hop
            segments.append(segment)
            if via not in nodes:
                break
            node = nodes[via]
            routers.append(node.title)
        return ExpectedPath(tuple(routers), tuple(segments))

    def heading(self, packet: Packet) -> Heading:
        """What the router that captured the packet does with it."""
        neighbours = packet.protocol == "icmp6" and packet.icmp[0] in NEIGHBOUR_DISCOVERY
        if packet.protocol in ("arp", "other") or neighbours or packet.segment not in self._by_name:
            return Heading("local")
        return self._between(packet.segment, packet.source, packet.destination, packet.ethernet)

    def _find(self, name: str, source: str, destination: str, ethernet: tuple[str, str]) -> Heading:
        capture = self._by_name[name]
        if not (routable(source) and routable(destination)):
            return Heading("local")
        if name in self._hosts:
            return self._at_host(self._hosts[name], source, destination)
        if capture.hardware and all(ethernet):
            return self._by_ethernet(capture, source, destination, ethernet)
        return self._by_routes(capture, source, destination)

    def _at_host(self, host: NetworkNode, source: str, destination: str) -> Heading:
        """A host sends and receives only its own packets, whatever routers are between it and the others."""
        if source in host.addresses:
            kind: Kind = "local" if destination in host.addresses else "sent"
            return Heading(kind, self._of_host.get(destination, "") if kind == "sent" else "")
        if destination in host.addresses:
            return Heading("received", from_router=source in self._of_host)
        return Heading("local")

    def _by_ethernet(
        self, capture: CaptureInfo, source: str, destination: str, ethernet: tuple[str, str]
    ) -> Heading:
        """The Ethernet addresses show whether the router sent or received it, regardless of its routes."""
        own = self.routers[capture.node].addresses
        sender, receiver = ethernet
        if sender in capture.hardware:
            return Heading("sent" if source in own else "leaves", self._by_hardware.get(receiver, ""))
        if receiver not in capture.hardware:
            return Heading("local" if _is_group(receiver) else "overheard")
        return Heading(
            "received" if destination in own else "enters", from_router=sender in self._by_hardware
        )

    def _by_routes(self, capture: CaptureInfo, source: str, destination: str) -> Heading:
        """Without Ethernet addresses: a router receives those packets that it would send elsewhere."""
        router = self.routers[capture.node]
        if not router.interfaces:
            return Heading("local")
        if source in router.addresses:
            kind: Kind = "local" if destination in router.addresses else "sent"
            return Heading(kind, self._next(capture, router, destination))
        here = self._is_here(source, capture)
        from_router = self._is_shared(capture.segment) and (not here or source in self._owner)
        if destination in router.addresses:
            return Heading("received", from_router=from_router)
        hop = router.next_hop(destination)
        if hop is None or hop[0] != capture.segment:
            return Heading("enters", from_router=from_router)
        return Heading("local") if here else Heading("leaves", self._next(capture, router, destination))

    def _next(self, capture: CaptureInfo, router: NetworkNode, destination: str) -> str:
        """The capture of the next router on a packet's path."""
        segment, via = router.next_hop(destination) or ("", "")
        return self._on.get((capture.segment, self._owner.get(via or destination, "")), "") if segment else ""

    def _is_here(self, address: str, capture: CaptureInfo) -> bool:
        """Whether a node with this address can send to the segment without a router."""
        ip = ipaddress.ip_address(address)
        if any(ip in ipaddress.ip_network(network) for network in capture.networks):
            return True
        return (address, capture.segment) in self._attached

    def _is_shared(self, segment: str) -> bool:
        return sum(capture.segment == segment for capture in self.of_routers) > 1


def network(nodes: Iterable[Mapping[str, Any]], captures: Iterable[CaptureInfo]) -> Network:
    """The network of a record. Raises ValueError, KeyError or TypeError if the nodes aren't valid."""
    return Network(tuple(NetworkNode.from_json(node) for node in nodes), tuple(captures))


def _is_group(hardware: str) -> bool:
    """Whether an Ethernet address is that of a group: broadcast or multicast."""
    return bool(int(hardware[:2], 16) & 1)


@lru_cache(maxsize=65536)
def routable(address: str) -> bool:
    """Whether a router may forward a packet from or to this address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.is_multicast or ip.is_link_local or ip.is_unspecified or address == LIMITED_BROADCAST)
