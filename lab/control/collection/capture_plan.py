"""Selects the interfaces to capture in a run, and their packets. No I/O.

All segments of all routers are captured. Hosts capture the packets that no router forwards: those to other
hosts on the same segment, or all of them in a lab without routers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface

from lab.control.host import Host
from lab.topology.node import Interface, Node

MAX_NEIGHBOURS = 8  # hosts on a segment that capture the packets to each other; more would slow down each run


def capture_names(hosts: Iterable[Host]) -> dict[str, tuple[Host, Interface]]:
    """The captured interfaces by the names of their captures: SEGMENT for the first router of a segment,
    SEGMENT@NODE for further routers, and for the hosts of a segment with several of them. Without a router,
    the interfaces of all hosts.
    """
    hosts = list(hosts)
    routers = [host for host in hosts if host.node.role == "router"]
    on = Counter(segment for host in hosts if host.node.role == "host" for segment in host.node.segments)
    found: dict[str, tuple[Host, Interface]] = {}
    for host in [*routers, *(host for host in hosts if host not in routers)]:
        for interface in host.node.interfaces:
            segment = interface.segment
            if routers and host not in routers and not 1 < on[segment] <= MAX_NEIGHBOURS:
                continue
            plain = segment not in found and (not routers or host in routers)
            found[segment if plain else f"{segment}@{host.title}"] = host, interface
    return found


def between_neighbours(interface: Interface, routers: Iterable[Node]) -> str:
    """The pcap-filter(7) for packets between two hosts of one segment."""
    own = [ip_interface(address) for address in (interface.address, interface.address6) if address]
    local = " or ".join(f"(src net {each.network} and dst net {each.network})" for each in own)
    addresses = [a for router in routers for a in (*router.addresses, *router.addresses6)]
    nearby = [a for a in addresses if any(ip_address(a) in each.network for each in own)]
    return f"({local})" + "".join(f" and not host {a}" for a in nearby) + " and not ether multicast"
