"""Checks that routers refer to existing segments, hosts and routers."""

from __future__ import annotations

from collections.abc import Iterator

from lab.locale import message
from lab.topology.checks.hosts import segment_mistakes, segment_names
from lab.topology.errors import Mistake, suggestion
from lab.topology.model import Router, Topology
from lab.topology.planning.expansion import numbered


def router_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Yields the mistakes in each router of a topology."""
    known = segment_names(topology)
    for router in topology.routers:
        path = ("routers", router.name)
        yield from segment_mistakes(path, router.attachments, known)
        if len(router.attachments) < 2:
            yield Mistake(
                (*path, "segments"), message("a router joins two segments or more"), message("list them")
            )
        yield from _nat_mistakes(router)
        yield from _forward_mistakes(router, topology)
        yield from _route_mistakes(router, topology, known)


def _segments(router: Router) -> list[str]:
    return [each.segment for each in router.attachments]


def _nat_mistakes(router: Router) -> Iterator[Mistake]:
    path, own = ("routers", router.name, "nat"), _segments(router)
    for name in router.nat:
        if name not in own:
            yield Mistake(
                path, message("the router is not on the segment {name!r}", name=name), suggestion(name, own)
            )
    if router.nat and not set(own) - set(router.nat):
        yield Mistake(
            path,
            message("all segments of the router are in nat"),
            message("list only the segments behind the address translation"),
        )


def _forward_mistakes(router: Router, topology: Topology) -> Iterator[Mistake]:
    hosts = [each.name for host in topology.hosts for each in numbered(host)]
    seen: set[tuple[int, str]] = set()
    for forward in router.forwards:
        key = f"{forward.port}/udp" if forward.protocol == "udp" else str(forward.port)
        path = ("routers", router.name, "forward", key)
        if forward.host not in hosts:
            problem = message("there is no host {name!r}", name=forward.host)
            yield Mistake(path, problem, suggestion(forward.host, hosts))
        if (forward.port, forward.protocol) in seen:
            yield Mistake(path, message("this port is forwarded twice"), message("remove one"))
        seen.add((forward.port, forward.protocol))


def _route_mistakes(router: Router, topology: Topology, known: list[str]) -> Iterator[Mistake]:
    routers = {each.name: _segments(each) for each in topology.routers if each != router}
    own = _segments(router)
    neighbours = [name for name, there in routers.items() if set(own) & set(there)]
    for target, via in router.routes.items():
        path = ("routers", router.name, "routes", target)
        if target not in known:
            problem = message("there is no segment {name!r}", name=target)
            yield Mistake(path, problem, suggestion(target, known))
        elif target in own:
            problem = message("the router itself is on the segment {name!r}", name=target)
            yield Mistake(path, problem, message("remove the route"))
        elif via not in neighbours:
            problem = message("no router {name!r} is on one of its segments", name=via)
            yield Mistake(path, problem, suggestion(via, neighbours))
