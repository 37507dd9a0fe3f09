"""The nodes of a run: their addresses, routes, address translation and port forwarding."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.evidence.packets.capture_info import CaptureInfo

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Forward:
    """Port forwarding: packets to ``port`` of the router go to ``to`` of the host with ``addresses``."""

    protocol: str
    port: int
    to: int
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class NetworkNode:
    """A host or a router: its address and network on each segment, its routes, its translation."""

    title: str
    role: str  # host | router
    interfaces: tuple[tuple[str, str, IPNetwork], ...] = ()  # segment, address, network
    routes: tuple[tuple[IPNetwork, str], ...] = ()  # destination, address of the next router
    nat: tuple[str, ...] = ()  # the segments behind its address translation
    forwards: tuple[Forward, ...] = ()

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(address for _, address, _ in self.interfaces if address)

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(segment for segment, _, _ in self.interfaces))

    @property
    def translates(self) -> bool:
        return bool(self.nat or self.forwards)

    def forwarded_ports(self, protocol: str) -> set[int]:
        """The ports of a protocol that it forwards."""
        return {forward.port for forward in self.forwards if forward.protocol == protocol}

    def next_hop(self, destination: str) -> tuple[str, str] | None:
        """The segment to which it sends a packet, and the router's address there ("" if it needs none).

        None if it has no route.
        """
        ip = ipaddress.ip_address(destination)
        direct = [(net.prefixlen, segment, "") for segment, _, net in self.interfaces if ip in net]
        routed = [(net.prefixlen, self._segment(via), via) for net, via in self.routes if ip in net]
        if not direct and not routed:
            return None
        return max([*direct, *routed], key=lambda way: (way[0], not way[2]))[1:]

    def _segment(self, address: str) -> str:
        ip = ipaddress.ip_address(address)
        return next((segment for segment, _, network in self.interfaces if ip in network), "")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> NetworkNode:
        """The node in a record. Raises ValueError, KeyError or TypeError for any other value."""
        names = value.get("names") or [value["name"]]
        interfaces = [
            (each["segment"], ipaddress.ip_interface(each[family]))
            for each in value["interfaces"]
            for family in ("address", "address6")
            if each.get(family)
        ]
        return cls(
            title=names[-1],
            role=value["role"],
            interfaces=tuple((segment, str(found.ip), found.network) for segment, found in interfaces),
            routes=tuple((_destination(r["to"], r["via"]), r["via"]) for r in value.get("routes", ())),
            nat=tuple(value.get("nat", ())),
            forwards=tuple(_forward(each) for each in value.get("forwards", ())),
        )


def _destination(to: str, via: str) -> IPNetwork:
    if to == "default":
        return ipaddress.ip_network("0.0.0.0/0" if ipaddress.ip_address(via).version == 4 else "::/0")
    return ipaddress.ip_network(to)


def _forward(value: Mapping[str, Any]) -> Forward:
    addresses = tuple(value[family] for family in ("address", "address6") if value.get(family))
    return Forward(value.get("protocol", "tcp"), value["port"], value["to"], addresses)


def from_captures(title: str, captures: Sequence[CaptureInfo]) -> NetworkNode:
    """The router as its captures describe it: it reaches only its own segments."""
    interfaces = []
    for capture in captures:
        for network in map(ipaddress.ip_network, capture.networks):
            own = [a for a in capture.router if ipaddress.ip_address(a) in network]
            interfaces += [(capture.segment, address, network) for address in own or [""]]
    return NetworkNode(title, "router", tuple(interfaces))
