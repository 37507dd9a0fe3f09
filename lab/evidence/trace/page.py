"""What the page knows of a run, from its folder."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evidence.event_json import from_json
from lab.evidence.events import Event
from lab.evidence.packets.traffic import Traffic, load
from lab.evidence.trace import columns, timeline
from lab.evidence.trace.columns import FIELDS
from lab.evidence.trace.timeline import Clock, Row

NO_PACKETS: dict[str, Any] = {
    "packets": {name: [] for name in (*FIELDS, "kept", "kept2")},
    "bytes": "",
    "labels": [],
    "protocols": [],
    "connections": [],
    "ends": {},
    "left_out": 0,
}


@dataclass(frozen=True)
class Page:
    """``record`` is for the heading, ``run`` and ``bytes`` for the picture; ``notes`` say what it lacks."""

    record: dict[str, Any]
    run: dict[str, Any]
    bytes: str
    notes: list[str]


def collect(folder: Path, traffic: Traffic | None = None) -> Page:
    """Everything of the run in ``folder``. What can't be read is missing, and the notes say so.

    Raises OSError, ValueError where there is no record.
    """
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("record.json holds no object")
    notes: list[str] = []
    events = _events(folder, notes)
    if traffic is None or not traffic.captures:
        traffic = _traffic(folder, record, notes)
    clock = Clock(_start(record, events))
    segments, nodes = _nodes(record, events, traffic)
    titles = [node["title"] for node in nodes]
    packed = NO_PACKETS
    if traffic is not None:
        packed = columns.pack(traffic, folder, clock, titles, segments["left"])
    rows, left_out = timeline.lines(events, clock, titles)
    end = _end(record, rows, packed)
    run = {
        **{key: packed[key] for key in ("packets", "labels", "protocols", "connections")},
        "nodes": nodes,
        "segments": segments,
        "verdict": record.get("verdict", ""),
        "events": rows,
        "sockets": timeline.sockets(events, clock, titles, packed["ends"], end),
        "bands": timeline.bands(events, clock, titles, end),
        "duration": end,
    }
    _note_cuts(notes, packed, left_out, traffic)
    _note_clocks(notes, record)
    return Page(record, run, packed["bytes"], notes)


def _events(folder: Path, notes: list[str]) -> list[Event]:
    """The events; a last line that was cut as its writer died is left out."""
    events, bad = [], 0
    try:
        text = (folder / "events.jsonl").read_text(encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        notes.append(f"there is no events.jsonl: {error.strerror}")
        return []
    for line in text.split("\n"):
        try:
            if line:
                events.append(from_json(json.loads(line)))
        except ValueError:
            bad += 1
    if bad:
        notes.append(f"lines of events.jsonl can't be read: {bad}")
    return sorted(events, key=lambda event: event.at)


def _traffic(folder: Path, record: Mapping[str, Any], notes: list[str]) -> Traffic | None:
    if not record.get("captures"):
        notes.append("nothing was captured in this run: there are no packets to show")
        return None
    try:
        return load(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        notes.append(f"the captures can't be read ({error}): there are no packets to show")
        return None


def _start(record: Mapping[str, Any], events: Sequence[Event]) -> float:
    return float(record.get("started") or (events[0].at if events else 0.0))


def _end(record: Mapping[str, Any], rows: Sequence[Row], packed: Mapping[str, Any]) -> int:
    """The last thing that happened, in microseconds."""
    times = [at for side in ("left", "right") for at in packed["packets"][side] if at is not None]
    lasted = round(float(record.get("seconds") or 0) * 1e6)
    return int(max([lasted, *(row["at"] for row in rows), *times]))


# --- nodes and segments ----------------------------------------------------------------------------


def _nodes(
    record: Mapping[str, Any], events: Sequence[Event], traffic: Traffic | None
) -> tuple[dict[str, str], list[Row]]:
    """The names of the two sides, and the nodes from left to right. The first segment is on the left."""
    known = dict(record.get("nodes") or {})
    for event in events:
        if event.node != "lab":
            known.setdefault(event.node, {})
    names = list(traffic.captures) if traffic else []
    segments = {"left": names[0] if names else "clients", "right": names[1] if len(names) > 1 else "servers"}
    left = _left_networks(known, traffic)
    nodes = [_node(title, facts, left) for title, facts in known.items()]
    order = ("left", "router", "right")
    return segments, sorted(nodes, key=lambda node: order.index(node["side"]))


def _node(title: str, facts: Mapping[str, Any], left: Sequence[Any]) -> Row:
    families = [list(facts.get(key) or ()) for key in ("addresses", "addresses6")]
    addresses = [ipaddress.ip_address(address) for family in families for address in family]
    side = "right"
    if title == "router" or any(len(family) > 1 for family in families):
        side = "router"
    elif any(address in network for address in addresses for network in left):
        side = "left"
    elif not addresses and title in ("kali", "client"):
        side = "left"
    return {"title": title, "side": side, "addresses": families[0] or families[1]}


def _left_networks(known: Mapping[str, Any], traffic: Traffic | None) -> list[Any]:
    """The networks of the first segment: as captured, else as the router's first address has it."""
    if traffic and traffic.captures:
        return [ipaddress.ip_network(n) for n in next(iter(traffic.captures.values())).networks]
    routers = [facts["addresses"] for facts in known.values() if len(facts.get("addresses", ())) > 1]
    return [ipaddress.ip_network(f"{addresses[0]}/24", strict=False) for addresses in routers]


# --- notes -----------------------------------------------------------------------------------------


def _note_cuts(notes: list[str], packed: Mapping[str, Any], left_out: int, traffic: Traffic | None) -> None:
    if packed["left_out"]:
        notes.append(f"{packed['left_out']:,} packets in the middle of the run are only in the captures")
    sizes = zip(packed["packets"]["kept"], packed["packets"]["wire"], strict=True)
    cut = sum(kept < wire for kept, wire in sizes)
    if cut:
        notes.append(f"of {cut:,} packets this page has only the first bytes")
    if left_out:
        notes.append(f"{left_out:,} lines of output are only in the folder output/")
    for capture in traffic.captures.values() if traffic else ():
        if not capture.complete:
            notes.append(_incomplete(capture))


def _incomplete(capture: Any) -> str:
    reasons = []
    if capture.cut:
        reasons.append(f"{capture.cut:,} packets were seen and not kept")
    if capture.dropped:
        reasons.append(f"the kernel dropped {capture.dropped:,} packets")
    if capture.filter:
        reasons.append(f"it is only of {capture.filter}")
    if capture.ended:
        reasons.append(f"it ended before the run did: {capture.ended}")
    return f"the capture of {capture.name} isn't complete ({', '.join(reasons)})"


def _note_clocks(notes: list[str], record: Mapping[str, Any]) -> None:
    """Of a host whose clock isn't the controller's, times are as exact as its offset is known."""
    for name, clock in (record.get("clocks") or {}).items():
        uncertainty = float(clock.get("uncertainty") or 0)
        if uncertainty > 0.0005:
            notes.append(f"times of {name} are known to {uncertainty * 1000:.1f} ms only")
        if clock.get("ended"):
            notes.append(f"the sockets of {name} were not watched to the end: {clock['ended']}")
