"""The nodes of the page: their order, their addresses on each segment, and whether they take part."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lab.evidence.diagram.lanes import folded, order, packets_by_node, packets_by_path
from lab.evidence.events import CounterChanged, Event, PacketPassed, SocketChanged
from lab.evidence.packets.traffic import CaptureInfo, Traffic, names_of
from lab.evidence.trace.timeline import Row

QUIET = (PacketPassed, SocketChanged, CounterChanged)  # events that an idle node has, too


def columns(record: Mapping[str, Any], events: Sequence[Event], traffic: Traffic | None) -> list[Row]:
    """The nodes of the record and of the events, from left to right, and whether each takes part."""
    known = dict(record.get("nodes") or {})
    for event in events:
        if event.node != "lab":
            known.setdefault(event.node, {})
    captures = list(traffic.cabling if traffic else _assumed(known))
    titles = [title for title in order(captures, names_of(known)) if title in known]
    titles += [title for title in known if title not in titles]
    part = {event.node for event in events if not isinstance(event, QUIET)}
    counts = packets_by_node(packets_by_path(traffic)) if traffic else ()
    shown = folded(titles, part.union(counts)).shown
    routers = {capture.node for capture in captures}
    return [_node(title, known[title], captures, title in routers, title in shown) for title in titles]


def _node(
    title: str, facts: Mapping[str, Any], captures: Sequence[CaptureInfo], is_router: bool, part: bool
) -> Row:
    families = [list(facts.get(name) or ()) for name in ("addresses", "addresses6")]
    return {
        "title": title,
        "role": "router" if is_router else "host",
        "addresses": families[0] or families[1],
        "segments": _segments([*families[0], *families[1]], captures),
        "part": part,
    }


def _segments(addresses: Iterable[str], captures: Sequence[CaptureInfo]) -> dict[str, str]:
    """The captured segments on which a node is, each with the node's first address there."""
    found: dict[str, str] = {}
    for address in addresses:
        for capture in captures:
            if any(ipaddress.ip_address(address) in ipaddress.ip_network(n) for n in capture.networks):
                found.setdefault(capture.segment, address)
    return found


def _assumed(known: Mapping[str, Any]) -> Iterator[CaptureInfo]:
    """The segments of a run without captures: each address of a router is in a network of its own."""
    for title, facts in known.items():
        addresses = facts.get("addresses") or ()
        for number, address in enumerate(addresses if len(addresses) > 1 else ()):
            network = str(ipaddress.ip_network(f"{address}/24", strict=False))
            name = f"{title} {number}"
            yield CaptureInfo(name, "", name, title, networks=(network,), router=(address,))
