"""Expands a description: numbered hosts for each count, a host's own segment, the router."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lab.topology.model import Attachment, Host, Router, Segment, Topology

ROUTER = "router"  # the name of the router in a topology without one
RESERVED = frozenset({"lab", "localhost", "mgmt", "runner"})  # names that no node may have
WORKLOAD = "-workload"  # suffix of the Compose service of a workload

_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_host_name(name: str) -> bool:
    """True for a label of a host name in lowercase (RFC 1123) that begins with a letter."""
    return bool(_LABEL.fullmatch(name))


def workload_service(host: str) -> str:
    """The Compose service of the workload on the host with this name."""
    return host + WORKLOAD


def expanded(topology: Topology) -> Topology:
    """The same topology with one entry for each host, segment and router. Each host is on a segment."""
    hosts = tuple(each for host in topology.hosts for each in numbered(host))
    hosts = tuple(host if host.attachments else _with_own_segment(host) for host in hosts)
    segments = tuple(_segments(topology.segments, hosts, topology.routers))
    routers = topology.routers or tuple(_router(segments))
    return replace(topology, segments=segments, hosts=hosts, routers=routers)


def numbered(host: Host) -> Iterator[Host]:
    """The hosts that ``host`` stands for. With a count above 1, their names and aliases are numbered."""
    if host.count == 1:
        yield host
        return
    for number in range(1, host.count + 1):
        aliases = tuple(f"{alias}-{number}" for alias in host.aliases)
        yield replace(host, name=f"{host.name}-{number}", aliases=aliases, count=1)


def service_names(topology: Topology) -> dict[str, str]:
    """The service names that become further names of their hosts, by host.

    The other services of the user's Compose file use these names. A service has none if its name isn't a host
    name, is taken, or stands for several hosts.
    """
    nodes: tuple[Host | Router, ...] = (*topology.hosts, *topology.routers)
    taken = RESERVED.union(*((node.name, *node.aliases) for node in nodes))
    services = {host.name: host.workload.service for host in topology.hosts if host.workload}
    counts = Counter(services.values())
    return {
        host: service
        for host, service in services.items()
        if counts[service] == 1 and service not in taken and is_host_name(service)
    }


def _with_own_segment(host: Host) -> Host:
    return replace(host, attachments=(Attachment(host.name),))


def _segments(
    described: Iterable[Segment], hosts: Iterable[Host], routers: Iterable[Router]
) -> Iterator[Segment]:
    """The described segments, and those that only hosts or routers refer to."""
    segments = {segment.name: segment for segment in described}
    nodes: tuple[Host | Router, ...] = (*hosts, *routers)
    for attachment in (each for node in nodes for each in node.attachments):
        segments.setdefault(attachment.segment, Segment(attachment.segment))
    yield from segments.values()


def _router(segments: tuple[Segment, ...]) -> Iterator[Router]:
    if len(segments) > 1:
        yield Router(ROUTER, tuple(Attachment(segment.name) for segment in segments))
