"""The boxes of a picture: segments with their hosts in them, routers, and hosts on several segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import PurePath

from lab.topology.node import Interface, Node, without_length
from lab.topology.plan import Plan, PlannedSegment

LINE = 15.0  # the height of a line of text, in pixels
CHARACTER = 7.3  # the width of a character in addresses
BOLD = 8.2  # the width of a character in names
PADDING = 12.0
GAP = 10.0  # between two hosts of a segment
MAX_ROWS = 6  # hosts of a segment in one column

UP = ("healthy", "running")  # the states of a node that is up


@dataclass(frozen=True)
class Box:
    """A box of text. ``kind`` is host, router or segment; ``inner`` are the hosts of a segment."""

    name: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()
    state: str = ""
    inner: tuple[Box, ...] = ()
    columns: int = 1

    @property
    def head(self) -> float:
        """The height of its text."""
        return PADDING * 2 + LINE * (1 + len(self.lines))

    @property
    def height(self) -> float:
        rows = ceil(len(self.inner) / self.columns)
        return self.head + rows * (self.inner_height + GAP) + (PADDING - GAP if rows else 0.0)

    @property
    def width(self) -> float:
        title = BOLD * (len(self.title) + (len(self.state) + 4 if self.state else 0))
        text = max([title, *(CHARACTER * len(line) for line in self.lines)]) + 2 * PADDING
        columns = min(self.columns, len(self.inner))
        return max(text, 2 * PADDING + columns * (self.inner_width + GAP) - GAP)

    @property
    def inner_width(self) -> float:
        return max((box.width for box in self.inner), default=0.0)

    @property
    def inner_height(self) -> float:
        return max((box.height for box in self.inner), default=0.0)


@dataclass(frozen=True)
class Line:
    """A line between a node and a segment, with the node's addresses on it."""

    node: str
    segment: str
    label: str
    translated: bool = False  # the segment is behind the node's address translation


@dataclass(frozen=True)
class Picture:
    """The boxes by name, and the lines between them."""

    name: str
    boxes: Mapping[str, Box] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()


def picture(plan: Plan, states: Mapping[str, str]) -> Picture:
    """The boxes and lines for a plan. ``states`` has the state of each node, by its name."""
    inside: dict[str, list[Box]] = {segment.name: [] for segment in plan.segments}
    boxes, lines = {}, []
    for node in plan.nodes:
        text = tuple(_router_lines(plan, node) if node.role == "router" else _host_lines(plan, node))
        box = Box(node.name, node.role, title(node), text, states.get(node.name, ""))
        if node.role == "host" and len(node.interfaces) == 1:
            inside[node.segments[0]].append(box)
        else:
            boxes[_id(node)] = box
            lines += [_line(node, interface) for interface in node.interfaces]
    segments = {f"segment {each.name}": _segment(each, inside[each.name]) for each in plan.segments}
    return Picture(plan.name, segments | boxes, tuple(lines))


def title(node: Node) -> str:
    """All names of a node: "kali (client)"."""
    others = [name for name in node.names if name != node.title]
    return f"{node.title} ({', '.join(others)})" if others else node.title


def forwards(plan: Plan, router: Node) -> Iterator[str]:
    """The forwarded ports of a router: "8080 → web:80"."""
    owners = {address: node.name for node in plan.nodes for address in node.addresses}
    for each in router.forwards:
        yield f"{each.port}{'/udp' if each.protocol == 'udp' else ''} → {owners[each.address]}:{each.to}"


def workload(plan: Plan, node: Node) -> str:
    """The image, folder or service of a host's workload; "" if it has none."""
    host = plan.hosts.get(node.name)
    own = host.workload if host else None
    return (own.image or PurePath(own.build).name or own.service) if own else ""


def _id(node: Node) -> str:
    return f"{node.role} {node.name}"


def _router_lines(plan: Plan, node: Node) -> Iterator[str]:
    if node.nat:
        yield f"NAT for {', '.join(node.nat)}"
    yield from forwards(plan, node)


def _host_lines(plan: Plan, node: Node) -> Iterator[str]:
    if len(node.interfaces) == 1:
        yield from _addresses(node.interfaces[0])
    if own := workload(plan, node):
        yield own


def _addresses(interface: Interface) -> list[str]:
    found = (interface.address, interface.address6)
    return [without_length(address) for address in found if address]


def _line(node: Node, interface: Interface) -> Line:
    label = " ".join(_addresses(interface)[:1])
    return Line(_id(node), f"segment {interface.segment}", label, interface.segment in node.nat)


def _segment(segment: PlannedSegment, hosts: list[Box]) -> Box:
    lines = [str(network) for network in segment.networks()]
    if segment.mtu:
        lines.append(f"MTU {segment.mtu}")
    columns = max(1, ceil(len(hosts) / MAX_ROWS))
    return Box(segment.name, "segment", segment.name, tuple(lines), inner=tuple(hosts), columns=columns)
