"""Forwards packets by the routes of a plan, hop by hop, as the kernels of its nodes would."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network

HOPS = 64  # the initial TTL: a packet that takes more is in a loop


class Dropped(Exception):
    """No route, no neighbour with that address, or a router that refuses the packet."""


@dataclass
class Packet:
    source: str
    to: str
    routers: list = field(default_factory=list)  # the names of those that forwarded it


class Forwarding:
    """The nodes of a plan, each of which can send packets."""

    def __init__(self, plan):
        self.nodes = {node.name: node for node in plan.nodes}
        self.owners = {}  # a node and its segment, by address
        for node in plan.nodes:
            for interface in node.interfaces:
                for text in filter(None, (interface.address, interface.address6)):
                    self.owners[text.partition("/")[0]] = node.name, interface.segment

    def send(self, start, to):
        """The packet as it arrives at ``to``. Raises Dropped."""
        node, arrived_on = self.nodes[start], None
        packet = Packet("", to)
        while to not in addresses(node):
            via, segment = next_hop(node, to)
            if arrived_on is None:
                packet.source = address_on(node, segment, to)
            else:
                self.forward(packet, node, arrived_on, segment)
            if (via or to) not in self.owners or self.owners[via or to][1] != segment:
                raise Dropped(f"nobody on {segment} has {via or to}")
            node, arrived_on = self.nodes[self.owners[via or to][0]], segment
        return packet

    def forward(self, packet, router, arrived_on, segment):
        """What a router does to a packet: it translates addresses, and refuses what translation hides."""
        if router.role != "router":
            raise Dropped(f"{router.name} is a host")
        packet.routers.append(router.name)
        assert len(packet.routers) < HOPS, "a loop"
        if segment in router.nat and arrived_on not in router.nat:
            raise Dropped(f"{segment} is behind the address translation of {router.name}")
        if arrived_on in router.nat and segment not in router.nat:
            packet.source = address_on(router, segment, packet.to)


def addresses(node):
    return {*node.addresses, *node.addresses6}


def address_on(node, segment, like):
    """The address of a node on a segment, of the same IP version."""
    (interface,) = (each for each in node.interfaces if each.segment == segment)
    return (interface.address6 if ":" in like else interface.address).partition("/")[0]


def next_hop(node, to):
    """The next router ("" for a neighbour) and the segment, by the longest prefix."""
    version = ip_address(to).version
    near = {}  # segments, by network
    for each in node.interfaces:
        text = each.address6 if version == 6 else each.address
        if text:
            near[ip_interface(text).network] = each.segment
    found = [
        (network.prefixlen, "", segment) for network, segment in near.items() if ip_address(to) in network
    ]
    for route in node.routes:
        if ip_address(route.via).version == version:
            (segment,) = (name for network, name in near.items() if ip_address(route.via) in network)
            everything = "::/0" if version == 6 else "0.0.0.0/0"
            network = ip_network(everything if route.to == "default" else route.to)
            if ip_address(to) in network:
                found.append((network.prefixlen, route.via, segment))
    if not found:
        raise Dropped(f"{node.name} has no route to {to}")
    return max(found)[1:]
