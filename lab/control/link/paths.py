"""The way of a packet through the lab, from the routes and address translations of its nodes. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.topology.node import Interface, Node, without_length

MAX_ROUTERS = 32  # on a way


@dataclass(frozen=True)
class Crossing:
    """A packet's way through one router, from one segment to another.

    ``source`` and ``target`` are its addresses as rules see them: after a translation of the target, before
    one of the source.
    """

    router: Node
    coming: str
    leaving: str
    source: str
    target: str

    @property
    def segments(self) -> set[str]:
        return {self.coming, self.leaving}


@dataclass(frozen=True)
class Way:
    """The routers that a packet crosses between two hosts, and its addresses at either end.

    The sender sends it to ``target``; the receiver sees that it comes from ``source``.
    """

    crossings: tuple[Crossing, ...]
    source: str
    target: str

    def crosses(self, router: Node, coming: str, leaving: str) -> bool:
        return any((c.router, c.coming, c.leaving) == (router, coming, leaving) for c in self.crossings)


def ways(nodes: Sequence[Node], source: Node, target: Node) -> Iterator[Way]:
    """The ways of IPv4 packets from one host to another: to each of its addresses, and by port forwarding."""
    for address in target.addresses:
        if way := _follow(nodes, source, address):
            yield way
    for router in nodes:
        if any(forward.address in target.addresses for forward in router.forwards):
            for interface in router.interfaces:
                if interface.segment not in router.nat and (
                    way := _forwarded(nodes, source, target, router, interface)
                ):
                    yield way


def _forwarded(
    nodes: Sequence[Node], source: Node, target: Node, router: Node, interface: Interface
) -> Way | None:
    """The way to a host by port forwarding on the address of ``interface``."""
    outside = without_length(interface.address)
    if interface.segment in source.segments:
        before = Way((), source.addresses[source.segments.index(interface.segment)], outside)
    elif found := _follow(nodes, source, outside):
        before = found
    else:
        return None
    inside = next(f.address for f in router.forwards if f.address in target.addresses)
    coming = before.crossings[-1].leaving if before.crossings else interface.segment
    after = _follow(nodes, router, inside, coming, before.source)
    return after and Way((*before.crossings, *after.crossings), after.source, outside)


def _follow(
    nodes: Sequence[Node], start: Node, address: str, coming: str = "", source: str = ""
) -> Way | None:
    """Follows the routes from ``start`` to ``address``; None if they don't lead there."""
    owners = {owned: node for node in nodes for owned in node.addresses}
    at, crossings = start, list[Crossing]()
    while len(crossings) < MAX_ROUTERS:
        hop = _next_hop(nodes, at, address)
        if hop is None:
            return None
        leaving, gateway = hop
        if at.role == "router":
            if at is not start and leaving in at.nat and coming not in at.nat:
                return None  # hosts behind a translation can't be reached from outside
            crossings.append(Crossing(at, coming, leaving, source, address))
            if coming in at.nat and leaving not in at.nat:
                source = at.addresses[at.segments.index(leaving)]
        else:
            source = at.addresses[at.segments.index(leaving)]
        if gateway == address:
            return Way(tuple(crossings), source, address)
        following = owners.get(gateway)
        if following is None or following.role != "router":
            return None
        at, coming = following, leaving
    return None


def _next_hop(nodes: Sequence[Node], node: Node, address: str) -> tuple[str, str] | None:
    """The segment by which a packet leaves ``node``, and the address of the next node."""
    for interface in node.interfaces:
        if _contains(interface, address):
            return interface.segment, address
    via = _route(node, address) or _only_router(nodes, node)
    for interface in node.interfaces:
        if via and _contains(interface, via):
            return interface.segment, via
    return None


def _route(node: Node, address: str) -> str | None:
    """The gateway of the most specific route to ``address``."""
    wanted = ipaddress.ip_address(address)
    matching = [
        (network.prefixlen, route.via)
        for route in node.routes
        if ipaddress.ip_address(route.via).version == wanted.version
        and wanted in (network := ipaddress.ip_network("0.0.0.0/0" if route.to == "default" else route.to))
    ]
    return max(matching)[1] if matching else None


def _only_router(nodes: Sequence[Node], node: Node) -> str | None:
    """The address of a router on the segment of a host that has no routes of its own."""
    if node.role != "host" or node.routes:
        return None
    for router in nodes:
        for interface in router.interfaces:
            if router.role == "router" and interface.segment in node.segments:
                return without_length(interface.address)
    return None


def _contains(interface: Interface, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_interface(interface.address).network
