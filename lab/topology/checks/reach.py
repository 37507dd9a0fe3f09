"""Checks that routers connect all hosts and ports are forwarded to reachable ones, without a routing loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.locale import Message, message
from lab.topology.errors import Mistake
from lab.topology.model import Host, Router, Topology
from lab.topology.planning.routes import Routing, Table, routings


def reach_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Yields the mistakes in how an expanded topology is connected. Its names have been checked before."""
    routing, routing6 = routings(topology)
    found = list(_unconnected(topology, routing))
    yield from found
    if not found:
        yield from _bypassed_translation(routing)
        yield from _unreachable_forwards(topology, routing)
        yield from _overrides(routing, ipv6=False)
        yield from _overrides(routing6, ipv6=True)


def _segments(node: Host | Router) -> list[str]:
    return [each.segment for each in node.attachments]


def _unconnected(topology: Topology, routing: Routing) -> Iterator[Mistake]:
    first, *others = topology.hosts
    reached = routing.connected(_segments(first))
    for host in others:
        if not reached & set(_segments(host)):
            yield Mistake(
                ("hosts", host.name),
                message("no router leads from its segment to that of {host}", host=first.name),
                message("add a router, or leave out [routers]: one router then joins all segments"),
            )
    yield from _unused(topology)
    for router in topology.routers:
        if not reached & set(_segments(router)):
            yield Mistake(
                ("routers", router.name),
                message("no host can reach it"),
                message("remove it, or put it on a segment with a host"),
            )


def _unused(topology: Topology) -> Iterator[Mistake]:
    nodes: tuple[Host | Router, ...] = (*topology.hosts, *topology.routers)
    used = {name for node in nodes for name in _segments(node)}
    for segment in topology.segments:
        if segment.name not in used:
            yield Mistake(
                ("segments", segment.name),
                message("no node is on it"),
                message("remove it, or name it in a host or router"),
            )


def _bypassed_translation(routing: Routing) -> Iterator[Mistake]:
    for router, behind in routing.behind.items():
        outside = set(routing.routers[router]) - set(routing.translated[router])
        for segment in sorted(outside & behind):
            yield Mistake(
                ("routers", router, "nat"),
                message("another router leads to {name!r} without address translation", name=segment),
                message("add {name!r} to nat, or change the other router", name=segment),
            )


def _unreachable_forwards(topology: Topology, routing: Routing) -> Iterator[Mistake]:
    hosts = {host.name: _segments(host) for host in topology.hosts}
    for router in topology.routers:
        own = _segments(router)
        reached = {*own, *routing.table(own, router.name)}
        for forward in router.forwards:
            if not reached & set(hosts[forward.host]):
                yield Mistake(
                    ("routers", router.name, "forward"),
                    message("the router can't reach {host}", host=forward.host),
                    message("forward to a host that isn't behind the address translation of another router"),
                )


def _overrides(routing: Routing, *, ipv6: bool) -> Iterator[Mistake]:
    tables = {name: routing.table(segments, name) for name, segments in routing.routers.items()}
    for router, overrides in routing.overrides.items():
        for target, wanted in overrides.items():
            hop = tables[router].get(target)
            if not ipv6 and hop and hop.router != wanted:  # a segment may lack IPv6
                yield _wrong_override(router, target, message("that router has no route to it"))
            elif _loops(tables, router, target):
                yield _wrong_override(router, target, message("it creates a routing loop"))


def _wrong_override(router: str, target: str, problem: Message) -> Mistake:
    remedy = message("name another router, or remove the route")
    return Mistake(("routers", router, "routes", target), problem, remedy)


def _loops(tables: Mapping[str, Table], router: str, target: str) -> bool:
    """True if a packet from ``router`` to ``target`` reaches a router twice."""
    seen, current = {router}, router
    while hop := tables[current].get(target):
        current = hop.router
        if current in seen:
            return True
        seen.add(current)
    return False
