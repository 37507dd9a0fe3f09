"""Checks that names are valid host names, and that no two nodes have the same one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.locale import message
from lab.topology.errors import Mistake, Path, shown
from lab.topology.model import Host, Router, Topology
from lab.topology.planning.expansion import (
    RESERVED,
    ROUTER,
    expanded,
    is_host_name,
    numbered,
    workload_service,
)

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")  # Compose's own rule


def name_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Yields the mistakes in the names of the lab, its segments and its nodes."""
    if not _PROJECT.fullmatch(topology.name):
        yield Mistake(
            ("name",),
            message("{name!r} is not a project name", name=topology.name),
            message("use lowercase letters, digits, - and _"),
        )
    seen: set[str] = set()
    for segment in topology.segments:
        yield from _invalid(segment.name, ("segments", segment.name))
        if segment.name in seen:
            yield _duplicate(segment.name, ("segments", segment.name), ("segments", segment.name))
        seen.add(segment.name)
    yield from _node_names(topology)


def _node_names(topology: Topology) -> Iterator[Mistake]:
    owners: dict[str, Path] = {}
    for name, path, given in _names(topology):
        if given:
            yield from _invalid(name, path)
        if name in owners:
            yield _duplicate(name, path, owners[name])
        owners.setdefault(name, path)
    if not topology.routers and expanded(topology).routers and ROUTER in owners:
        yield Mistake(
            owners[ROUTER],
            message("the router between the segments has the name {name!r}", name=ROUTER),
            message("choose another name, or describe the router in [routers]"),
        )


def _names(topology: Topology) -> Iterator[tuple[str, Path, bool]]:
    """Each name of a node or workload, the path to it, and whether the description contains the name."""
    for host in topology.hosts:
        for each in numbered(host):
            yield from _of_node(each, ("hosts", host.name))
            if host.workload:
                yield workload_service(each.name), ("hosts", host.name), False
    for router in topology.routers:
        yield from _of_node(router, ("routers", router.name))


def _of_node(node: Host | Router, path: Path) -> Iterator[tuple[str, Path, bool]]:
    yield node.name, path, True
    for alias in node.aliases:
        yield alias, (*path, "aliases"), True


def _invalid(name: str, path: Path) -> Iterator[Mistake]:
    if not is_host_name(name):
        yield Mistake(
            path,
            message("{name!r} is not a host name", name=name),
            message(
                "use at most 63 lowercase letters, digits and -; begin with a letter, and don't end with -"
            ),
        )
    elif name in RESERVED:
        yield Mistake(
            path, message("the name {name!r} is reserved", name=name), message("choose another name")
        )


def _duplicate(name: str, path: Path, other: Path) -> Mistake:
    return Mistake(
        path,
        message("the name {name!r} is already used by {other}", name=name, other=shown(other)),
        message("choose another name"),
    )
