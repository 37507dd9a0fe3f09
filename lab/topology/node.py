"""A node of a lab: a host or a router, with its names, interfaces and routes. No I/O.

The nodes of a lab are in a JSON file on each of them (``FILE``), which only root can write: `boot` configures
the network from it, and the controller reads the nodes of the lab from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lab.topology.model import Protocol, Ready

PROFILES = ("windows",)  # the platforms of a host besides linux
FILE = "/usr/lib/socketlab/topology.json"


@dataclass(frozen=True)
class Interface:
    """An interface on a segment."""

    segment: str
    address: str  # "172.28.66.163/24"
    address6: str = ""  # "fd28:66::163/64"; "" on a segment without IPv6


@dataclass(frozen=True)
class Route:
    """A route: packets ``to`` a network, or "default", go ``via`` a router's address on a shared segment."""

    to: str
    via: str


@dataclass(frozen=True)
class PortForward:
    """Port forwarding: ``port`` on a router leads to ``to`` on the host with these addresses."""

    port: int
    to: int
    address: str
    address6: str = ""
    protocol: Protocol = "tcp"


@dataclass(frozen=True)
class Node:
    """A host or a router of the topology. A router has an address on each of its segments."""

    name: str  # the Compose service
    role: str  # host or router
    names: tuple[str, ...]  # the host names that resolve to it; the last is its hostname and its title
    interfaces: tuple[Interface, ...]
    platform: str = "linux"  # or windows: commands run in Wine's cmd
    routes: tuple[Route, ...] = ()
    nat: tuple[str, ...] = ()  # of a router: the segments behind its address translation
    forwards: tuple[PortForward, ...] = ()
    workload: str = ""  # the Compose service of the user's container on this host
    ready: Ready | None = None  # the condition for the workload
    keeps_workload: bool = False  # a reset of the lab doesn't replace the workload

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Node:
        """The node that ``to_json`` described. Raises TypeError or KeyError for anything else."""
        fields = dict(value)
        ready = fields.get("ready")
        return cls(
            **fields
            | {
                "names": tuple(fields["names"]),
                "interfaces": tuple(Interface(**i) for i in fields["interfaces"]),
                "routes": tuple(Route(**r) for r in fields.get("routes", ())),
                "nat": tuple(fields.get("nat", ())),
                "forwards": tuple(PortForward(**f) for f in fields.get("forwards", ())),
                "ready": Ready(**ready) if ready else None,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The node as a JSON object, without the fields that have their default."""
        return _without_defaults(asdict(self))

    @property
    def title(self) -> str:
        """The name that is shown to a reader: the last of its names."""
        return self.names[-1] if self.names else self.name

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(interface.segment for interface in self.interfaces)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its IPv4 addresses, in the order of ``segments``."""
        return tuple(without_length(interface.address) for interface in self.interfaces)

    @property
    def addresses6(self) -> tuple[str, ...]:
        """Its IPv6 addresses, in the order of ``segments``; those without IPv6 are left out."""
        return tuple(without_length(i.address6) for i in self.interfaces if i.address6)

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def address6(self) -> str:
        """Its first IPv6 address; "" if it has none."""
        return next(iter(self.addresses6), "")


def to_file(nodes: Iterable[Node]) -> str:
    """The text of ``FILE``, in short lines: docker-compose.yml contains it."""
    return '{"nodes": [\n' + ",\n".join(_in_lines(node.to_json()) for node in nodes) + "\n]}\n"


def from_file(text: str) -> list[Node]:
    """The nodes in the text of ``FILE``. Raises ValueError, TypeError or KeyError if it isn't valid."""
    return [Node.from_json(value) for value in json.loads(text)["nodes"]]


def _in_lines(node: Mapping[str, Any]) -> str:
    """A node, with a line for each interface, route and port forwarding."""
    nested = {name for name, value in node.items() if name in ("interfaces", "routes", "forwards")}
    first = json.dumps({name: value for name, value in node.items() if name not in nested})
    lists = [
        f'  "{name}": [\n    ' + ",\n    ".join(map(_item, value)) + "]"
        for name, value in node.items()
        if name in nested
    ]
    return ",\n".join([f" {first[:-1]}", *lists]) + "}"


def _item(value: Mapping[str, Any]) -> str:
    return json.dumps(value).replace(', "address6"', ',\n     "address6"')


def _without_defaults(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _plain_value(item) for name, item in value.items()}
    if kept.get("platform") == "linux":
        del kept["platform"]
    return {name: item for name, item in kept.items() if item not in ("", 0, None, [], {})}


def _plain_value(item: Any) -> Any:
    if isinstance(item, dict):
        return _without_defaults(item)
    return [_plain_value(i) for i in item] if isinstance(item, (list, tuple)) else item


def without_length(address: str) -> str:
    """An address without its prefix length."""
    return address.partition("/")[0]
