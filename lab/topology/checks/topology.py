"""Runs all checks of a topology: first those of single entries, then those of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from lab.locale import message
from lab.topology.checks.hosts import host_mistakes
from lab.topology.checks.limits import HOSTS, ROUTERS, SEGMENTS
from lab.topology.checks.names import name_mistakes
from lab.topology.checks.networks import network_mistakes
from lab.topology.checks.reach import reach_mistakes
from lab.topology.checks.routers import router_mistakes
from lab.topology.errors import Mistake
from lab.topology.model import Topology
from lab.topology.planning.expansion import expanded


def mistakes(topology: Topology) -> list[Mistake]:
    """The mistakes in a topology; an empty list if it can be planned.

    The checks of the whole are skipped if a single entry has a mistake.
    """
    if found := list(_size_mistakes(topology)):
        return found
    whole = expanded(topology)
    names = [*name_mistakes(topology), *host_mistakes(topology), *router_mistakes(topology)]
    return names or [*network_mistakes(whole), *reach_mistakes(whole)]


def _size_mistakes(topology: Topology) -> Iterator[Mistake]:
    if not topology.hosts:
        yield Mistake(("hosts",), message("there is no host"), message("describe one: [hosts.alice]"))
    for host in topology.hosts:
        if host.count < 1:
            yield Mistake(
                ("hosts", host.name, "count"), message("it is less than 1"), message("remove the host")
            )
    alone = sum(host.count for host in topology.hosts if not host.attachments)
    for key, number, limit in (
        ("hosts", sum(host.count for host in topology.hosts), HOSTS),
        ("segments", len(topology.segments) + alone, SEGMENTS),
        ("routers", len(topology.routers), ROUTERS),
    ):
        if number > limit:
            yield Mistake(
                (key,),
                message("there are {number}", number=number),
                message("the limit is {limit}", limit=limit),
            )
