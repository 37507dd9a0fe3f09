"""Hypothesis strategy for topologies."""

import itertools

from hypothesis import strategies as st

from lab.topology.checks.topology import mistakes
from lab.topology.model import Attachment, Host, Router, Segment, Topology


@st.composite
def topologies(draw, overrides=True):
    """Up to seven segments that up to five routers connect, with cycles, hosts and address translation."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 7)))]
    segments = tuple(
        Segment(name, draw(st.sampled_from(["", f"10.{number}.0.0/24"])), ipv6=draw(st.booleans()))
        for number, name in enumerate(names)
    )
    routers = draw_routers(draw, names)
    if routers and draw(st.booleans()):
        routers = [draw_nat(draw, router, routers) for router in routers]
    hosts = tuple(draw_host(draw, f"h{number}", segments) for number in range(draw(st.integers(1, 5))))
    topology = Topology("any", segments, hosts, tuple(routers))
    if overrides and routers:
        topology = draw_overrides(draw, topology)
    return topology


def draw_routers(draw, names):
    """Each router connects one of the segments that are connected already with further ones."""
    connected, others, routers = names[:1], names[1:], []
    while others:
        new = [others.pop(0) for _ in range(draw(st.integers(1, min(3, len(others)))))]
        old = draw(st.lists(st.sampled_from(connected), min_size=1, max_size=2, unique=True))
        routers.append(router(f"r{9 - len(routers)}", [*new, *old]))
        connected += new
    if len(names) > 2 and draw(st.booleans()):
        both = draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))
        routers.append(router("r0", both))
    return routers


def router(name, segments):
    return Router(name, tuple(map(Attachment, segments)))


def on(node):
    return [each.segment for each in node.attachments]


def connected(segments, routers):
    """The segments that a packet from these can reach over the routers."""
    found = set(segments)
    while more := {s for each in routers if found & set(on(each)) for s in on(each)} - found:
        found |= more
    return found


def draw_nat(draw, router, routers):
    """The router, with address translation for a part of the lab that no other router connects to the rest.
    Without such a part, the router is unchanged.
    """
    others = [each for each in routers if each != router]
    inside = connected(draw(st.sampled_from([on(router)[:1], on(router)[:2]])), others) & set(on(router))
    if inside == set(on(router)):
        return router
    return Router(router.name, router.attachments, nat=tuple(sorted(inside)))


def draw_host(draw, name, segments):
    places = draw(st.lists(st.sampled_from(segments), min_size=1, max_size=2, unique=True))
    count = draw(st.sampled_from([1, 1, 1, 3]))
    number = draw(st.sampled_from([2, 10, 100])) + int(name[1:])
    attachments = tuple(
        Attachment(
            place.name, f"{place.prefix.removesuffix('0/24')}{number}" if place.prefix and count == 1 else ""
        )
        for place in places
    )
    return Host(name, attachments, count=count)


def draw_overrides(draw, topology):
    """The topology with a route that isn't the shortest, if it is a valid one."""
    choices = [
        (one, via.name, target)
        for one, via in itertools.permutations(topology.routers, 2)
        for target in (segment.name for segment in topology.segments)
        if set(on(one)) & set(on(via)) and target not in on(one)
    ]
    if not choices:
        return topology
    one, via, target = draw(st.sampled_from(choices))
    changed = Router(one.name, one.attachments, nat=one.nat, routes={target: via})
    routers = tuple(changed if each is one else each for each in topology.routers)
    candidate = Topology(topology.name, topology.segments, topology.hosts, routers)
    return topology if mistakes(candidate) else candidate
