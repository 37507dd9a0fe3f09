"""Plans a described lab: assigns every prefix, address, route and name. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from lab.topology.checks.topology import mistakes
from lab.topology.errors import TopologyError
from lab.topology.model import Attachment, Forward, Host, Router, Topology
from lab.topology.node import Interface, Node, PortForward, Route, without_length
from lab.topology.planning.addresses import AddressBook, PlannedSegment, segments_with_prefixes
from lab.topology.planning.expansion import expanded, numbered, service_names, workload_service
from lab.topology.planning.routes import Hop, Routing, Table, most_used, routings
from lab.topology.prefixes import Network

__all__ = ["Plan", "PlannedSegment", "TopologyError", "plan", "workload_service"]


@dataclass(frozen=True)
class Plan:
    """A lab with all its prefixes, addresses, routes and names."""

    name: str  # the project's default name
    segments: tuple[PlannedSegment, ...]
    nodes: tuple[Node, ...]  # the hosts, then the routers, each in the order of the description
    hosts: Mapping[str, Host]  # as described, by the name of each of its nodes
    mgmt: IPv4Network
    compose: str = ""  # the path of the user's Compose file

    def segment(self, name: str) -> PlannedSegment:
        """The segment of this name. Raises KeyError."""
        return {segment.name: segment for segment in self.segments}[name]

    def networks(self) -> list[Network]:
        """The networks of all segments, and mgmt."""
        return [*(network for segment in self.segments for network in segment.networks()), self.mgmt]


def plan(
    topology: Topology,
    *,
    taken: Iterable[Network] = (),
    prefixes: Mapping[str, Sequence[Network]] | None = None,
    seed: str = "",
) -> Plan:
    """The plan of a described lab.

    A segment without a prefix gets a free one, which overlaps no network in ``taken``; the search begins at
    a point that depends on ``seed``. ``prefixes`` replaces the prefixes of a segment (or "mgmt"): addresses
    keep their host number. Raises TopologyError.
    """
    if wrong := mistakes(topology):
        raise TopologyError(*wrong)
    whole = expanded(topology)
    segments, mgmt = segments_with_prefixes(whole, taken, prefixes or {}, seed)
    interfaces = _interfaces(whole, segments)
    routes = _Routes(whole, segments, interfaces)
    services = service_names(whole)
    hosts = [
        _host(host, interfaces[host.name], routes.of_host(host), services.get(host.name, ""))
        for host in whole.hosts
    ]
    routers = [_router(router, interfaces, routes.of_router(router)) for router in whole.routers]
    described = {each.name: host for host in topology.hosts for each in numbered(host)}
    return Plan(topology.name, segments, (*hosts, *routers), described, mgmt, topology.compose)


Interfaces = dict[str, tuple[Interface, ...]]  # by the name of the node


def _interfaces(topology: Topology, segments: Iterable[PlannedSegment]) -> Interfaces:
    """The interfaces of each node, in the order of its attachments."""
    described = {segment.name: segment for segment in topology.segments}
    assigned = {
        segment.name: AddressBook(segment, described[segment.name]).assign(
            _on(segment.name, topology.routers), _on(segment.name, topology.hosts)
        )
        for segment in segments
    }
    nodes: tuple[Host | Router, ...] = (*topology.hosts, *topology.routers)
    return {
        node.name: tuple(assigned[each.segment][node.name] for each in node.attachments) for node in nodes
    }


def _on(segment: str, nodes: Iterable[Host | Router]) -> dict[str, Attachment]:
    return {node.name: each for node in nodes for each in node.attachments if each.segment == segment}


def _host(host: Host, interfaces: tuple[Interface, ...], routes: tuple[Route, ...], service: str) -> Node:
    """The node of a host. ``service`` is a further name; the last name is the hostname."""
    workload = host.workload
    return Node(
        host.name,
        "host",
        (*([service] if service else []), host.name, *host.aliases),
        interfaces,
        platform=_platform(host.profile),
        routes=routes,
        workload=workload_service(host.name) if workload else "",
        ready=workload.ready if workload else None,
        keeps_workload=workload.is_kept if workload else False,
    )


def _platform(profile: str) -> str:
    """A profile from an environment variable is left to Compose."""
    return f"${{{profile[1:]}:-linux}}" if profile.startswith("$") else profile or "linux"


def _router(router: Router, interfaces: Interfaces, routes: tuple[Route, ...]) -> Node:
    inside = [i.segment for i in interfaces[router.name] if i.segment in router.nat]
    return Node(
        router.name,
        "router",
        (router.name, *router.aliases),
        interfaces[router.name],
        routes=routes,
        nat=router.nat,
        forwards=tuple(_forward(forward, interfaces[forward.host], inside) for forward in router.forwards),
    )


def _forward(forward: Forward, interfaces: tuple[Interface, ...], inside: Sequence[str]) -> PortForward:
    """The port forwarding with the addresses of the host, if possible those behind the translation."""
    to = next((i for i in interfaces if i.segment in inside), interfaces[0])
    return PortForward(
        forward.port, forward.to, without_length(to.address), without_length(to.address6), forward.protocol
    )


@dataclass(frozen=True)
class _Family:
    """The routing of one IP version, with the prefix of each segment and the address of each hop."""

    routing: Routing
    prefixes: Mapping[str, str]
    gateways: Mapping[Hop, str]

    def table(self, node: Host | Router, router: str = "") -> Table:
        segments = [each.segment for each in node.attachments if each.segment in self.prefixes]
        return self.routing.table(segments, router)

    def route(self, target: str, hop: Hop) -> Route:
        return Route(self.prefixes[target], self.gateways[hop])


class _Routes:
    """The routes of each node, first IPv4, then IPv6."""

    def __init__(
        self, topology: Topology, segments: Iterable[PlannedSegment], interfaces: Interfaces
    ) -> None:
        planned = list(segments)
        own = [(router.name, each) for router in topology.routers for each in interfaces[router.name]]
        routing, routing6 = routings(topology)
        self._families = (
            _Family(
                routing,
                {segment.name: str(segment.prefix) for segment in planned},
                {Hop(name, each.segment): without_length(each.address) for name, each in own},
            ),
            _Family(
                routing6,
                {segment.name: str(segment.prefix6) for segment in planned if segment.prefix6},
                {Hop(name, each.segment): without_length(each.address6) for name, each in own},
            ),
        )

    def of_router(self, router: Router) -> tuple[Route, ...]:
        """Explicit routes to all segments that the router isn't on."""
        return tuple(
            family.route(target, hop)
            for family in self._families
            for target, hop in family.table(router, router.name).items()
        )

    def of_host(self, host: Host) -> tuple[Route, ...]:
        """A default route over the router on the path to most segments, and explicit ones for the rest."""
        routes: list[Route] = []
        for family in self._families:
            table = family.table(host)
            default = most_used(table.values())
            routes += [Route("default", family.gateways[default])] if default else []
            routes += [family.route(target, hop) for target, hop in table.items() if hop != default]
        return tuple(routes)
